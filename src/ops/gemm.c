#include "ops/gemm.h"

#include "base/memory.h"
#include "ops/cpu.h"
#include "ops/tune.h"

#include <assert.h>

// Whether A's rows can be read in whole loads of 4 elements and B's in whole loads of `b_step`:
// each row begins and ends at a multiple of these.
static bool is_aligned(const struct ts_gemm_args *args, uint32_t b_step)
{
    uint32_t a_row = args->layout == TS_TN ? args->m : args->k;
    uint32_t b_row = args->layout == TS_NT ? args->k : args->n;
    return args->lda % 4 == 0 && a_row % 4 == 0 && args->ldb % b_step == 0 && b_row % b_step == 0;
}

// How many neighbours of B gemv_simd reads with few loads, as weight_span in weight.glsl does; 8
// for other types and rows.
static uint32_t span_of(const struct ts_gemm_args *args)
{
    const ts_dtype type = args->b.dtype;
    uint32_t span = type == TS_F16 || type == TS_BF16                        ? 16
                    : type == TS_Q8_0 || type == TS_NF4 || type == TS_NF4_16 ? 64
                                                                             : 8;
    return args->k % span == 0 && args->ldb % span == 0 ? span : 8;
}

// For few rows, chooses the shader that is made for them, if k is long enough (on a GPU its
// invocations divide k among them). There, tiles of 64 rows would be almost empty. On a CPU driver
// gemm_simd is as fast from 3 rows on.
static bool choose_gemv(const ts_gpu_caps *caps, struct ts_gemm_args *args)
{
    bool simd = ts_gpu_is_simd(caps);
    uint32_t shader = simd ? TS_SHADER_gemv_simd : TS_SHADER_gemv;
    uint32_t most_rows = simd ? 2 : 8, local_size = simd ? caps->subgroup_size : 64;
    if (args->layout != TS_NT || args->m > most_rows || args->k < 8 * local_size ||
        !ts_kernel_suits(caps, TS_KERNEL_gemm, shader)) {
        return false;
    }
    args->shader = shader;
    args->local_size = local_size;
    args->tile_m = args->m;
    args->part_n = 4; // columns, of each lane if lanes are a SIMD register's
    args->tile_n = simd ? args->part_n * local_size : args->part_n;
    args->k_step = simd ? span_of(args) : 0;
    return true;
}

uint32_t ts_gemm_split(const ts_gpu_caps *caps, uint64_t tiles, uint32_t m, uint32_t n, uint32_t k,
                       uint32_t k_step)
{
    enum { SMALLEST = 32, LARGEST = 128, ENOUGH = 192, FEWEST_STEPS = 16, MOST = 8 }; // sides
    const uint64_t most_tiles = ts_ceil_div(m, SMALLEST) * ts_ceil_div(n, SMALLEST);
    const uint64_t elements = ts_align_up(m, LARGEST) * ts_align_up(n, LARGEST);
    uint32_t split = 1;
    while (!ts_gpu_is_cpu(caps) && most_tiles <= TS_PARTIAL_TILES && tiles * split < ENOUGH &&
           2 * split <= MOST && 2 * split * elements <= TS_PARTIALS - TS_PARTIAL_TILES &&
           k % (2 * split * k_step) == 0 && k / (2 * split) >= FEWEST_STEPS * k_step) {
        split *= 2;
    }
    return split;
}

void ts_gemm_find_partials(ts_recorder *recorder, uint32_t *split, ts_view *partials)
{
    if (*split > 1) {
        const ts_view found = ts_recorder_partials(recorder);
        *partials = found.buffer != NULL ? found : *partials;
        *split = found.buffer != NULL ? *split : 1;
    }
}

// A tile of gemm_vec. If the device cannot run 256 invocations, 128 take a tile half as wide, so
// that each keeps as many sums.
static void choose_vec_tile(const ts_gpu_caps *caps, struct ts_gemm_args *args)
{
    args->shader = TS_SHADER_gemm_vec;
    args->local_size = caps->max_invocations >= 256 ? 256 : 128;
    args->tile_m = 64;
    args->tile_n = args->part_n = args->local_size / 4;
    args->k_step = 16;
    args->rows = args->columns = 4;
    const uint32_t across = args->tile_n / args->columns;
    if (caps->free_broadcasts && across % caps->full_subgroup == 0 &&
        ts_kernel_suits(caps, TS_KERNEL_gemm, TS_SHADER_gemm_vec_asking)) {
        args->shader = TS_SHADER_gemm_vec_asking;
        args->subgroup_size = caps->full_subgroup;
    }
    ts_tile_enlarge(caps, args);
}

static void choose_vec(const ts_gpu_caps *caps, struct ts_gemm_args *args)
{
    choose_vec_tile(caps, args);
    args->split =
        ts_gemm_split(caps, ts_ceil_div(args->m, args->tile_m) * ts_ceil_div(args->n, args->tile_n),
                      args->m, args->n, args->k, args->k_step);
    if (args->split > 1) {
        const uint32_t elements = args->tile_m * args->tile_n;
        choose_vec_tile(caps, args);
        // Where the parts' registers leave it fewer sums, they cost more than they gain.
        if (args->tile_m * args->tile_n < elements) {
            args->split = 1;
            choose_vec_tile(caps, args);
        }
    }
}

