// Products with rounded operands, on matrix units or without: when they are used, with which tiles,
// and how operands are scaled.
#include "base/memory.h"
#include "ops/gemm.h"
#include "ops/tune.h"

#include <assert.h>
#include <string.h>

const char *ts_precision_name(ts_precision precision)
{
    const char *names[] = {"f32", "f16", "bf16"};
    return names[precision];
}

ts_dtype ts_precision_activations(ts_precision precision)
{
    return precision == TS_PRECISION_F16 ? TS_F16 : ts_precision_gradients(precision);
}

ts_dtype ts_precision_gradients(ts_precision precision)
{
    return precision == TS_PRECISION_BF16 ? TS_BF16 : TS_F32;
}

ts_dtype ts_precision_weights(ts_precision precision, ts_dtype stored)
{
    return precision == TS_PRECISION_F16 && stored == TS_BF16 ? TS_F16 : stored;
}

uint32_t ts_precision_shader(const ts_gpu_caps *caps, ts_precision precision)
{
    static const uint32_t of_f16[] = {TS_SHADER_gemm_cm_f16, TS_SHADER_gemm_dot};
    assert(precision != TS_PRECISION_F32); // its products are those of the kernel gemm
    for (size_t i = 0; i < TS_COUNT(of_f16) && precision == TS_PRECISION_F16; i++) {
        if (ts_kernel_suits(caps, TS_KERNEL_gemm_rounded, of_f16[i])) {
            return of_f16[i];
        }
    }
    return precision == TS_PRECISION_F16 ? TS_SHADER_gemm_half : TS_SHADER_gemm_cm_bf16;
}

ts_precision ts_precision_of(uint32_t shader)
{
    return shader == TS_SHADER_gemm_cm_bf16 ? TS_PRECISION_BF16 : TS_PRECISION_F16;
}

static bool on_units(uint32_t shader)
{
    return shader == TS_SHADER_gemm_cm_f16 || shader == TS_SHADER_gemm_cm_bf16;
}

// What is multiplied at a time. Without matrix units that is a number by a number; but an
// invocation loads eight along k.
static ts_matrix_shape shape_of(const ts_gpu_caps *caps, uint32_t shader)
{
    const ts_matrix_shape single = {1, 1, 8};
    return shader == TS_SHADER_gemm_cm_f16    ? caps->matrix_f16
           : shader == TS_SHADER_gemm_cm_bf16 ? caps->matrix_bf16
                                              : single;
}

bool ts_precision_offered(const ts_gpu_caps *caps, ts_precision precision)
{
    if (precision == TS_PRECISION_F32) {
        return true;
    }
    const uint32_t shader = ts_precision_shader(caps, precision);
    return ts_kernel_suits(caps, TS_KERNEL_gemm_rounded, shader) &&
           (on_units(shader) || caps->f16_pairs);
}

bool ts_precision_gains(const ts_gpu_caps *caps, ts_precision precision)
{
    return ts_precision_offered(caps, precision) && precision != TS_PRECISION_F32 &&
           ts_precision_shader(caps, precision) != TS_SHADER_gemm_half;
}

ts_status ts_precision_choose(const char *name, const ts_gpu_caps *caps, ts_precision *out,
                              ts_error *err)
{
    const ts_precision all[] = {TS_PRECISION_BF16, TS_PRECISION_F16, TS_PRECISION_F32};
    bool automatic = strcmp(name, "auto") == 0;
    for (size_t i = 0; i < TS_COUNT(all); i++) {
        bool offered = ts_precision_offered(caps, all[i]);
        bool gains = ts_precision_gains(caps, all[i]) && !ts_gpu_is_cpu(caps);
        if (automatic && (all[i] == TS_PRECISION_F32 || gains)) {
            *out = all[i];
            return TS_OK;
        }
        if (strcmp(name, ts_precision_name(all[i])) == 0) {
            *out = offered ? all[i] : TS_PRECISION_F32;
            return TS_OK;
        }
    }
    return ts_error_set(err, TS_ERR_ARGUMENT, "--precision %s: there are auto, f32, f16 and bf16",
                        name);
}

