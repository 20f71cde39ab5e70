// Matrix products. One call chooses the shader and its tiles for the device and the shape.
#ifndef TS_OPS_GEMM_H
#define TS_OPS_GEMM_H

#include "ops/kernels.h"

typedef enum ts_layout {
    TS_NT, // c[m, n] = a[m, k] b[n, k]^T: a linear layer forward, b its weight [out, in]
    TS_NN, // c[m, n] = a[m, k] b[k, n]: the same layer backward, by the same weight
    TS_TN, // c[m, n] = a[k, m]^T b[k, n]: a LoRA matrix's gradient
} ts_layout;

// A second pair of operands whose product is added to the same sums: a LoRA pair's contribution to
// its layer. Both are F32 and laid out like the first pair (NT or NN), with a k of their own.
typedef struct ts_product_extra {
    ts_view a, b;
    uint32_t k; // 0: there is none
    float scale;
} ts_product_extra;

// Where the terms of a sum of products lie in the views of its a, b and extra pairs
// (shaders/include/terms.glsl): the place in k, and the first elements. Of [0] only its extra's k
// counts.
typedef struct ts_product_terms {
    uint32_t count;
    uint32_t begin[TS_MOST_TOGETHER], a[TS_MOST_TOGETHER], b[TS_MOST_TOGETHER];
    uint32_t extra_k[TS_MOST_TOGETHER], extra_a[TS_MOST_TOGETHER], extra_b[TS_MOST_TOGETHER];
} ts_product_terms;

// c = alpha * (a b + extra.scale * extra.a extra.b) + (accumulate ? c : 0). Rows are densely
// packed, but those of a and c may lie further apart: lda and ldc elements, 0 meaning dense. b may
// be stored as any type of base/weights.def whose blocks divide its rows (k long in NT, n long in
// NN and TN), a and c as F32, or as F16 or BF16 if their rows are multiples of 8.
typedef struct ts_product {
    ts_layout layout;
    uint32_t m, n, k;
    ts_view a, b, c;
    uint32_t lda, ldc;
    float alpha;
    bool accumulate;
    ts_product_extra extra;
    ts_view largest_b; // [TS_LARGEST_COUNT] F32 of b, as `absmax` finds them; no buffer: not known
    // Where those of a are, unless a has changed since (ts_recorder_derived), or shall be; no
    // buffer: in the rounding's own.
    ts_view largest_a;
    // What follows from c, or NULL: `swiglu` with c as up, or `swiglu_backward` with c as dy. Where
    // the product's kernel can do it too, it is the same dispatch, and that dy is nowhere stored.
    // Views have c's rows, densely packed; nothing is accumulated.
    const struct ts_swiglu_args *swiglu;
    const struct ts_swiglu_backward_args *swiglu_backward;
    ts_view addend; // [m, n] F32 as c is, which it is added to; no buffer: nothing is
    // Where the largest elements of what follows may be put on the way if they are F32: of swiglu's
    // y, or of dgate and dup together. Zero before. No buffer: nowhere.
    ts_view largest_result;
    const ts_product_terms *terms; // set by ts_matmul_sum alone
} ts_product;

// Records the product, computed in f32, and what follows. TN takes no extra pair.
void ts_matmul(ts_recorder *recorder, const ts_product *product);

// The arguments of the kernels gemm and gemm_rounded that follow from the product alone. A view
// must be given for the extra pair even if there is none; it is then a.
#define TS_PRODUCT_ARGS(p)                                                                         \
    .a = (p)->a, .b = (p)->b, .c = (p)->c, .partials = (p)->c,                                     \
    .extra_a = (p)->extra.k > 0 ? (p)->extra.a : (p)->a,                                           \
    .extra_b = (p)->extra.k > 0 ? (p)->extra.b : (p)->a, .m = (p)->m, .n = (p)->n, .k = (p)->k,    \
    .lda = (p)->lda > 0           ? (p)->lda                                                       \
           : (p)->layout == TS_TN ? (p)->m                                                         \
                                  : (p)->k,                                                        \
    .ldb = (p)->layout == TS_NT ? (p)->k : (p)->n, .ldc = (p)->ldc > 0 ? (p)->ldc : (p)->n,        \
    .alpha = (p)->alpha, .accumulate = (p)->accumulate, .extra_k = (p)->extra.k,                   \
    .extra_scale = (p)->extra.scale, .extra = (p)->extra.k > 0,                                    \
    TS_TERMS_ARGS(ts_product_terms_of(p))
