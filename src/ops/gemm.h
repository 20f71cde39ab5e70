// Matrix products: one call, the family and tiles chosen for the device and the shape.
#ifndef TS_OPS_GEMM_H
#define TS_OPS_GEMM_H

#include "ops/kernels.h"

typedef enum ts_layout {
    TS_NT, // c[m, n] = a[m, k] b[n, k]^T: a linear layer forward, b its weight [out, in]
    TS_NN, // c[m, n] = a[m, k] b[k, n]: the same layer backward, by the same weight
    TS_TN, // c[m, n] = a[k, m]^T b[k, n]: a LoRA matrix's gradient
} ts_layout;

// A further pair of operands whose product goes into the same sums: a LoRA pair's share of its
// layer. Both are F32, laid out as the product's own (NT or NN), with k of their own.
typedef struct ts_product_extra {
    ts_view a, b;
    uint32_t k; // 0: there is none
    float scale;
} ts_product_extra;

// c = alpha * (a b + extra.scale * extra.a extra.b) + (accumulate ? c : 0), all densely packed
// rows. b may be stored as any type of base/weights.def whose blocks divide its rows (of k for NT,
// of n for NN); a and c are F32.
typedef struct ts_product {
    ts_layout layout;
    uint32_t m, n, k;
    ts_view a, b, c;
    float alpha;
    bool accumulate;
    ts_product_extra extra;
} ts_product;

void ts_matmul(ts_recorder *recorder, const ts_product *product);

// Those arguments of the kernels gemm and gemm_cm that follow from a product alone.
#define TS_PRODUCT_ARGS(p)                                                                         \
    .a = (p)->a, .b = (p)->b, .c = (p)->c, .extra_a = (p)->extra.k > 0 ? (p)->extra.a : (p)->a,    \
    .extra_b = (p)->extra.k > 0 ? (p)->extra.b : (p)->a, .m = (p)->m, .n = (p)->n, .k = (p)->k,    \
    .lda = (p)->layout == TS_TN ? (p)->m : (p)->k, .ldb = (p)->layout == TS_NT ? (p)->k : (p)->n,  \
    .ldc = (p)->n, .alpha = (p)->alpha, .accumulate = (p)->accumulate, .extra_k = (p)->extra.k,    \
    .extra_scale = (p)->extra.scale, .extra = (p)->extra.k > 0

// What the operands of a product are rounded to; the sums are f32 always.
typedef enum ts_precision { TS_PRECISION_F32, TS_PRECISION_F16, TS_PRECISION_BF16 } ts_precision;
const char *ts_precision_name(ts_precision precision);

// The shader of gemm_cm that rounds to f16 or bf16, and what such a shader rounds to.
uint32_t ts_precision_shader(ts_precision precision);
ts_precision ts_precision_of(uint32_t shader);

// Whether the device has matrix units for that precision; f32 needs none.
bool ts_precision_offered(const ts_gpu_caps *caps, ts_precision precision);
// What --precision NAME means on this device: f32, f16, bf16, or auto, which is bf16 or f16 where
// the device has matrix units for it (a CPU has none worth it). A precision that the device does
// not offer becomes f32, which is more exact; callers say so. A name that is none of these is
// TS_ERR_ARGUMENT.
ts_status ts_precision_choose(const char *name, const ts_gpu_caps *caps, ts_precision *out,
                              ts_error *err);

// Multiplies numbers that are exact in `precision` with the tiles that a model would use and holds
// the results against the mirror: *error is the largest relative error, at most 1e-6 where all is
// well. Errors: what the device says when a pipeline cannot be built or run.
ts_status ts_precision_test(ts_gpu *gpu, ts_precision precision, double *error, ts_error *err);

// How products may be rounded, and for f16 the memory that scaling their operands takes.
typedef struct ts_rounding {
    ts_precision precision;       // one that the device offers; zeroed: f32
    ts_view largest_a, largest_b; // [256] F32, used by one product after another
} ts_rounding;

// ts_matmul with a and b rounded as `rounding` says, where the product is large enough to gain by
// it; the extra pair is not. Operands of any size keep f16's accuracy: each in f32 is scaled by its
// own largest element.
void ts_matmul_rounded(ts_recorder *recorder, const ts_rounding *rounding,
                       const ts_product *product);

// The choice itself: fills shader and constants of `args`, whose scalars and b are set.
void ts_gemm_choose(const ts_gpu_caps *caps, ts_layout layout, struct ts_gemm_args *args);
void ts_gemm_cm_choose(const ts_gpu_caps *caps, ts_precision precision, ts_layout layout,
                       struct ts_gemm_cm_args *args);

// The other way to run `args` (ts_gemm_choose's, of dense a): by the kernels pack_rows and
// gemm_packed, to the same bits as gemm_simd's. Whether the device suits it, and whether it and the
// product do; it needs scratch (ts_recorder_scratch).
bool ts_gemm_packed_suits(const ts_gpu_caps *caps);
bool ts_gemm_packed_fits(const ts_gpu_caps *caps, const struct ts_gemm_args *args);
void ts_gemm_packed_run(ts_recorder *recorder, const struct ts_gemm_args *args, ts_view scratch);

#endif
