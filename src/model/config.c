#include "model/config.h"

#include "base/keys.h"
#include "base/memory.h"
#include "data/bitsandbytes.h"
#include "model/config_parts.h"

#include <string.h>

const ts_model_config ts_model_config_tinyllama = {
    .hidden = 2048,
    .ffn = 5632,
    .layers = 22,
    .vocab = 32000,
    .heads = 32,
    .kv_heads = 4,
    .head_dim = 64,
    .query_scalar = 64,
    .max_positions = 2048,
    .rms_eps = 1e-5f,
    .rope = {.theta = 10000},
};

enum { MAX_DIMENSION = 1 << 20, MAX_HEADS = 1024 };

// The keys of config.json that are known for every family; families.def adds those of one family. A
// key that is in neither is named in a warning and not refused: transformers, too, ignores keys
// that it does not know.
static const ts_key common_keys[] = {
    {"model_type", TS_KEY_READ}, // ts_family_find reads these two
    {"architectures", TS_KEY_READ},
    {"hidden_size", TS_KEY_READ},
    {"intermediate_size", TS_KEY_READ},
    {"num_hidden_layers", TS_KEY_READ},
    {"vocab_size", TS_KEY_READ},
    {"num_attention_heads", TS_KEY_READ},
    {"num_key_value_heads", TS_KEY_READ},
    {"head_dim", TS_KEY_READ},
    {"max_position_embeddings", TS_KEY_READ},
    {"rms_norm_eps", TS_KEY_READ},
    {"tie_word_embeddings", TS_KEY_READ},
    {"rope_theta", TS_KEY_READ},
    {"rope_scaling", TS_KEY_READ},
    {"rope_parameters", TS_KEY_READ},
    // Not implemented, and values other than these would change the results.
    {"hidden_act", TS_KEY_ONLY, "[\"silu\"]"},
    {"hidden_activation", TS_KEY_ONLY, "[\"silu\"]"},
    {"partial_rotary_factor", TS_KEY_ONLY, "[1]"},
    {"attention_bias", TS_KEY_ONLY},
    {"mlp_bias", TS_KEY_ONLY},
    {"attention_dropout", TS_KEY_ONLY, "[0]",
     "transformers would train with it; set it to 0 to train without"},
    {"quantization_config", TS_KEY_READ},
    {"compression_config", TS_KEY_ONLY, NULL, "take the model's unquantised weights"},
    {"attn_logit_softcapping", TS_KEY_ONLY},
    {"final_logit_softcapping", TS_KEY_ONLY},
    {"use_qk_norm", TS_KEY_ONLY},
    {"qk_norm", TS_KEY_ONLY},
    {"embedding_multiplier", TS_KEY_ONLY, "[1]"},
    {"residual_multiplier", TS_KEY_ONLY, "[1]"},
    {"attention_multiplier", TS_KEY_ONLY},
    {"logits_scaling", TS_KEY_ONLY, "[1]"},
    {"logit_scale", TS_KEY_ONLY, "[1]"},
    {"query_pre_attn_scalar", TS_KEY_ONLY},
    {"no_rope_layers", TS_KEY_ONLY},
    {"num_experts", TS_KEY_ONLY},
    {"num_local_experts", TS_KEY_ONLY},
    {"add_cross_attention", TS_KEY_ONLY},
    {"is_encoder_decoder", TS_KEY_ONLY},
    {"pruned_heads", TS_KEY_ONLY},
    // Code that comes with the model. transformers runs it only if the user allows it.
    {"auto_map", TS_KEY_NOTE},
    // These have no effect here. They say how the weights were made, or how other programs load and
    // run them, or repeat generation_config.json and tokenizer_config.json. pretraining_tp only
    // cuts the same products into parts.
    {"_name_or_path", TS_KEY_READ},
    {"_commit_hash", TS_KEY_READ},
    {"_attn_implementation", TS_KEY_READ},
    {"_attn_implementation_autoset", TS_KEY_READ},
    {"attn_implementation", TS_KEY_READ},
    {"transformers_version", TS_KEY_READ},
    {"torch_dtype", TS_KEY_READ},
    {"dtype", TS_KEY_READ},
    {"use_bfloat16", TS_KEY_READ},
    {"torchscript", TS_KEY_READ},
    {"initializer_range", TS_KEY_READ},
    {"pretraining_tp", TS_KEY_READ},
    {"use_cache", TS_KEY_READ},
    {"gradient_checkpointing", TS_KEY_READ},
    {"bos_token_id", TS_KEY_READ},
    {"eos_token_id", TS_KEY_READ},
    {"pad_token_id", TS_KEY_READ},
    {"sep_token_id", TS_KEY_READ},
    {"unk_token_id", TS_KEY_READ},
    {"decoder_start_token_id", TS_KEY_READ},
    {"tokenizer_class", TS_KEY_READ},
    {"is_decoder", TS_KEY_READ},
    {"cross_attention_hidden_size", TS_KEY_ONLY},
    {"tie_encoder_decoder", TS_KEY_READ},
    {"chunk_size_feed_forward", TS_KEY_READ},
    {"output_attentions", TS_KEY_READ},
    {"output_hidden_states", TS_KEY_READ},
    {"return_dict", TS_KEY_READ},
    {"return_dict_in_generate", TS_KEY_READ},
    {"output_scores", TS_KEY_READ},
    {"id2label", TS_KEY_READ},
    {"label2id", TS_KEY_READ},
    {"num_labels", TS_KEY_READ},
    {"problem_type", TS_KEY_READ},
    {"finetuning_task", TS_KEY_READ},
    {"task_specific_params", TS_KEY_READ},
    {"max_length", TS_KEY_READ},
    {"min_length", TS_KEY_READ},
    {"do_sample", TS_KEY_READ},
    {"early_stopping", TS_KEY_READ},
    {"num_beams", TS_KEY_READ},
    {"num_beam_groups", TS_KEY_READ},
    {"num_return_sequences", TS_KEY_READ},
    {"diversity_penalty", TS_KEY_READ},
    {"length_penalty", TS_KEY_READ},
    {"repetition_penalty", TS_KEY_READ},
    {"encoder_no_repeat_ngram_size", TS_KEY_READ},
    {"no_repeat_ngram_size", TS_KEY_READ},
    {"exponential_decay_length_penalty", TS_KEY_READ},
    {"remove_invalid_values", TS_KEY_READ},
    {"bad_words_ids", TS_KEY_READ},
    {"begin_suppress_tokens", TS_KEY_READ},
    {"suppress_tokens", TS_KEY_READ},
    {"forced_bos_token_id", TS_KEY_READ},
    {"forced_eos_token_id", TS_KEY_READ},
    {"temperature", TS_KEY_READ},
    {"top_k", TS_KEY_READ},
    {"top_p", TS_KEY_READ},
    {"typical_p", TS_KEY_READ},
    {"prefix", TS_KEY_READ},
    {"tf_legacy_loss", TS_KEY_READ},
    {"unsloth_fixed", TS_KEY_READ},
    {"unsloth_version", TS_KEY_READ},
};