void ts_gemm_choose(const ts_gpu_caps *caps, ts_layout layout, struct ts_gemm_args *args)
{
    args->layout = layout;
    args->split = 1;
    // A load of B takes eight elements, or four if 16 bytes hold no more (WEIGHT_STEP in
    // weight.glsl).
    args->aligned = is_aligned(args, args->b.dtype == TS_F32 ? 4 : 8);
    if (choose_gemv(caps, args)) {
        return;
    }
    if (!ts_cpu_choose_gemm(caps, args)) {
        args->aligned = is_aligned(args, 4);
        choose_vec(caps, args);
    }
}

// Multiplies by gemm_packed. false: the product is still to be done.
static bool multiply_packed(ts_recorder *recorder, const struct ts_gemm_args *args)
{
    if (!ts_gemm_packed_fits(ts_gpu_capabilities(ts_recorder_gpu(recorder)), args)) {
        return false;
    }
    const ts_view scratch = ts_recorder_scratch(recorder);
    if (scratch.buffer == NULL) {
        return false;
    }
    ts_gemm_packed_run(recorder, args, scratch);
    return !ts_recorder_leaves_out(recorder, "pack_rows") &&
           !ts_recorder_leaves_out(recorder, "gemm_packed");
}

// Whether the shader chosen takes the product's terms: gemm_vec, if each has whole steps of k.
static bool takes_terms(const struct ts_gemm_args *args)
{
    return args->added == 0 ||
           (args->aligned && ts_gemm_is_vec(args->shader) && args->term_1 % args->k_step == 0 &&
            (args->added < 2 || args->term_2 % args->k_step == 0));
}

static ts_epilogue no_epilogue(const ts_product *p)
{
    return (ts_epilogue){.c = p->c, .gate = p->a, .up = p->a, .gated = p->c};
}

ts_epilogue ts_product_epilogue(const ts_product *p)
{
    const struct ts_swiglu_args *forward = p->swiglu;
    const struct ts_swiglu_backward_args *backward = p->swiglu_backward;
    ts_epilogue e = no_epilogue(p);
    if (p->n % 4 != 0) {
        return e;
    }
    if (forward != NULL) {
        e.kind = TS_EPILOGUE_SWIGLU;
        e.gelu = forward->gelu;
        e.gate = forward->gate;
        e.gated = forward->y;
    } else if (backward != NULL) {
        e.kind = TS_EPILOGUE_SWIGLU_BACKWARD;
        e.gelu = backward->gelu;
        e.gate = backward->gate;
        e.up = backward->up;
        e.c = backward->dgate;
        e.gated = backward->dup;
    } else if (p->addend.buffer != NULL) {
        e.kind = TS_EPILOGUE_ADD;
        e.gate = p->addend;
    }
    return e;
}

// The mirror computes in double, and would make swiglu's output of a c that was not rounded to 16
// bits.
static bool would_not_round(const ts_recorder *recorder, const ts_epilogue *epilogue)
{
    return ts_gpu_is_mirror(ts_recorder_gpu(recorder)) && epilogue->kind == TS_EPILOGUE_SWIGLU &&
           epilogue->c.dtype != TS_F64;
}

// Records the product, with `epilogue` if its shader can do that; else it becomes NONE. false: the
// shader does not take the product's terms.
static bool multiply(ts_recorder *recorder, const ts_product *p, ts_epilogue *epilogue)
{
    assert(p->extra.k == 0 || p->layout != TS_TN);
    struct ts_gemm_args args = {
        TS_PRODUCT_ARGS(p),
    };
    const ts_gpu_caps *caps = ts_gpu_capabilities(ts_recorder_gpu(recorder));
    const ts_kernel_shader *shaders = ts_kernels[TS_KERNEL_gemm].shaders;
    ts_gemm_choose(caps, p->layout, &args);
    if (!takes_terms(&args)) {
        return false;
    }
    if (!ts_gemm_is_vec(args.shader) || would_not_round(recorder, epilogue)) {
        *epilogue = no_epilogue(p);
    }
    TS_SET_EPILOGUE(&args, epilogue);
    if (!ts_gpu_leaves_out(
            caps, shaders[TS_SHADER_gemm_simd].name) && // measuring ignores what is left out
        !ts_tune_gemm(recorder, &args) &&
        multiply_packed(recorder, &args)) {
        return true;
    }
    ts_gemm_find_partials(recorder, &args.split, &args.partials);
    ts_gemm(recorder, &args);
    while (args.shader != TS_SHADER_gemm_vec &&
           ts_recorder_leaves_out(recorder, shaders[args.shader].name)) {
        ts_gemm_choose(caps, p->layout, &args);
        ts_gemm_find_partials(recorder, &args.split, &args.partials);
        ts_gemm(recorder, &args);
    }
    return true;
}

bool ts_multiply(ts_recorder *recorder, const ts_product *p)
{
    ts_epilogue epilogue = ts_product_epilogue(p);
    const bool done = multiply(recorder, p, &epilogue);
    if (done && epilogue.kind == TS_EPILOGUE_NONE) {
        ts_product_follow(recorder, p);
    }
    return done;
}

void ts_product_follow(ts_recorder *recorder, const ts_product *p)
{
    if (p->addend.buffer != NULL) {
        ts_add(recorder, &(struct ts_add_args){.y = p->c, .x = p->addend, .count = p->m * p->n});
    }
    if (p->swiglu != NULL) {
        ts_swiglu(recorder, p->swiglu);
    }
    if (p->swiglu_backward != NULL) {
        ts_swiglu_backward(recorder, p->swiglu_backward);
    }
}

void ts_matmul(ts_recorder *recorder, const ts_product *p)
{
    ts_multiply(recorder, p);
}
