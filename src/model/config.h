// The shape and constants of a model, from its config.json.
#ifndef TS_MODEL_CONFIG_H
#define TS_MODEL_CONFIG_H

#include "base/json.h"
#include "data/weights.h"
#include "model/family.h"
#include "model/rope.h"

#include <stdbool.h>
#include <stdint.h>

// A set of a model's layers.
enum { TS_MAX_LAYERS = 1024 };
typedef struct ts_layer_set {
    uint64_t bits[TS_MAX_LAYERS / 64];
} ts_layer_set;
static inline bool ts_layer_in(const ts_layer_set *set, uint32_t layer)
{
    return set->bits[layer / 64] >> layer % 64 & 1;
}
static inline void ts_layer_add(ts_layer_set *set, uint32_t layer)
{
    set->bits[layer / 64] |= UINT64_C(1) << layer % 64;
}

typedef struct ts_model_config {
    ts_family_id family;
    uint32_t hidden, ffn, layers, vocab;
    uint32_t heads, kv_heads, head_dim;
    uint32_t max_positions;
    float query_scalar; // attention's scores are divided by its square root
    float rms_eps;
    ts_rope_config rope;
    ts_rope_config local_rope; // of windowed layers; theta 0: they use `rope` too
    ts_layer_set unrotated;    // layers whose queries and keys are not rotated
    uint32_t window; // keys that a row sees in layers with a sliding window; 0: no layer has one
    ts_layer_set windowed; // the layers that have one, whatever its size
    bool tied;             // lm_head is the embedding
    bool float32;          // config.json calls it a model of float32, whatever its tensors are
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

// Whether this layer's queries and keys are rotated by local_rope.
static inline bool ts_config_is_local(const ts_model_config *config, uint32_t layer)
{
    return config->local_rope.theta > 0 && ts_layer_in(&config->windowed, layer);
}

static inline bool ts_config_has_norm(const ts_model_config *config, ts_norm norm)
{
    return ts_family_of(config->family)->tensors.norms[norm] != NULL;
}
// The shape of a norm: it divides a row into `parts` parts of `cols` elements and normalises each
// by itself. All parts have the same weight, [cols].
void ts_config_norm_shape(const ts_model_config *config, ts_norm norm, uint32_t *parts,
                          uint32_t *cols);

// How many keys a row of this layer sees, its own included; 0: all of its sequence so far.
static inline uint32_t ts_config_window(const ts_model_config *config, uint32_t layer)
{
    return ts_layer_in(&config->windowed, layer) ? config->window : 0;
}

// Reads the model's config.json as transformers 4 or 5 writes it. A key that asks for something not
// implemented (a kind of rope, attention_bias, another architecture or activation) is
// TS_ERR_UNSUPPORTED, and the message names key and value. Unknown keys are named in a warning.
// `tied` is what config.json says; ts_model_check corrects it by the weights.
ts_status ts_model_config_read(ts_weights *model, ts_model_config *out, ts_error *err);
// The shape of TinyLlama-1.1B-Chat-v1.0.
extern const ts_model_config ts_model_config_tinyllama;

#endif