#define TS_TERMS_ARGS(t)                                                                           \
    .added = (t)->count - 1, .term_1 = (t)->begin[1], .term_2 = (t)->begin[2], .a_1 = (t)->a[1],   \
    .a_2 = (t)->a[2], .b_1 = (t)->b[1], .b_2 = (t)->b[2], .extra_k_1 = (t)->extra_k[1],            \
    .extra_k_2 = (t)->extra_k[2], .extra_a_1 = (t)->extra_a[1], .extra_a_2 = (t)->extra_a[2],      \
    .extra_b_1 = (t)->extra_b[1], .extra_b_2 = (t)->extra_b[2]
static inline const ts_product_terms *ts_product_terms_of(const ts_product *p)
{
    static const ts_product_terms one = {.count = 1};
    return p->terms != NULL ? p->terms : &one;
}

// What a product's kernel does with its sums on the way (the constant `epilogue` of gemm and
// gemm_rounded).
typedef enum ts_epilogue_kind {
    TS_EPILOGUE_NONE,
    TS_EPILOGUE_SWIGLU,
    TS_EPILOGUE_SWIGLU_BACKWARD,
    TS_EPILOGUE_ADD,
} ts_epilogue_kind;
typedef struct ts_epilogue {
    ts_epilogue_kind kind;
    bool gelu;
    ts_view c, gate, up, gated; // any view where it has none
} ts_epilogue;

// That of a product: NONE if nothing follows from c, or if its rows are not whole quads.
ts_epilogue ts_product_epilogue(const ts_product *product);
#define TS_SET_EPILOGUE(args, e)                                                                   \
    ((args)->epilogue = (e)->kind, (args)->gelu = (e)->gelu, (args)->c = (e)->c,                   \
     (args)->gate = (e)->gate, (args)->up = (e)->up, (args)->gated = (e)->gated)

// Records only what follows from a product's c, where its kernel has not done it.
void ts_product_follow(ts_recorder *recorder, const ts_product *product);

// What the operands of a product are rounded to. The sums are always f32.
typedef enum ts_precision { TS_PRECISION_F32, TS_PRECISION_F16, TS_PRECISION_BF16 } ts_precision;
const char *ts_precision_name(ts_precision precision);

// How a pass that trains stores what its products and attention read and write, and the gradients
// of these. bf16 has the range of f32, so that its tensors need no scale. f16 has not: a scale that
// suits a gradient is known only when it has been computed. So with f16 gradients stay in f32.
ts_dtype ts_precision_activations(ts_precision precision);
ts_dtype ts_precision_gradients(ts_precision precision);

// The type in which a device should hold weights that are stored as `stored`, for products in that
// precision. f16: BF16 becomes F16, to which each product would round it, and F32, which products
// scale, stays. bf16: F16 stays, for products of few rows, which are not rounded, would lose three
// bits.
ts_dtype ts_precision_weights(ts_precision precision, ts_dtype stored);

// The shader of gemm_rounded that rounds to a precision (f16 or bf16) on a device, and the reverse.
uint32_t ts_precision_shader(const ts_gpu_caps *caps, ts_precision precision);
ts_precision ts_precision_of(uint32_t shader);

// Whether products can be in that precision: on matrix units, in f16 also by pairs; f32 needs none.
bool ts_precision_offered(const ts_gpu_caps *caps, ts_precision precision);
// Whether it is faster with it than in f32: not if pairs have to be widened.
bool ts_precision_gains(const ts_gpu_caps *caps, ts_precision precision);
// What --precision NAME means on this device. `name` is f32, f16, bf16 or auto; any other is
// TS_ERR_ARGUMENT. auto is bf16 or f16 if a GPU gains by it, otherwise f32: matrix units of
// CPU drivers are too slow. A precision that the device does not offer becomes f32, which
// is more exact; the caller should report that.
ts_status ts_precision_choose(const char *name, const ts_gpu_caps *caps, ts_precision *out,
                              ts_error *err);