// Large tiles read their operands least often. But if there are only a few, most of a GPU is idle.
// false: the device cannot run the smallest.
static bool choose_tile(const ts_gpu_caps *caps, struct ts_gemm_rounded_args *args)
{
    enum { ENOUGH_TILES = 64, LARGE = 0, SMALL = 2 };
    // Side and invocations, on matrix units and without.
    static const uint32_t kinds[][3][2] = {{{128, 256}, {64, 128}, {32, 1}},
                                           {{128, 256}, {64, 64}, {32, 64}}};
    const bool units = on_units(args->shader);
    const uint32_t(*const shapes)[2] = kinds[units ? 0 : 1];
    bool many = ts_ceil_div(args->m, 128) * ts_ceil_div(args->n, 128) >= ENOUGH_TILES;
    // A CPU driver takes long to compile a large tile's unrolled loop, so it gets the smallest.
    for (int i = ts_gpu_is_cpu(caps) ? SMALL : many ? LARGE : LARGE + 1; i <= SMALL; i++) {
        ts_tile tile = {.family = units ? TS_FAMILY_CM : TS_FAMILY_DOT,
                        .m = shapes[i][0],
                        .n = shapes[i][0],
                        .local_size = shapes[i][1],
                        .buffers = 1};
        if (ts_tile_share_rounded(caps, args, &tile)) {
            ts_tile_set_rounded(&tile, args);
            return true;
        }
    }
    return false;
}

bool ts_gemm_rounded_choose(const ts_gpu_caps *caps, uint32_t shader, ts_layout layout,
                            struct ts_gemm_rounded_args *args)
{
    uint32_t a_row = layout == TS_TN ? args->m : args->k;
    uint32_t b_row = layout == TS_NT ? args->k : args->n;
    ts_matrix_shape matrix = shape_of(caps, shader);
    args->shader = shader;
    args->layout = layout;
    args->aligned = args->lda % 8 == 0 && args->ldb % 8 == 0 && a_row % 8 == 0 && b_row % 8 == 0;
    args->matrix_m = matrix.m, args->matrix_n = matrix.n, args->matrix_k = matrix.k;
    args->subgroup_size = on_units(shader) ? caps->full_subgroup : 1;
    args->k_step = caps->registers > 0 && caps->registers <= 128 ? 16 : 32;
    if (ts_precision_of(shader) == TS_PRECISION_F16) {
        args->scaled = (args->a.dtype == TS_F16 ? 0 : 1) | (args->b.dtype == TS_F32 ? 2 : 0);
    }
    args->split = 1;
    if (!choose_tile(caps, args)) {
        return false;
    }
    args->split =
        ts_gemm_split(caps, ts_ceil_div(args->m, args->tile_m) * ts_ceil_div(args->n, args->tile_n),
                      args->m, args->n, args->k, args->k_step);
    if (args->split > 1) {
        const uint32_t elements = args->tile_m * args->tile_n;
        // Where the parts' registers leave it fewer sums, they cost more than they gain.
        if (!choose_tile(caps, args) || args->tile_m * args->tile_n < elements) {
            args->split = 1;
            choose_tile(caps, args);
        }
    }
    return true;
}

// A product with fewer rows or columns than this leaves most of a tile empty.
static bool is_worth_it(uint32_t m, uint32_t n, uint32_t k)
{
    return m >= 16 && n >= 16 && k >= 16;
}

// Whether each term of the product has whole steps of k, and if it is scaled, the largest element
// of all is known: there may be anything between the terms in memory, so that it cannot be
// searched.
static bool takes_terms(const ts_recorder *recorder, const ts_product *p,
                        const struct ts_gemm_rounded_args *args)
{
    return args->added == 0 ||
           (args->aligned && args->term_1 % args->k_step == 0 &&
            (args->added < 2 || args->term_2 % args->k_step == 0) && !(args->scaled & 2) &&
            (!(args->scaled & 1) || ts_recorder_still_derived(recorder, p->a, p->largest_a)));
}

// Finds the largest of the first `count` elements of x. Does nothing if it is known already, from
// an earlier product of the same tensor or from the kernel that wrote it.
static void find_largest(ts_recorder *recorder, ts_view x, uint32_t count, ts_view largest)
{
    x = ts_view_slice(x, 0, count);
    if (!ts_recorder_still_derived(recorder, x, largest)) {
        ts_absmax(recorder, &(struct ts_absmax_args){.x = x, .largest = largest, .count = count});
        ts_recorder_derived(recorder, x, largest);
    }
}

bool ts_precision_adds(const ts_gpu_caps *caps, ts_precision precision, uint32_t rows)
{
    const bool rounds = precision != TS_PRECISION_F32 && ts_precision_offered(caps, precision);
    return is_worth_it(rows, UINT32_MAX, UINT32_MAX) && (rounds || !ts_gpu_is_simd(caps));
}

