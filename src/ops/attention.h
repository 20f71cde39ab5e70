// Attention: one call a kernel, the shader and its tile chosen for the device.
#ifndef TS_OPS_ATTENTION_H
#define TS_OPS_ATTENTION_H

#include "ops/kernels.h"

enum { TS_ATTENTION_SPLIT = 8 }; // invocations a row of the shaders *_split (cmake/shaders.cmake)

// For the fields of the same names in the arguments of attention, attention_backward_q and
// attention_backward_kv.
typedef struct ts_attention_choice {
    uint32_t shader, lanes, per_lane;
} ts_attention_choice;

// Whether it is one of those three.
bool ts_attention_has_tile(ts_kernel kernel);
// `kernel`: one of them. `dim`: the heads' size.
ts_attention_choice ts_attention_choose(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t dim);

// Record the kernels of these names (kernels.def): all of `args` is set but shader, lanes and
// per_lane, which are chosen here. A shader that the driver cannot build gives way to another.
void ts_attend(ts_recorder *recorder, struct ts_attention_args *args);
// `attention` of rows that share no keys: each is the newest token of a sequence in a cache. The
// same arguments; lse is scratch.
void ts_attend_cached(ts_recorder *recorder, struct ts_attention_args *args);
void ts_attend_backward_q(ts_recorder *recorder, struct ts_attention_backward_q_args *args);
void ts_attend_backward_kv(ts_recorder *recorder, struct ts_attention_backward_kv_args *args);

#endif
