// A base model whose linear weights are quantised while it is loaded (--quantize).
#ifndef TS_MODEL_QUANTISE_H
#define TS_MODEL_QUANTISE_H

#include "base/blocks.h"
#include "gpu/memory.h"
#include "model/layout.h"

// What the device holds a weight as that its file has as `stored`. `quantise` is a type that
// --quantize offers, or TS_F32 where nothing is to be quantised. Linear layers and an lm_head of
// its own are, if their rows are whole blocks; the embedding and the norms, which are little of a
// model, stay as they are.
ts_dtype ts_weight_held_as(const ts_weight *weight, ts_dtype stored, ts_dtype quantise);

// Refuses a model of which nothing can be quantised, and warns of weights that cannot.
ts_status ts_quantise_check(const ts_model_config *config, ts_dtype quantise, ts_error *err);

// Quantises `count` elements of `from`, whole blocks, and uploads them as the elements from `first`
// on of `view`, which holds the tensor called `name`. The host needs a few MiB for it, whatever the
// tensor's size. Errors: TS_ERR_UNSUPPORTED where a value is too large for the type.
ts_status ts_quantise_upload(ts_gpu *gpu, ts_view view, uint64_t first, ts_dtype from,
                             const void *elements, uint64_t count, const char *name, ts_error *err);

#endif
