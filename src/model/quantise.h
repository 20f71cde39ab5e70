// Which weights of a base model are converted while it is loaded: quantised (--quantize), or
// rounded as products would do (--precision f16). upload.h does it.
#ifndef TS_MODEL_QUANTISE_H
#define TS_MODEL_QUANTISE_H

#include "base/blocks.h"
#include "model/layout.h"
#include "ops/gemm.h"

// The type in which the device holds a weight that its file stores as `stored`. Linear layers and
// an untied lm_head are quantised if their rows are whole blocks. NF4's scales take 16 bits where
// `stored` does, for they are elements of it, and 32 else. The embedding and the norms, a
// small part of a model, keep their type, and what its file has in blocks stays as it is. Norms to
// which 1 is added are F32, which holds the sum exactly as transformers computes it.
//
// What else linear layers and that lm_head hold is as products in `precision` would round it
// (ts_precision_weights), so that these give the same bits. Only what does not go through the
// matrix units, decoding above all, would tell BF16 from F16, and only where a weight is below
// 2^-14, the least of F16's ordinary numbers: it is then off by 2^-25 at most.
ts_dtype ts_weight_held_as(const ts_weight *weight, ts_dtype stored, ts_quantise quantise,
                           ts_precision precision);

// TS_ERR_UNSUPPORTED if no weight of the model can be quantised; a warning if only some can.
// TS_ERR_ARGUMENT if the files have weights in blocks already. `files` NULL: they have none.
ts_status ts_quantise_check(const ts_model_config *config, const ts_tensors *files,
                            ts_quantise quantise, ts_error *err);

// What the linear layers are held in, of the types that come in blocks: "Q8_0", "Q4_K and Q6_K",
// "NF4, lm_head in Q8_0". Empty where no weight is in blocks. `files` NULL: none is stored so.
ts_status ts_quantise_describe(const ts_model_config *config, const ts_tensors *files,
                               ts_quantise quantise, ts_text *out, ts_error *err);

#endif
