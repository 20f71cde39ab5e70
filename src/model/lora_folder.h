// The folder of a PEFT adapter, held against the model that it is for.
#ifndef TS_MODEL_LORA_FOLDER_H
#define TS_MODEL_LORA_FOLDER_H

#include "data/adapter.h"
#include "data/safetensors.h"
#include "model/layout.h"

// PEFT's name for one side, 'A', 'B' or DoRA's 'M', of a module's pair.
void ts_lora_key(const ts_model_config *model, uint32_t layer, ts_module module, char side,
                 char out[TS_ADAPTER_KEY_BYTES]);
// The rank of a module's pair, and its scale.
uint32_t ts_lora_rank(const ts_model_config *model, const ts_adapter_config *adapter,
                      uint32_t layer, ts_module module);
double ts_lora_scale(const ts_model_config *model, const ts_adapter_config *adapter, uint32_t layer,
                     ts_module module);
// The first key of a list (data/module_pattern.h) that names no adapted module, as *key[0..*len).
// False where each names one.
bool ts_lora_unused_pattern(const ts_model_config *model, const ts_adapter_config *adapter,
                            const char *list, const char **key, size_t *len);
// The shape of one side, where the module's weight is [out, in]: A [r, in], B [out, r], M [out].
// Returns how many dimensions it has.
uint32_t ts_lora_shape(uint32_t r, char side, uint32_t out, uint32_t in,
                       uint64_t shape[TS_TENSOR_MAX_RANK]);
// TS_ERR_UNSUPPORTED unless the tensor is F32, F16 or BF16.
ts_status ts_lora_check_dtype(const ts_tensor *tensor, ts_error *err);

// Reads FOLDER/adapter_config.json into *adapter, which starts zeroed, and opens
// adapter_model.safetensors. Every tensor that this adapter of `model` has must be there in its
// shape, and nothing else may be: any other tensor would change the model too. Errors name the
// tensor. A pattern that names no module is named in a warning. The caller frees *adapter and
// closes *file in any case.
ts_status ts_lora_open_folder(const ts_model_config *model, const char *folder,
                              ts_adapter_config *adapter, ts_tensors **file, ts_error *err);

#endif
