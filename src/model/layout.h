// The weights of a model: the names and shapes that its config asks for, and whether its files have
// them.
#ifndef TS_MODEL_LAYOUT_H
#define TS_MODEL_LAYOUT_H

#include "data/adapter.h"
#include "data/safetensors.h"
#include "model/config.h"

typedef enum ts_weight_part {
    TS_WEIGHT_EMBEDDING,
    TS_WEIGHT_NORM,
    TS_WEIGHT_LINEAR,
    TS_WEIGHT_BIAS,
    TS_WEIGHT_FINAL_NORM,
    TS_WEIGHT_HEAD,
} ts_weight_part;

enum { TS_WEIGHT_NAME_BYTES = 128 };

// One weight, [rows, cols], or [cols] where rows is 0.
typedef struct ts_weight {
    char name[TS_WEIGHT_NAME_BYTES];
    ts_weight_part part;
    uint32_t layer;   // of norms, linear layers and biases
    ts_norm norm;     // of norms
    ts_module module; // of linear layers and biases
    uint32_t rows, cols;
    bool plus_one; // the model multiplies by 1 + this weight, so the device gets that sum, as F32
} ts_weight;

// Rows and columns of a module's weight.
void ts_module_shape(const ts_model_config *config, ts_module module, uint32_t *out, uint32_t *in);

// The prefix of a linear layer's tensor names, such as "model.layers.0.self_attn.q_proj".
void ts_module_tensor(const ts_model_config *config, uint32_t layer, ts_module module,
                      char out[TS_WEIGHT_NAME_BYTES]);

// How many weights such a model has, and weight `index` of them, in the order in which they are
// used.
uint32_t ts_weight_count(const ts_model_config *config);
void ts_weight_describe(const ts_model_config *config, uint32_t index, ts_weight *out);
// The type that these files store the token embedding in. ts_model_check must have accepted them.
ts_dtype ts_embedding_dtype(const ts_model_config *config, const ts_tensors *files);
// Finds a weight in a file. The error names it if it is missing, or has another shape or a type
// that weights may not have.
ts_status ts_weight_find(const ts_tensors *file, const ts_weight *weight, const ts_tensor **out,
                         ts_error *err);

// Reads the model's config.json and opens its tensors, which must all be there in their shapes.
// Tensors that the model does not use are named in a warning. Where config.json ties lm_head to the
// embedding and the files hold another lm_head, that one is used, with a warning, and `tied` is
// false. Everything that the files' headers tell is checked, so that planning a run already refuses
// what running it would.
ts_status ts_model_check(ts_weights *model, ts_model_config *config, ts_error *err);

#endif
