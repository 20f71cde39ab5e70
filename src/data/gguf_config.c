// Makes config.json from a GGUF file's metadata.
#include "base/keys.h"
#include "base/memory.h"
#include "data/gguf_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HEAD_DIM = 4096, MAX_LIST = 4096, MAX_POSITIONS = 1 << 24 };

// The keys after "ARCHITECTURE.", and what config.json calls the same number. NULL: the code below
// reads the key, or it has no effect on the results.
static const struct {
    ts_key key;
    const char *hf;
} known[] = {
    {{TS_GGUF_ARCH_VOCAB_SIZE, TS_KEY_READ}}, // the embedding's rows say it
    {{TS_GGUF_ARCH_CONTEXT_LENGTH, TS_KEY_READ}, "max_position_embeddings"},
    {{TS_GGUF_ARCH_EMBEDDING_LENGTH, TS_KEY_READ}, "hidden_size"},
    {{TS_GGUF_ARCH_BLOCK_COUNT, TS_KEY_READ}, "num_hidden_layers"},
    {{TS_GGUF_ARCH_FEED_FORWARD_LENGTH, TS_KEY_READ}, "intermediate_size"},
    {{TS_GGUF_ARCH_HEAD_COUNT, TS_KEY_READ}, "num_attention_heads"},
    {{TS_GGUF_ARCH_HEAD_COUNT_KV, TS_KEY_READ}, "num_key_value_heads"},
    {{TS_GGUF_ARCH_KEY_LENGTH, TS_KEY_READ}, "head_dim"},
    {{TS_GGUF_ARCH_VALUE_LENGTH, TS_KEY_READ}},
    {{TS_GGUF_ARCH_RMS_EPSILON, TS_KEY_READ}, "rms_norm_eps"},
    {{TS_GGUF_ARCH_SLIDING_WINDOW, TS_KEY_READ}, "sliding_window"},
    {{TS_GGUF_ARCH_SLIDING_PATTERN, TS_KEY_READ}},
    {{TS_GGUF_ARCH_ROPE_FREQ_BASE_SWA, TS_KEY_READ}},
    {{TS_GGUF_ARCH_ROPE_DIMENSION_COUNT, TS_KEY_READ}},
    {{TS_GGUF_ARCH_ROPE_FREQ_BASE, TS_KEY_READ}, "rope_theta"},
    {{TS_GGUF_ARCH_ROPE_SCALING_TYPE, TS_KEY_READ}},
    {{TS_GGUF_ARCH_ROPE_SCALING_FACTOR, TS_KEY_READ}},
    {{TS_GGUF_ARCH_ROPE_SCALING_ATTN_FACTOR, TS_KEY_READ}},
    {{TS_GGUF_ARCH_ROPE_SCALING_ORIGINAL, TS_KEY_READ}},
    {{"rope.scaling.finetuned", TS_KEY_READ}},
    {{"tensor_data_layout", TS_KEY_ONLY, "[\"Meta AI original pth\"]"}},
    // Values other than these would change the results.
    {{"attention.causal", TS_KEY_ONLY, "[true]"}},
    {{"attention.clamp_kqv", TS_KEY_ONLY}},
    {{"attention.max_alibi_bias", TS_KEY_ONLY}},
    {{"attention.scale", TS_KEY_ONLY}},
    {{"attention.temperature_scale", TS_KEY_ONLY}},
    {{"attention.layer_norm_epsilon", TS_KEY_ONLY}},
    {{"use_parallel_residual", TS_KEY_ONLY}},
    {{"expert_count", TS_KEY_ONLY}},
    {{"expert_used_count", TS_KEY_ONLY}},
    {{"logit_scale", TS_KEY_ONLY, "[1]"}},
    {{"embedding_scale", TS_KEY_ONLY, "[1]"}},
    {{"residual_scale", TS_KEY_ONLY, "[1]"}},
    {{"attn_logit_softcapping", TS_KEY_ONLY}},
    {{"final_logit_softcapping", TS_KEY_ONLY}},
    {{"pooling_type", TS_KEY_ONLY}},
    {{"rope.dimension_sections", TS_KEY_ONLY}},
    {{"rope.scale_linear", TS_KEY_ONLY, "[1]"}},
    {{"nextn_predict_layers", TS_KEY_ONLY}},
};

