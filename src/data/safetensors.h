// Safetensors (https://github.com/huggingface/safetensors): 8 bytes of header length, a JSON
// header, then the tensors' bytes. Files are mapped, never read whole, and nothing a header says
// is believed before it is checked.
#ifndef TS_DATA_SAFETENSORS_H
#define TS_DATA_SAFETENSORS_H

#include "data/tensors.h"

// One file.
ts_status ts_safetensors_open(const char *path, ts_tensors **out, ts_error *err);
// A Hugging Face model folder: model.safetensors, or the shards that
// model.safetensors.index.json names (base names only).
ts_status ts_safetensors_open_model(const char *folder, ts_tensors **out, ts_error *err);

// Appends a whole safetensors file (metadata {"format": "pt"}) to *out: tensors with wider elements
// first, so that all of them are aligned, and in the given order among those of one width.
ts_status ts_safetensors_serialise(const ts_tensor *tensors, size_t count, ts_text *out,
                                   ts_error *err);

#endif
