// Matrix products: one call, the family and tiles chosen for the device and the shape.
#ifndef TS_OPS_GEMM_H
#define TS_OPS_GEMM_H

#include "ops/kernels.h"

typedef enum ts_layout {
    TS_NT, // c[m, n] = a[m, k] b[n, k]^T: a linear layer forward, b its weight [out, in]
    TS_NN, // c[m, n] = a[m, k] b[k, n]: the same layer backward, by the same weight
    TS_TN, // c[m, n] = a[k, m]^T b[k, n]: a LoRA matrix's gradient
} ts_layout;

// c = alpha * (a times b) + (accumulate ? c : 0), all densely packed rows. b may be stored in 16
// bits; a and c are F32.
void ts_matmul(ts_recorder *recorder, ts_layout layout, uint32_t m, uint32_t n, uint32_t k,
               ts_view a, ts_view b, ts_view c, float alpha, bool accumulate);

// The choice itself: fills shader and constants of `args`, whose scalars and b are set.
void ts_gemm_choose(const ts_gpu_caps *caps, ts_layout layout, struct ts_gemm_args *args);

#endif
