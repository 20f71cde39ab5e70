// The shape of a Llama, from a Hugging Face config.json.
#ifndef TS_MODEL_CONFIG_H
#define TS_MODEL_CONFIG_H

#include "base/json.h"
#include "data/weights.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct ts_model_config {
    uint32_t hidden, ffn, layers, vocab;
    uint32_t heads, kv_heads, head_dim;
    uint32_t max_positions;
    float rms_eps;
    double rope_theta;
    bool tied; // lm_head is the embedding
} ts_model_config;

// Elements of one row of queries, and of keys or values.
static inline uint32_t ts_config_q_size(const ts_model_config *config)
{
    return config->heads * config->head_dim;
}
static inline uint32_t ts_config_kv_size(const ts_model_config *config)
{
    return config->kv_heads * config->head_dim;
}

// Reads the model's config.json as transformers 4 or 5 writes it. What asks for something that is
// not implemented (a kind of rope, attention_bias, another architecture or activation) is
// TS_ERR_UNSUPPORTED by its key and value; keys that are not known are named in a warning. Whether
// `tied` holds the weights decide too: see ts_model_check.
ts_status ts_model_config_read(ts_weights *model, ts_model_config *out, ts_error *err);
// The part of it that turns positions: from rope_theta, rope_scaling and rope_parameters.
ts_status ts_rope_config_read(const cJSON *json, const char *name, double *theta, ts_error *err);

// The shape of TinyLlama-1.1B-Chat-v1.0.
extern const ts_model_config ts_model_config_tinyllama;

#endif
