// Safetensors (https://github.com/huggingface/safetensors): 8 bytes with the length of the header,
// a JSON header, then the tensors' bytes. Files are mapped, not read into memory. Everything in a
// header is checked before it is used.
#ifndef TS_DATA_SAFETENSORS_H
#define TS_DATA_SAFETENSORS_H

#include "data/tensors.h"

// One file.
ts_status ts_safetensors_open(const char *path, ts_tensors **out, ts_error *err);
// Opens the tensors of a Hugging Face model folder: model.safetensors, or the shards named by
// model.safetensors.index.json. A name with a path is refused.
ts_status ts_safetensors_open_model(const char *folder, ts_tensors **out, ts_error *err);

// Appends a complete safetensors file (metadata {"format": "pt"}) to *out. Tensors with wider
// elements come first, so that all are aligned; those of equal width keep the given order.
ts_status ts_safetensors_serialise(const ts_tensor *tensors, size_t count, ts_text *out,
                                   ts_error *err);

// The same in parts, for tensors whose bytes are not in memory. order[count] receives the indices
// of the tensors in the order in which the file holds them; only their types are looked at. Then
// comes the header, which needs names, types, shapes and `len`; after it come the tensors' bytes in
// that order, with nothing between.
void ts_safetensors_order(const ts_tensor *tensors, size_t count, size_t *order);
ts_status ts_safetensors_header(const ts_tensor *tensors, const size_t *order, size_t count,
                                ts_text *out, ts_error *err);

#endif
