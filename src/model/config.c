#include "model/config.h"

#include "base/file.h"
#include "base/json.h"

#include <string.h>

const ts_model_config ts_model_config_tinyllama = {
    .hidden = 2048,
    .ffn = 5632,
    .layers = 22,
    .vocab = 32000,
    .heads = 32,
    .kv_heads = 4,
    .head_dim = 64,
    .max_positions = 2048,
    .rms_eps = 1e-5f,
    .rope_theta = 10000,
};

enum { MAX_DIMENSION = 1 << 20, MAX_LAYERS = 1024, MAX_HEADS = 1024 };

static ts_status refuse(const char *name, const char *key, const cJSON *value, const char *only,
                        ts_error *err)
{
    char *text = cJSON_PrintUnformatted(value);
    ts_error_set(err, TS_ERR_UNSUPPORTED, "%s: key '%s' is %s: not implemented, only %s", name, key,
                 text != NULL ? text : "?", only);
    cJSON_free(text);
    return TS_ERR_UNSUPPORTED;
}

// `key` must be absent, null or the string `only`.
static ts_status only_string(const cJSON *json, const char *key, const char *only, const char *name,
                             ts_error *err)
{
    const cJSON *value = ts_json_get(json, key);
    if (value == NULL || cJSON_IsNull(value) ||
        (cJSON_IsString(value) && strcmp(value->valuestring, only) == 0)) {
        return TS_OK;
    }
    return refuse(name, key, value, only, err);
}

// `key` must be absent, null or false.
static ts_status only_false(const cJSON *json, const char *key, const char *name, ts_error *err)
{
    const cJSON *value = ts_json_get(json, key);
    if (value == NULL || cJSON_IsNull(value) || cJSON_IsFalse(value)) {
        return TS_OK;
    }
    return refuse(name, key, value, "false", err);
}

static ts_status check_architecture(const cJSON *json, const char *name, ts_error *err)
{
    const cJSON *list = ts_json_get(json, "architectures"), *item;
    ts_status status = TS_OK;
    TS_TRY(only_string(json, "model_type", "llama", name, err));
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsString(item) || strcmp(item->valuestring, "LlamaForCausalLM") != 0) {
            TS_TRY(refuse(name, "architectures", list, "LlamaForCausalLM", err));
        }
    }
    TS_TRY(only_string(json, "hidden_act", "silu", name, err));
    TS_TRY(only_false(json, "attention_bias", name, err));
    TS_TRY(only_false(json, "mlp_bias", name, err));
    const cJSON *quantised = ts_json_get(json, "quantization_config");
    if (quantised != NULL && !cJSON_IsNull(quantised)) {
        TS_TRY(refuse(name, "quantization_config", quantised, "unquantised weights", err));
    }
out:
    return status;
}

// A key that may be absent or null.
static ts_status optional_uint(const cJSON *json, const char *key, uint64_t max, const char *name,
                               uint64_t otherwise, uint32_t *out, ts_error *err)
{
    const cJSON *value = ts_json_get(json, key);
    uint64_t number = otherwise;
    ts_status status = TS_OK;
    if (value != NULL && !cJSON_IsNull(value)) {
        TS_TRY(ts_json_get_uint(json, key, 1, max, name, &number, err));
    }
    *out = (uint32_t)number;
out:
    return status;
}

static ts_status required_uint(const cJSON *json, const char *key, uint64_t max, const char *name,
                               uint32_t *out, ts_error *err)
{
    uint64_t number = 0;
    ts_status status = ts_json_get_uint(json, key, 1, max, name, &number, err);
    *out = (uint32_t)number;
    return status;
}

// transformers 4: rope_theta and rope_scaling; 5: rope_parameters {rope_type, rope_theta}.
static ts_status read_rope(const cJSON *json, const char *name, ts_model_config *out, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *from = json, *parameters = ts_json_get(json, "rope_parameters");
    const cJSON *scaling = ts_json_get(json, "rope_scaling");
    out->rope_theta = 10000;
    if (parameters != NULL && !cJSON_IsNull(parameters)) {
        TS_TRY(only_string(parameters, "rope_type", "default", name, err));
        from = parameters;
    }
    if (scaling != NULL && !cJSON_IsNull(scaling)) {
        const cJSON *type = ts_json_get(scaling, "rope_type");
        if (!cJSON_IsString(type) || strcmp(type->valuestring, "default") != 0) {
            TS_TRY(refuse(name, "rope_scaling", scaling, "null", err));
        }
    }
    if (ts_json_get(from, "rope_theta") != NULL) {
        TS_TRY(ts_json_get_double(from, "rope_theta", name, &out->rope_theta, err));
    }
    const cJSON *partial = ts_json_get(from, "partial_rotary_factor");
    if (partial != NULL && !(cJSON_IsNumber(partial) && partial->valuedouble == 1)) {
        TS_TRY(refuse(name, "partial_rotary_factor", partial, "1", err));
    }
    if (!(out->rope_theta > 0)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'rope_theta': expected a number above 0", name);
    }
out:
    return status;
}

static ts_status check_shape(const ts_model_config *c, const char *name, ts_error *err)
{
    ts_status status = TS_OK;
    if (c->heads % c->kv_heads != 0) {
        TS_FAIL(TS_ERR_FORMAT, "%s: %u num_attention_heads do not divide into %u key-value heads",
                name, c->heads, c->kv_heads);
    }
    if (c->head_dim % 4 != 0 || c->head_dim > 256) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "%s: head_dim %u: not implemented, only multiples of 4 up to 256", name,
                c->head_dim);
    }
out:
    return status;
}

static ts_status read_json(const cJSON *json, const char *name, ts_model_config *out, ts_error *err)
{
    ts_status status = TS_OK;
    double eps = 1e-6;
    TS_TRY(check_architecture(json, name, err));
    TS_TRY(required_uint(json, "hidden_size", MAX_DIMENSION, name, &out->hidden, err));
    TS_TRY(required_uint(json, "intermediate_size", MAX_DIMENSION, name, &out->ffn, err));
    TS_TRY(required_uint(json, "num_hidden_layers", MAX_LAYERS, name, &out->layers, err));
    TS_TRY(required_uint(json, "vocab_size", 1 << 24, name, &out->vocab, err));
    TS_TRY(required_uint(json, "num_attention_heads", MAX_HEADS, name, &out->heads, err));
    TS_TRY(optional_uint(json, "num_key_value_heads", MAX_HEADS, name, out->heads, &out->kv_heads,
                         err));
    TS_TRY(optional_uint(json, "head_dim", MAX_DIMENSION, name, out->hidden / out->heads,
                         &out->head_dim, err));
    TS_TRY(optional_uint(json, "max_position_embeddings", 1 << 24, name, 2048, &out->max_positions,
                         err));
    if (ts_json_get(json, "rms_norm_eps") != NULL) {
        TS_TRY(ts_json_get_double(json, "rms_norm_eps", name, &eps, err));
    }
    out->rms_eps = (float)eps;
    out->tied = cJSON_IsTrue(ts_json_get(json, "tie_word_embeddings"));
    TS_TRY(read_rope(json, name, out, err));
    TS_TRY(check_shape(out, name, err));
out:
    return status;
}

ts_status ts_model_config_read(const char *folder, ts_model_config *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    cJSON *json = NULL;
    *out = (ts_model_config){0};
    TS_TRY(ts_path_join(folder, "config.json", &path, err));
    TS_TRY(ts_json_parse_file(path.bytes, &json, err));
    TS_TRY(read_json(json, path.bytes, out, err));
out:
    cJSON_Delete(json);
    ts_text_free(&path);
    return status;
}