// Whether products of so many rows in that precision add their `addend` on the way.
bool ts_precision_adds(const ts_gpu_caps *caps, ts_precision precision, uint32_t rows);

// Multiplies numbers that `precision` holds exactly, with the tiles that a model would use, and
// compares the results with the CPU mirror. *error is the largest relative error; correct matrix
// units stay within 1e-6. Errors: out of memory, or a pipeline that cannot be built or run.
ts_status ts_precision_test(ts_gpu *gpu, ts_precision precision, double *error, ts_error *err);

enum { TS_LARGEST_COUNT = 256 }; // numbers that `absmax` writes

// How products may be rounded. f16 needs some memory for the scales of the operands.
typedef struct ts_rounding {
    ts_precision precision;       // one that the device offers; zeroed: f32
    ts_view largest_a, largest_b; // [256] F32 each, used by one product after another
} ts_rounding;

// Like ts_matmul, but rounds a and b as `rounding` says if the product is large enough to gain from
// it. The extra pair is never rounded. Operands with very large or very small elements keep f16's
// accuracy, because each f32 operand is scaled by its largest element.
void ts_matmul_rounded(ts_recorder *recorder, const ts_rounding *rounding,
                       const ts_product *product);

// Records the sum of up to three such products (NN, with the same m, n, c and alpha, nothing that
// follows; only the first one's `accumulate` counts). Where their a, their b and their extra pairs
// lie each in one buffer, in this order, a GPU does it in one dispatch that writes c once; else it
// is one product after the other. In f16, a in F32 must have its largest elements in the first
// one's largest_a, which then are those of the ts_view_span of all a.
void ts_matmul_sum(ts_recorder *recorder, const ts_rounding *rounding, const ts_product *products,
                   uint32_t count);

// The same as ts_matmul and ts_matmul_rounded, but false, with nothing recorded, where the device's
// shader does not take the product's terms.
bool ts_multiply(ts_recorder *recorder, const ts_product *product);
bool ts_multiply_rounded(ts_recorder *recorder, const ts_rounding *rounding,
                         const ts_product *product);

static inline bool ts_gemm_is_vec(uint32_t shader)
{
    return shader == TS_SHADER_gemm_vec || shader == TS_SHADER_gemm_vec_asking;
}

// Choose without measuring: set the shader and constants of `args`, whose scalars and b are set.
// The second returns false if none of gemm_rounded's tiles fits the device.
void ts_gemm_choose(const ts_gpu_caps *caps, ts_layout layout, struct ts_gemm_args *args);
bool ts_gemm_rounded_choose(const ts_gpu_caps *caps, uint32_t shader, ts_layout layout,
                            struct ts_gemm_rounded_args *args);

// Into how many parts gemm_vec and gemm_rounded divide the k of a product with so few tiles that
// most of a GPU would be idle; 1 if it should not be divided. A part has several steps, lest adding
// up takes longer than it saves. `tiles` are of the size that the rule chooses: whichever are
// measured to be the fastest then add up alike and give the same bits.
uint32_t ts_gemm_split(const ts_gpu_caps *caps, uint64_t tiles, uint32_t m, uint32_t n, uint32_t k,
                       uint32_t k_step);
// Sees to memory for the sums of so many parts. Without any, k is not divided.
void ts_gemm_find_partials(ts_recorder *recorder, uint32_t *split, ts_view *partials);

// Another way to run `args` (as ts_gemm_choose sets them, a with dense rows): by the kernels
// pack_rows and gemm_packed, with the same bits as gemm_simd. _suits tells whether the device is
// fast at it, _fits whether the product can also run so. `scratch` is ts_recorder_scratch's.
bool ts_gemm_packed_suits(const ts_gpu_caps *caps);
bool ts_gemm_packed_fits(const ts_gpu_caps *caps, const struct ts_gemm_args *args);
// _rows and _columns: of a tile of c.
uint32_t ts_gemm_packed_rows(const ts_gpu_caps *caps, uint32_t layout);
uint32_t ts_gemm_packed_columns(const ts_gpu_caps *caps, uint32_t layout);
void ts_gemm_packed_run(ts_recorder *recorder, const struct ts_gemm_args *args, ts_view scratch);

#endif
