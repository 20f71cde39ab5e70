// Which attention shader, and its tile, for a device.
#ifndef TS_OPS_ATTENTION_H
#define TS_OPS_ATTENTION_H

#include "ops/kernels.h"

// For the fields of the same names in the arguments of attention, attention_backward_q and
// attention_backward_kv.
typedef struct ts_attention_choice {
    uint32_t shader, lanes, per_lane;
} ts_attention_choice;

// `kernel`: one of those three. `dim`: the heads' size.
ts_attention_choice ts_attention_choose(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t dim);

#endif
