// The families of models that are run: one row of families.def each.
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

// What the tensors are called, without ".weight"; those of a layer behind "LAYERS.NUMBER.". Linear
// layers are called as ts_module_path says.
typedef struct ts_tensor_names {
    const char *embedding, *layers, *input_norm, *post_norm, *final_norm, *head;
} ts_tensor_names;

enum { TS_FAMILY_KEYS = 8 };

typedef struct ts_family {
    const char *name; // for messages
    const char *model_type, *architecture;
    ts_tensor_names tensors;
    // What transformers takes where config.json lacks the key.
    uint32_t kv_heads; // num_key_value_heads; 0: as many as num_attention_heads
    uint32_t max_positions;
    uint32_t window; // sliding_window; 0: the family's attention has no window
    // The keys of config.json that this family has and others have not. Ends with a NULL name.
    ts_key keys[TS_FAMILY_KEYS];
} ts_family;

const ts_family *ts_family_of(ts_family_id id);

// The family that a config.json names, by its model_type and architectures. TS_ERR_UNSUPPORTED
// where it is none of them, or where the two name different ones.
ts_status ts_family_find(const cJSON *config, const char *name, ts_family_id *out, ts_error *err);

#endif
