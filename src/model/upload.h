// From the bytes of a model's file to a weight on the device.
#ifndef TS_MODEL_UPLOAD_H
#define TS_MODEL_UPLOAD_H

#include "data/tensors.h"
#include "gpu/memory.h"

// Fills `view` with as many of a tensor's elements, from element `first` on: as they are stored,
// or, where view.dtype is another type, converted to that: quantised, or BF16 rounded to F16, to
// nearest, ties to even. TS_ERR_UNSUPPORTED if a value is too large for the type. Rows come in
// Hugging Face's order, whatever the file's is; where it is another, the view takes the whole
// tensor. The host needs a few MiB for it at most, whatever the tensor's size.
ts_status ts_upload_tensor(ts_gpu *gpu, ts_view view, const ts_tensor *tensor, uint64_t first,
                           ts_error *err);
// The same of a part: `bytes` bytes of the tensor's rows, in order and whole blocks, from element
// `first` of the view on.
ts_status ts_upload_rows(ts_gpu *gpu, ts_view view, const ts_tensor *tensor, uint64_t first,
                         const void *rows, uint64_t bytes, ts_error *err);
// Quantises `count` elements of type `from`, which must be whole blocks, and uploads them to
// `view`, from its element `first` on. Messages call the tensor `name`. The host needs a few MiB
// for it, whatever the tensor's size. TS_ERR_UNSUPPORTED if a value is too large for the type.
ts_status ts_upload_quantised(ts_gpu *gpu, ts_view view, uint64_t first, ts_dtype from,
                              const void *elements, uint64_t count, const char *name,
                              ts_error *err);

#endif