typedef struct making {
    const ts_gguf *file;
    const ts_gguf_architecture *architecture;
    const char *name; // what messages call the architecture's keys
    cJSON *arch;      // the values under "ARCHITECTURE.", without it
    cJSON *config;    // what is made
    uint32_t head_dim;
    ts_error *err;
} making;

static ts_status out_of_memory(ts_error *err)
{
    return ts_error_set(err, TS_ERR_MEMORY, "out of host memory for a model's configuration");
}

ts_status ts_gguf_json_text(cJSON *object, const char *key, const char *text, ts_error *err)
{
    return cJSON_AddStringToObject(object, key, text) != NULL ? TS_OK : out_of_memory(err);
}

ts_status ts_gguf_json_number(cJSON *object, const char *key, double number, ts_error *err)
{
    return cJSON_AddNumberToObject(object, key, number) != NULL ? TS_OK : out_of_memory(err);
}

ts_status ts_gguf_json_bool(cJSON *object, const char *key, bool value, ts_error *err)
{
    return cJSON_AddBoolToObject(object, key, value) != NULL ? TS_OK : out_of_memory(err);
}

ts_status ts_gguf_find_architecture(const ts_gguf *file, const ts_gguf_architecture **out,
                                    ts_error *err)
{
    ts_status status = TS_OK;
    const char *path = ts_gguf_path(file), *known_name;
    ts_text text = {0}, list = {0};
    *out = NULL;
    if (ts_gguf_find(file, TS_GGUF_KEY_TYPE) != NULL) {
        TS_TRY(ts_gguf_get_text(file, TS_GGUF_KEY_TYPE, &text, err));
        if (strcmp(text.bytes, "model") != 0) {
            TS_FAIL(TS_ERR_UNSUPPORTED, "%s: " TS_GGUF_KEY_TYPE " is '%.40s', expected 'model'",
                    path, text.bytes);
        }
    }
    ts_text_clear(&text);
    TS_TRY(ts_gguf_get_text(file, TS_GGUF_KEY_ARCHITECTURE, &text, err));
    *out = ts_gguf_architecture_find(text.bytes);
    if (*out == NULL) {
        for (size_t i = 0; (known_name = ts_gguf_architecture_name(i)) != NULL; i++) {
            TS_TRY(ts_text_format(&list, err, "%s%s", i > 0 ? ", " : "", known_name));
        }
        TS_FAIL(TS_ERR_UNSUPPORTED, "%s: architecture '%.40s' is not implemented; these are: %s",
                path, text.bytes, list.bytes);
    }
out:
    ts_text_free(&text);
    ts_text_free(&list);
    return status;
}

// ---- Values as JSON

// An array of numbers as JSON. Where all are equal it becomes one number: such arrays have an item
// for each layer.
static cJSON *array_json(const ts_gguf_value *value)
{
    if (ts_gguf_type_bytes(value->item) == 0) {
        return cJSON_CreateArray();
    }
    bool same = value->count > 0;
    for (uint64_t i = 1; i < value->count && same; i++) {
        same = ts_gguf_item(value, i) == ts_gguf_item(value, 0);
    }
    if (same) {
        return cJSON_CreateNumber(ts_gguf_item(value, 0));
    }
    cJSON *array = cJSON_CreateArray();
    for (uint64_t i = 0; i < ts_min_u64(value->count, MAX_LIST); i++) {
        if (!cJSON_AddItemToArray(array, cJSON_CreateNumber(ts_gguf_item(value, i)))) {
            cJSON_Delete(array);
            return NULL;
        }
    }
    return array;
}

static ts_status value_json(const ts_gguf *file, const ts_gguf_value *value, cJSON **out,
                            ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    double number = 0;
    bool yes = false;
    if (value->type == TS_GGUF_STRING) {
        TS_TRY(ts_gguf_get_text(file, value->key, &text, err));
        *out = cJSON_CreateString(text.len > 0 ? text.bytes : "");
    } else if (value->type == TS_GGUF_BOOL) {
        TS_TRY(ts_gguf_get_bool(file, value->key, &yes, err));
        *out = cJSON_CreateBool(yes);
    } else if (value->type == TS_GGUF_ARRAY) {
        *out = array_json(value);
    } else {
        TS_TRY(ts_gguf_get_double(file, value->key, &number, err));
        *out = cJSON_CreateNumber(number);
    }
    if (*out == NULL) {
        status = out_of_memory(err);
    }
out:
    ts_text_free(&text);
    return status;
}