void ts_config_norm_shape(const ts_model_config *config, ts_norm norm, uint32_t *parts,
                          uint32_t *cols)
{
    bool of_heads = norm == TS_NORM_Q || norm == TS_NORM_K;
    uint32_t heads = norm == TS_NORM_K ? config->kv_heads : config->heads;
    *parts = 1;
    *cols = of_heads ? heads * config->head_dim : config->hidden;
    if (of_heads && !ts_family_of(config->family)->norms_all_heads) {
        *parts = heads;
        *cols = config->head_dim;
    }
}

static bool is_absent(const cJSON *json, const char *key)
{
    const cJSON *value = ts_json_get(json, key);
    return value == NULL || cJSON_IsNull(value);
}

static ts_status optional_uint(const cJSON *json, const char *key, uint64_t max, const char *name,
                               uint64_t otherwise, uint32_t *out, ts_error *err)
{
    uint64_t number = otherwise;
    ts_status status = TS_OK;
    if (!is_absent(json, key)) {
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

// Where neither the file nor the family gives one, the heads share the hidden size evenly.
static ts_status read_head_dim(const cJSON *json, const char *name, ts_model_config *c,
                               ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t otherwise = ts_family_of(c->family)->head_dim;
    if (is_absent(json, "head_dim") && otherwise == 0 && c->hidden % c->heads != 0) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: %u num_attention_heads do not divide a hidden_size of %u, and there is no "
                "'head_dim'",
                name, c->heads, c->hidden);
    }
    otherwise = otherwise > 0 ? otherwise : c->hidden / c->heads;
    TS_TRY(optional_uint(json, "head_dim", MAX_DIMENSION, name, otherwise, &c->head_dim, err));
out:
    return status;
}

