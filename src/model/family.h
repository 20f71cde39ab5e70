// The families of models that can be run, one row of families.def each.
#ifndef TS_MODEL_FAMILY_H
#define TS_MODEL_FAMILY_H

#include "base/json.h"
#include "base/keys.h"

typedef enum ts_family_id {
#define FAMILY(ID, ...) TS_FAMILY_##ID,
#include "model/families.def"
#undef FAMILY
    TS_FAMILY_COUNT,
} ts_family_id;

// Names of the tensors, without ".weight". The names of a layer's norms follow a prefix: `layers`,
// a dot, the layer's number and a dot. ts_module_path names the linear layers.
typedef struct ts_tensor_names {
    const char *embedding, *layers, *input_norm, *post_norm, *final_norm, *head;
} ts_tensor_names;

enum { TS_FAMILY_KEYS = 8 };

typedef struct ts_family {
    const char *name; // for messages
    const char *model_type, *architecture;
    ts_tensor_names tensors;
    // The defaults of transformers for keys that config.json lacks.
    uint32_t kv_heads; // num_key_value_heads; 0: as many as num_attention_heads
    uint32_t max_positions;
    uint32_t window; // sliding_window; 0: the family's attention has no window
    // The keys of config.json that this family has and others have not. Ends with a NULL name.
    ts_key keys[TS_FAMILY_KEYS];
} ts_family;

const ts_family *ts_family_of(ts_family_id id);

// The family that a config.json names in model_type and architectures. TS_ERR_UNSUPPORTED if that
// is none of ours, or if the two keys name different families.
ts_status ts_family_find(const cJSON *config, const char *name, ts_family_id *out, ts_error *err);

#endif