// The values under "ARCHITECTURE." as one object.
static ts_status read_values(making *m)
{
    ts_status status = TS_OK;
    ts_error *err = m->err;
    const char *name = m->architecture->name;
    const size_t len = strlen(name);
    for (size_t i = 0; i < ts_gguf_value_count(m->file); i++) {
        const ts_gguf_value *value = ts_gguf_value_at(m->file, i);
        cJSON *json = NULL;
        if (strncmp(value->key, name, len) != 0 || value->key[len] != '.') {
            continue;
        }
        TS_TRY(value_json(m->file, value, &json, err));
        if (!cJSON_AddItemToObject(m->arch, value->key + len + 1, json)) {
            cJSON_Delete(json);
            TS_TRY(out_of_memory(err));
        }
    }
out:
    return status;
}

static ts_status check_keys(making *m)
{
    ts_key keys[TS_COUNT(known)];
    for (size_t i = 0; i < TS_COUNT(known); i++) {
        keys[i] = known[i].key;
    }
    return ts_keys_check(m->arch, keys, TS_COUNT(keys), false, m->name, m->err);
}

// ---- What is made of them

static ts_status optional_uint(making *m, const char *key, uint64_t max, uint64_t otherwise,
                               uint64_t *out)
{
    *out = otherwise;
    return ts_json_get(m->arch, key) == NULL
               ? TS_OK
               : ts_json_get_uint(m->arch, key, 1, max, m->name, out, m->err);
}

// The heads of keys and values must have the same size, and all elements of a key must rotate.
static ts_status read_head_dim(making *m)
{
    ts_status status = TS_OK;
    ts_error *err = m->err;
    uint64_t hidden, heads, keys, values, rotating;
    TS_TRY(ts_json_get_uint(m->arch, TS_GGUF_ARCH_EMBEDDING_LENGTH, 1, UINT32_MAX, m->name, &hidden,
                            err));
    TS_TRY(ts_json_get_uint(m->arch, TS_GGUF_ARCH_HEAD_COUNT, 1, UINT32_MAX, m->name, &heads, err));
    TS_TRY(optional_uint(m, TS_GGUF_ARCH_KEY_LENGTH, MAX_HEAD_DIM, hidden / heads, &keys));
    TS_TRY(optional_uint(m, TS_GGUF_ARCH_VALUE_LENGTH, MAX_HEAD_DIM, keys, &values));
    TS_TRY(optional_uint(m, TS_GGUF_ARCH_ROPE_DIMENSION_COUNT, MAX_HEAD_DIM, keys, &rotating));
    if (keys == 0 || keys > MAX_HEAD_DIM) {
        TS_FAIL(TS_ERR_FORMAT, "%s: heads of %llu elements, expected 1 to %d", m->name,
                (unsigned long long)keys, MAX_HEAD_DIM);
    }
    if (values != keys || rotating != keys) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "%s: heads whose keys have %llu elements, values %llu, of which %llu rotate: "
                "expected the same number three times",
                m->name, (unsigned long long)keys, (unsigned long long)values,
                (unsigned long long)rotating);
    }
    m->head_dim = (uint32_t)keys;
out:
    return status;
}

static ts_status add_numbers(making *m)
{
    ts_status status = TS_OK;
    for (size_t i = 0; i < TS_COUNT(known) && status == TS_OK; i++) {
        const cJSON *value = ts_json_get(m->arch, known[i].key.name);
        if (known[i].hf == NULL || value == NULL || strcmp(known[i].hf, "head_dim") == 0) {
            continue;
        }
        cJSON *copy = cJSON_Duplicate(value, true);
        if (!cJSON_AddItemToObject(m->config, known[i].hf, copy)) {
            cJSON_Delete(copy);
            status = out_of_memory(m->err);
        }
    }
    return status;
}

