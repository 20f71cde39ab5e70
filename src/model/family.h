// The families of models that can be run, one row of families.def each.
#ifndef TS_MODEL_FAMILY_H
#define TS_MODEL_FAMILY_H

#include "base/json.h"
#include "base/keys.h"
#include "data/adapter.h"

typedef enum ts_family_id {
#define FAMILY(ID, ...) TS_FAMILY_##ID,
#include "model/families.def"
#undef FAMILY
    TS_FAMILY_COUNT,
} ts_family_id;

// The RMS norms that a layer may have, in the order of their use. A family has those that have a
// name in its ts_tensor_names.
typedef enum ts_norm {
    TS_NORM_ATTENTION,     // of the input of the attention block
    TS_NORM_Q,             // of the queries before they are rotated, as norms_all_heads says
    TS_NORM_K,             // of the keys, likewise
    TS_NORM_ATTENTION_OUT, // of attention's output, before it is added to the residual stream
    TS_NORM_MLP,           // of the MLP's input
    TS_NORM_MLP_OUT,       // of the MLP's output, before it is added to the residual stream
    TS_NORM_COUNT,
} ts_norm;

// Names of the tensors, without ".weight". A norm's full name is LAYERS.NUMBER.NORM, such as
// "model.layers.0.input_layernorm". ts_module_path names the linear layers.
typedef struct ts_tensor_names {
    const char *embedding, *layers, *norms[TS_NORM_COUNT], *final_norm, *head;
} ts_tensor_names;

// Which layers attend through a sliding window.
typedef enum ts_windowed {
    TS_WINDOWED_NONE,
    TS_WINDOWED_ALL,
    TS_WINDOWED_UPPER,   // those from max_window_layers on, and only with use_sliding_window
    TS_WINDOWED_PATTERN, // all but every window_pattern-th
} ts_windowed;

enum { TS_FAMILY_KEYS = 10 };

typedef struct ts_family {
    const char *name; // for messages
    const char *model_type, *architecture;
    ts_tensor_names tensors;
    uint32_t biases;       // TS_MODULE_BIT of each linear layer that has a bias
    bool norms_all_heads;  // one norm over all heads of a row of queries or keys; false: one a head
    bool norm_plus_one;    // norms multiply by 1 + their weight
    bool embedding_scaled; // its rows are multiplied by sqrt(hidden_size), rounded to its type
    bool gelu;             // the gate's activation is GELU, approximated by tanh, instead of SiLU
    ts_windowed windowed;
    // The defaults of transformers for keys that config.json lacks.
    uint32_t kv_heads; // num_key_value_heads; 0: as many as num_attention_heads
    uint32_t head_dim; // 0: hidden_size / num_attention_heads
    uint32_t max_positions;
    double rms_eps;             // rms_norm_eps; 0: 1e-6
    uint32_t window;            // sliding_window
    uint32_t max_window_layers; // of TS_WINDOWED_UPPER
    uint32_t window_pattern;    // of TS_WINDOWED_PATTERN
    uint32_t no_rope_interval;  // every n-th layer does not rotate; 0: all layers rotate
    uint32_t query_scalar;      // query_pre_attn_scalar; 0: not a key of this family
    double theta;               // rope_theta; 0: 10,000
    double local_theta;         // rope_local_base_freq, of windowed layers; 0: theta is for all
    bool tied;                  // tie_word_embeddings
    // The keys of config.json that this family has and others have not, or for which it allows
    // other values. Ends with a NULL name.
    ts_key keys[TS_FAMILY_KEYS];
} ts_family;

const ts_family *ts_family_of(ts_family_id id);

// The family that a config.json names in model_type and architectures. TS_ERR_UNSUPPORTED if that
// is none of ours, or if the two keys name different families.
ts_status ts_family_find(const cJSON *config, const char *name, ts_family_id *out, ts_error *err);

#endif