static bool names_float32(const cJSON *json)
{
    const cJSON *dtype = ts_json_get(json, "dtype");
    dtype = dtype != NULL ? dtype : ts_json_get(json, "torch_dtype");
    return cJSON_IsString(dtype) && strcmp(dtype->valuestring, "float32") == 0;
}

// Scores are divided by the square root of query_scalar: the size of a head, unless the family has
// a key of its own for it.
static ts_status read_query_scalar(const cJSON *json, const char *name, ts_model_config *c,
                                   ts_error *err)
{
    ts_status status = TS_OK;
    const uint32_t otherwise = ts_family_of(c->family)->query_scalar;
    double scalar = otherwise > 0 ? otherwise : c->head_dim;
    if (otherwise > 0 && !is_absent(json, "query_pre_attn_scalar")) {
        TS_TRY(ts_json_get_double(json, "query_pre_attn_scalar", name, &scalar, err));
    }
    if (!(scalar > 0 && scalar <= MAX_DIMENSION)) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: key 'query_pre_attn_scalar': expected a number above 0 and up to %d, found %g",
                name, MAX_DIMENSION, scalar);
    }
    c->query_scalar = (float)scalar;
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

static ts_status check_keys(const cJSON *json, const ts_family *family, const char *name,
                            ts_error *err)
{
    ts_key keys[TS_FAMILY_KEYS + TS_COUNT(common_keys)]; // if a name occurs twice, the first counts
    size_t count = 0;
    for (size_t i = 0; i < TS_FAMILY_KEYS && family->keys[i].name != NULL; i++) {
        keys[count++] = family->keys[i];
    }
    memcpy(keys + count, common_keys, sizeof common_keys);
    count += TS_COUNT(common_keys);
    return ts_keys_check(json, keys, count, false, name, err);
}

static ts_status read_json(const cJSON *json, const char *name, ts_model_config *out, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_family_find(json, name, &out->family, err));
    const ts_family *family = ts_family_of(out->family);
    double eps = family->rms_eps > 0 ? family->rms_eps : 1e-6;
    TS_TRY(check_keys(json, family, name, err));
    TS_TRY(ts_bitsandbytes_check_config(ts_json_get(json, "quantization_config"), name, err));
    TS_TRY(required_uint(json, "hidden_size", MAX_DIMENSION, name, &out->hidden, err));
    TS_TRY(required_uint(json, "intermediate_size", MAX_DIMENSION, name, &out->ffn, err));
    TS_TRY(required_uint(json, "num_hidden_layers", TS_MAX_LAYERS, name, &out->layers, err));
    TS_TRY(required_uint(json, "vocab_size", 1 << 24, name, &out->vocab, err));
    TS_TRY(required_uint(json, "num_attention_heads", MAX_HEADS, name, &out->heads, err));
    TS_TRY(optional_uint(json, "num_key_value_heads", MAX_HEADS, name, out->heads, &out->kv_heads,
                         err));
    if (ts_json_get(json, "num_key_value_heads") == NULL && family->kv_heads > 0) {
        out->kv_heads = family->kv_heads;
    }
    TS_TRY(read_head_dim(json, name, out, err));
    TS_TRY(optional_uint(json, "max_position_embeddings", 1 << 24, name, family->max_positions,
                         &out->max_positions, err));
    if (!is_absent(json, "rms_norm_eps")) {
        TS_TRY(ts_json_get_double(json, "rms_norm_eps", name, &eps, err));
    }
    if (!(eps >= 0 && eps < 1)) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: key 'rms_norm_eps': expected a number from 0 to below 1, found "
                "%g",
                name, eps);
    }
    out->rms_eps = (float)eps;
    out->tied = family->tied;
    if (!is_absent(json, "tie_word_embeddings")) {
        TS_TRY(ts_json_get_bool(json, "tie_word_embeddings", name, &out->tied, err));
    }
    TS_TRY(ts_config_read_rope(json, name, out, err));
    TS_TRY(ts_config_read_windows(json, name, out, err));
    TS_TRY(ts_config_read_unrotated(json, name, out, err));
    TS_TRY(read_query_scalar(json, name, out, err));
    out->float32 = names_float32(json);
    TS_TRY(check_shape(out, name, err));
out:
    return status;
}

ts_status ts_model_config_read(ts_weights *model, ts_model_config *out, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *json;
    const char *name;
    *out = (ts_model_config){0};
    TS_TRY(ts_weights_read(model, TS_PART_CONFIG, &json, &name, err));
    TS_TRY(read_json(json, name, out, err));
out:
    return status;
}
