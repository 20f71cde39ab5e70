// Attention: one function for each kernel. It chooses the shader and its tile for the device.
#ifndef TS_OPS_ATTENTION_H
#define TS_OPS_ATTENTION_H

#include "ops/kernels.h"

// Values for the fields of the same names in the arguments of attention, attention_backward_q and
// attention_backward_kv.
typedef struct ts_attention_choice {
    uint32_t shader;        // its place in the kernel's row
    uint32_t lanes;         // invocations of a workgroup, or groups of `split` invocations
    uint32_t per_lane;      // rows that each of them takes
    uint32_t split;         // invocations that share a row
    uint32_t subgroup_size; // that the shader relies on; 0: none
    uint32_t held;          // whether a row's inputs stay in registers
} ts_attention_choice;

// Whether `kernel` is one of those three.
bool ts_attention_has_tile(ts_kernel kernel);
// `kernel`: one of those three. `dim`: the size of a head.
ts_attention_choice ts_attention_choose(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t dim);

// Each records one of the kernels. The caller sets all of `args` except those fields, which
// are chosen here. If the driver cannot build the chosen shader, another is used.
void ts_attend(ts_recorder *recorder, struct ts_attention_args *args);
// Like ts_attend, for rows that share no keys: each is the newest token of its own sequence in a
// key-value cache. lse may be overwritten, but holds no result.
void ts_attend_cached(ts_recorder *recorder, struct ts_attention_args *args);
void ts_attend_backward_q(ts_recorder *recorder, struct ts_attention_backward_q_args *args);
void ts_attend_backward_kv(ts_recorder *recorder, struct ts_attention_backward_kv_args *args);

#endif