// Lets gemm_rounded find the largest elements of what follows from c too, if these are wanted and
// in F32, and are found by gemm_rounded (no epilogue: by another kernel).
static void join_largest(const ts_product *p, struct ts_gemm_rounded_args *args)
{
    if (p->largest_result.buffer != NULL && (p->swiglu != NULL || p->swiglu_backward != NULL) &&
        args->epilogue != 0 && args->gated.dtype == TS_F32) {
        args->finds_largest = 1;
        args->largest = p->largest_result;
    }
}

// That it has found them, of one tensor or of two that the next product reads as one.
static void remember_largest(ts_recorder *recorder, const struct ts_gemm_rounded_args *args)
{
    const uint64_t count = (uint64_t)args->m * args->n;
    ts_view views[2], span;
    uint32_t found = 0, first[2];
    if (!args->finds_largest) {
        return;
    }
    if (args->epilogue == TS_EPILOGUE_SWIGLU_BACKWARD) {
        views[found++] = ts_view_slice(args->c, 0, count);
    }
    views[found++] = ts_view_slice(args->gated, 0, count);
    if (ts_view_span(views, found, &span, first)) {
        ts_recorder_derived(recorder, span, args->largest);
    }
}

// Sees to the largest elements of operands that are scaled.
static void find_operands(ts_recorder *recorder, const ts_rounding *rounding, const ts_product *p,
                          struct ts_gemm_rounded_args *args)
{
    if ((args->scaled & 2) && p->largest_b.buffer != NULL) {
        args->largest_b = p->largest_b;
    } else if (args->scaled & 2) {
        ts_absmax(recorder, &(struct ts_absmax_args){
                                .x = p->b, .largest = rounding->largest_b, .count = p->n * p->k});
    }
    if (args->scaled & 1) {
        if (p->largest_a.buffer != NULL) {
            args->largest_a = p->largest_a;
        }
        if (args->added == 0) { // the gaps between rows too: they hold values of a similar size
            uint32_t rows = p->layout == TS_TN ? p->k : p->m;
            uint32_t cols = p->layout == TS_TN ? p->m : p->k;
            find_largest(recorder, p->a, (rows - 1) * args->lda + cols, args->largest_a);
        }
    }
}

bool ts_multiply_rounded(ts_recorder *recorder, const ts_rounding *rounding, const ts_product *p)
{
    const ts_gpu_caps *caps = ts_gpu_capabilities(ts_recorder_gpu(recorder));
    assert(p->extra.k == 0 || p->layout != TS_TN);
    assert(!p->accumulate ||
           (p->swiglu == NULL && p->swiglu_backward == NULL && p->addend.buffer == NULL));
    if (rounding->precision == TS_PRECISION_F32 ||
        !ts_precision_offered(caps, rounding->precision) || !is_worth_it(p->m, p->n, p->k)) {
        return ts_multiply(recorder, p);
    }
    struct ts_gemm_rounded_args args = {
        TS_PRODUCT_ARGS(p),
        .largest_a = rounding->largest_a,
        .largest_b = rounding->largest_b,
        .largest = p->c,
    };
    const ts_epilogue epilogue = ts_product_epilogue(p);
    TS_SET_EPILOGUE(&args, &epilogue);
    join_largest(p, &args);
    if (!ts_gemm_rounded_choose(caps, ts_precision_shader(caps, rounding->precision), p->layout,
                                &args) ||
        !ts_tune_gemm_rounded(recorder, &args)) {
        return ts_multiply(recorder, p);
    }
    if (!takes_terms(recorder, p, &args)) {
        return false;
    }
    find_operands(recorder, rounding, p, &args);
    ts_gemm_find_partials(recorder, &args.split, &args.partials);
    ts_gemm_rounded(recorder, &args);
    if (ts_recorder_leaves_out(recorder,
                               ts_kernels[TS_KERNEL_gemm_rounded].shaders[args.shader].name)) {
        return ts_multiply(recorder, p);
    }
    remember_largest(recorder, &args);
    if (epilogue.kind == TS_EPILOGUE_NONE) {
        ts_product_follow(recorder, p);
    }
    return true;
}

void ts_matmul_rounded(ts_recorder *recorder, const ts_rounding *rounding, const ts_product *p)
{
    ts_multiply_rounded(recorder, rounding, p);
}
