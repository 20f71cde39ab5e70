// bitsandbytes' checkpoints with 4-bit weights in NF4, as transformers saves them: beside X.weight,
// whose bytes hold two elements each, lie its scales and a JSON text that describes them.
// (bitsandbytes/functional.py, QuantState)
#ifndef TS_DATA_BITSANDBYTES_H
#define TS_DATA_BITSANDBYTES_H

#include "base/json.h"
#include "data/tensors.h"

// Makes of each weight and the tensors that describe it one tensor of type NF4, in the shape of the
// matrix. TS_ERR_FORMAT: what the description claims is not what is there. TS_ERR_UNSUPPORTED: FP4,
// other blocks or other levels, by name. Tables without such weights stay as they are.
ts_status ts_bitsandbytes_gather(ts_tensors *tensors, ts_error *err);

// Checks config.json's quantization_config (NULL: there is none). TS_ERR_UNSUPPORTED names what is
// not implemented: other methods, FP4, 8 bits.
ts_status ts_bitsandbytes_check_config(const cJSON *config, const char *file, ts_error *err);

// Whether an accepted quantization_config says of the module's weight `name` that it is in NF4.
bool ts_bitsandbytes_claims(const cJSON *config, const char *name);

#endif