// The rows of the token embedding are the vocabulary. Without output.weight, the embedding is
// lm_head too.
static ts_status add_vocabulary(making *m)
{
    ts_status status = TS_OK;
    ts_error *err = m->err;
    const ts_gguf_tensor *embedding = ts_gguf_find_tensor(m->file, "token_embd.weight");
    if (embedding == NULL || embedding->rank != 2) {
        TS_FAIL(TS_ERR_FORMAT, "%s: has no matrix token_embd.weight", ts_gguf_path(m->file));
    }
    TS_TRY(ts_gguf_json_number(m->config, "vocab_size", (double)embedding->shape[1], err));
    bool tied = ts_gguf_find_tensor(m->file, "output.weight") == NULL;
    if (cJSON_AddBoolToObject(m->config, "tie_word_embeddings", tied) == NULL) {
        TS_TRY(out_of_memory(err));
    }
out:
    return status;
}

// ---- Rope

// What a rotary frequency is divided by under rope_type llama3 (Llama 3.1). A frequency that turns
// at least HIGH times within the original context stays; one that turns at most LOW times is
// divided by the whole factor; between them the two are blended. LOW and HIGH are low_freq_factor
// and high_freq_factor of config.json, 1 and 4 in all models that are known.
#define LOW 1.0
#define HIGH 4.0
#define TWO_PI 6.283185307179586

static double llama3_divisor(double frequency, double factor, double original)
{
    const double turns = original * frequency / TWO_PI;
    const double smooth = (turns - LOW) / (HIGH - LOW);
    return turns > HIGH ? 1 : turns < LOW ? factor : 1 / ((1 - smooth) / factor + smooth);
}

static double divisor_at(const ts_gguf_tensor *tensor, uint32_t i)
{
    float divisor;
    memcpy(&divisor, tensor->bytes + i * sizeof divisor, sizeof divisor);
    return (double)divisor;
}

// Finds the parameters of rope_type llama3 from which llama.cpp's converter made rope_freqs.weight.
// The factor is the largest divisor, and the original context follows from any blended one. False
// where the tensor was not made that way.
static bool find_llama3(const ts_gguf_tensor *tensor, uint32_t head_dim, double theta,
                        double *factor, double *original)
{
    const uint32_t pairs = head_dim / 2;
    *factor = 0;
    *original = 8192; // if none is blended: any that separates the two kinds would do
    if (tensor->type != TS_GGUF_TENSOR_F32 || tensor->rank != 1 || tensor->shape[0] != pairs) {
        return false;
    }
    for (uint32_t i = 0; i < pairs; i++) {
        *factor = fmax(*factor, divisor_at(tensor, i));
    }
    for (uint32_t i = 0; i < pairs; i++) {
        const double divisor = divisor_at(tensor, i);
        if (divisor > 1.001 && divisor < 0.999 * *factor) {
            double smooth = (1 / divisor - 1 / *factor) / (1 - 1 / *factor);
            double turns = smooth * (HIGH - LOW) + LOW;
            *original = round(turns * TWO_PI / pow(theta, -2.0 * i / head_dim));
        }
    }
    for (uint32_t i = 0; i < pairs; i++) {
        const double frequency = pow(theta, -2.0 * i / head_dim);
        const double expected = llama3_divisor(frequency, *factor, *original);
        if (!(fabs(divisor_at(tensor, i) - expected) <= 1e-5 * expected)) {
            return false;
        }
    }
    return *factor >= 1 && *original >= 1 && *original <= MAX_POSITIONS;
}

static ts_status add_llama3(making *m, const ts_gguf_tensor *tensor)
{
    ts_status status = TS_OK;
    ts_error *err = m->err;
    double theta = 10000, factor, original;
    if (ts_json_get(m->config, "rope_theta") != NULL) {
        TS_TRY(ts_json_get_double(m->config, "rope_theta", m->name, &theta, err));
    }
    if (!find_llama3(tensor, m->head_dim, theta, &factor, &original)) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "%s: tensor '" TS_GGUF_ROPE_FREQS "' divides the rotary frequencies otherwise than "
                "rope_type llama3 does with a low_freq_factor of 1 and a high_freq_factor of 4: "
                "not implemented",
                ts_gguf_path(m->file));
    }
    cJSON *scaling = cJSON_AddObjectToObject(m->config, "rope_scaling");
    TS_TRY(ts_gguf_json_text(scaling, "rope_type", "llama3", err));
    TS_TRY(ts_gguf_json_number(scaling, "factor", factor, err));
    TS_TRY(ts_gguf_json_number(scaling, "low_freq_factor", LOW, err));
    TS_TRY(ts_gguf_json_number(scaling, "high_freq_factor", HIGH, err));
    TS_TRY(ts_gguf_json_number(scaling, "original_max_position_embeddings", original, err));
