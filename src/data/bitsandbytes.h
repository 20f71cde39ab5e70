// Checkpoints with weights in bitsandbytes' NF4, as transformers saves them. Each byte of X.weight
// holds two elements. Beside it are tensors with its scales and a JSON text that describes them.
// (bitsandbytes/functional.py, QuantState)
#ifndef TS_DATA_BITSANDBYTES_H
#define TS_DATA_BITSANDBYTES_H

#include "base/json.h"
#include "data/tensors.h"

// Combines each such weight with the tensors that describe it into one tensor of type NF4, in the
// shape of the matrix. A table without such weights stays as it is. TS_ERR_FORMAT where the tensors
// do not match the description. TS_ERR_UNSUPPORTED names FP4, other block sizes and other levels.
ts_status ts_bitsandbytes_gather(ts_tensors *tensors, ts_error *err);

// Checks config.json's quantization_config (NULL: there is none). TS_ERR_UNSUPPORTED names what is
// not implemented: other methods, FP4, 8 bits.
ts_status ts_bitsandbytes_check_config(const cJSON *config, const char *file, ts_error *err);

// Whether an accepted quantization_config says that `name`, a linear layer's weight, is in NF4.
bool ts_bitsandbytes_claims(const cJSON *config, const char *name);

#endif
