// From the bytes of a model's file to a weight on the device.
#ifndef TS_MODEL_UPLOAD_H
#define TS_MODEL_UPLOAD_H

#include "data/tensors.h"
#include "gpu/memory.h"

// Fills `view` with a tensor of as many elements: as it is stored, or, where view.dtype is another
// type, quantised to that (model/quantise.h). Rows come in Hugging Face's order, whatever the
// file's is. The host needs a few MiB for it at most, whatever the tensor's size.
ts_status ts_upload_tensor(ts_gpu *gpu, ts_view view, const ts_tensor *tensor, ts_error *err);

#endif