out:
    return status;
}

// The metadata's name of the kind goes into config.json as it is. The reader of config.json refuses
// kinds that are not implemented.
static ts_status add_rope(making *m)
{
    static const char *const numbers[][2] = {
        {TS_GGUF_ARCH_ROPE_SCALING_FACTOR, "factor"},
        {TS_GGUF_ARCH_ROPE_SCALING_ATTN_FACTOR, "attention_factor"},
        {TS_GGUF_ARCH_ROPE_SCALING_ORIGINAL, "original_max_position_embeddings"},
    };
    ts_status status = TS_OK;
    ts_error *err = m->err;
    const ts_gguf_tensor *divisors = ts_gguf_find_tensor(m->file, TS_GGUF_ROPE_FREQS);
    const cJSON *type = ts_json_get(m->arch, TS_GGUF_ARCH_ROPE_SCALING_TYPE);
    bool scaled = cJSON_IsString(type) && strcmp(type->valuestring, "none") != 0;
    if (divisors != NULL && scaled) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "%s: both '" TS_GGUF_ROPE_FREQS "' and a rope.scaling.type of '%.40s': not "
                "implemented",
                ts_gguf_path(m->file), type->valuestring);
    }
    if (divisors != NULL) {
        TS_TRY(add_llama3(m, divisors));
    } else if (scaled) {
        cJSON *scaling = cJSON_AddObjectToObject(m->config, "rope_scaling");
        TS_TRY(ts_gguf_json_text(scaling, "rope_type", type->valuestring, err));
        for (size_t i = 0; i < TS_COUNT(numbers); i++) {
            const cJSON *number = ts_json_get(m->arch, numbers[i][0]);
            if (cJSON_IsNumber(number)) {
                TS_TRY(ts_gguf_json_number(scaling, numbers[i][1], number->valuedouble, err));
            }
        }
    }
out:
    return status;
}

// ---- What llama.cpp has in its code, and the metadata does not say

// Which layers have a window: every sixth has none, unless the file says otherwise.
static ts_status add_gemma3_layers(making *m)
{
    ts_status status = TS_OK;
    ts_error *err = m->err;
    const cJSON *pattern = ts_json_get(m->arch, TS_GGUF_ARCH_SLIDING_PATTERN), *item;
    if (!cJSON_IsArray(pattern)) {
        double every = cJSON_IsNumber(pattern) ? pattern->valuedouble : 6;
        return ts_gguf_json_number(m->config, "sliding_window_pattern", every, err);
    }
    cJSON *types = cJSON_AddArrayToObject(m->config, "layer_types");
    cJSON_ArrayForEach(item, pattern)
    {
        if (!cJSON_AddItemToArray(types,
                                  cJSON_CreateString(item->valuedouble != 0 ? "sliding_attention"
                                                                            : "full_attention"))) {
            TS_TRY(out_of_memory(err));
        }
    }
out:
    return status;
}

// query_pre_attn_scalar is the size of a head, but hidden / heads in the model of 62 layers (27B).
static ts_status add_gemma3(making *m)
{
    ts_status status = TS_OK;
    ts_error *err = m->err;
    uint64_t layers, hidden, heads;
    double local = 10000;
    if (ts_json_get(m->config, "sliding_window") == NULL) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "%s: no key '" TS_GGUF_ARCH_SLIDING_WINDOW "': a Gemma 3 "
                "without a window is not implemented",
                m->name);
    }
    TS_TRY(
        ts_json_get_uint(m->arch, TS_GGUF_ARCH_BLOCK_COUNT, 1, UINT32_MAX, m->name, &layers, err));
    TS_TRY(ts_json_get_uint(m->arch, TS_GGUF_ARCH_EMBEDDING_LENGTH, 1, UINT32_MAX, m->name, &hidden,
                            err));
    TS_TRY(ts_json_get_uint(m->arch, TS_GGUF_ARCH_HEAD_COUNT, 1, UINT32_MAX, m->name, &heads, err));
    if (ts_json_get(m->arch, TS_GGUF_ARCH_ROPE_FREQ_BASE_SWA) != NULL) {
        TS_TRY(ts_json_get_double(m->arch, TS_GGUF_ARCH_ROPE_FREQ_BASE_SWA, m->name, &local, err));
    }
    const double scalar = layers == 62 ? (double)hidden / (double)heads : m->head_dim;
    TS_TRY(ts_gguf_json_number(m->config, "query_pre_attn_scalar", scalar, err));
    TS_TRY(ts_gguf_json_number(m->config, "rope_local_base_freq", local, err));
    TS_TRY(ts_gguf_json_text(m->config, "hidden_activation", "gelu_pytorch_tanh", err));
    // llama.cpp does not round what embeddings are multiplied by, as transformers does not in a
    // model of this type.
    TS_TRY(ts_gguf_json_text(m->config, "dtype", "float32", err));
    TS_TRY(add_gemma3_layers(m));
out:
    return status;
}

// Values that config.json must state, because a family's defaults are not llama.cpp's.
static ts_status add_family(making *m)
{
    ts_status status = TS_OK;
    ts_error *err = m->err;
    const char *type = m->architecture->model_type;
    const cJSON *heads = ts_json_get(m->config, "num_attention_heads");
    if (ts_json_get(m->config, "num_key_value_heads") == NULL) {
        TS_TRY(ts_gguf_json_number(m->config, "num_key_value_heads", heads->valuedouble, err));
    }
    if (ts_json_get(m->config, "rope_theta") == NULL) {
        TS_TRY(ts_gguf_json_number(m->config, "rope_theta", 10000, err));
    }
    if (strcmp(type, "gemma3_text") == 0) {
        TS_TRY(add_gemma3(m));
    } else if (strncmp(type, "qwen", 4) == 0) { // llama.cpp has no window in these
        TS_TRY(ts_gguf_json_bool(m->config, "use_sliding_window", false, err));
    } else if (strcmp(type, "llama") == 0 &&
               ts_gguf_find_tensor(m->file, "blk.0.attn_q.bias") != NULL) {
        TS_TRY(ts_gguf_json_bool(m->config, "attention_bias", true, err));
    }
out:
    return status;
}

// ---- The whole

static ts_status begin(making *m, ts_text *name)
{
    ts_status status = TS_OK;
    ts_error *err = m->err;
    TS_TRY(ts_gguf_find_architecture(m->file, &m->architecture, err));
    TS_TRY(ts_text_format(name, err, "%s: %s.*", ts_gguf_path(m->file), m->architecture->name));
    m->name = name->bytes;
    m->arch = cJSON_CreateObject();
    m->config = cJSON_CreateObject();
    TS_TRY(read_values(m));
    TS_TRY(read_head_dim(m));
out:
    return status;
}

ts_status ts_gguf_head_dim(const ts_gguf *file, uint32_t *out, ts_error *err)
{
    making m = {.file = file, .err = err};
    ts_text name = {0};
    ts_status status = begin(&m, &name);
    *out = m.head_dim;
    cJSON_Delete(m.arch);
    cJSON_Delete(m.config);
    ts_text_free(&name);
    return status;
}

ts_status ts_gguf_config(const ts_gguf *file, cJSON **out, ts_error *err)
{
    ts_status status = TS_OK;
    making m = {.file = file, .err = err};
    ts_text name = {0};
    const char *list[1];
    *out = NULL;
    TS_TRY(begin(&m, &name));
    TS_TRY(check_keys(&m));
    list[0] = m.architecture->architecture;
    cJSON *architectures = cJSON_CreateStringArray(list, 1);
    if (!cJSON_AddItemToObject(m.config, "architectures", architectures)) {
        cJSON_Delete(architectures);
        TS_TRY(out_of_memory(err));
    }
    TS_TRY(ts_gguf_json_text(m.config, "model_type", m.architecture->model_type, err));
    TS_TRY(ts_gguf_json_number(m.config, "head_dim", m.head_dim, err));
    TS_TRY(add_numbers(&m));
    TS_TRY(add_vocabulary(&m));
    TS_TRY(add_family(&m));
    TS_TRY(add_rope(&m));
    *out = m.config;
    m.config = NULL;
out:
    cJSON_Delete(m.arch);
    cJSON_Delete(m.config);
    ts_text_free(&name);
    return status;
}
