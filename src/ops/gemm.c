#include "ops/gemm.h"

#include "base/memory.h"
#include "ops/tune.h"

#include <assert.h>

// Whether 64 rows a tile beat 32: they take 1.72 times as long (measured on llvmpipe), and a driver
// needs seconds to compile them, which only a large weight pays back. TinyLlama's smallest, of keys
// and values, counts as one, so that it shares the others' pipeline.
static bool is_worth_tall_tiles(const struct ts_gemm_args *args)
{
    enum { LARGE_WEIGHT = 1 << 19 };
    return args->layout != TS_TN && (uint64_t)args->n * args->k >= LARGE_WEIGHT &&
           172 * ts_ceil_div(args->m, 64) < 100 * ts_ceil_div(args->m, 32);
}

// Rows of a tile and columns of a lane: tall tiles use each loaded weight more often, but rows that
// are not there cost as much as those that are. Measured on llvmpipe at TinyLlama's shapes.
static void choose_simd_tile(struct ts_gemm_args *args)
{
    bool transposed = args->layout == TS_TN; // whose tiles have a multiple of 4 rows
    if (args->m == 1 && !transposed) {
        args->tile_m = 1, args->tile_5 = 8; // where gemv_simd does not run
    } else if (args->m <= 8) {
        args->tile_m = 8, args->tile_5 = 16;
    } else if (!args->aligned && args->k < 8) {
        args->tile_m = 8, args->tile_5 = 8;
    } else if (args->n <= 64) {
        uint32_t highest = transposed ? 64 : 32; // TN loads B anew for every tile
        args->tile_m = (uint32_t)ts_min_u64(highest, ts_align_up(args->m, 8)), args->tile_5 = 8;
    } else if (is_worth_tall_tiles(args)) {
        args->tile_m = 64, args->tile_5 = 16;
    } else {
        // What is left in 32s; one or two tiles just high enough.
        uint32_t tiles = (uint32_t)ts_ceil_div(args->m, 32);
        uint32_t height = (uint32_t)ts_align_up(ts_ceil_div(args->m, tiles), 8);
        args->tile_m = tiles <= 2 ? height : 32, args->tile_5 = 16;
    }
}

// Whether rows of A are whole loads of 4 elements, and those of B of `b_step`.
static bool is_aligned(const struct ts_gemm_args *args, uint32_t b_step)
{
    uint32_t a_row = args->layout == TS_TN ? args->m : args->k;
    uint32_t b_row = args->layout == TS_NT ? args->k : args->n;
    return args->lda % 4 == 0 && a_row % 4 == 0 && args->ldb % b_step == 0 && b_row % b_step == 0;
}

// Few rows: the shaders whose invocations share k, where each of them gets a part of it. On GPUs
// tiles of 64 rows would be almost empty; on a CPU driver gemm_simd is as fast from 3 rows on.
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
    args->tile_5 = args->tile_n = !simd ? 4 : args->m == 1 ? 2 * local_size : local_size;
    return true;
}

void ts_gemm_choose(const ts_gpu_caps *caps, ts_layout layout, struct ts_gemm_args *args)
{
    args->layout = layout;
    // Rows of B in whole loads: of eight elements, or four where 16 bytes hold no more
    // (WEIGHT_STEP).
    args->aligned = is_aligned(args, args->b.dtype == TS_F32 ? 4 : 8);
    if (choose_gemv(caps, args)) {
        return;
    }
    bool wide = ts_kernel_suits(caps, TS_KERNEL_gemm, TS_SHADER_gemm_simd_wide);
    if (wide || ts_kernel_suits(caps, TS_KERNEL_gemm, TS_SHADER_gemm_simd)) {
        args->shader = wide ? TS_SHADER_gemm_simd_wide : TS_SHADER_gemm_simd;
        args->local_size = caps->subgroup_size;
        args->k_step = 8;
        // One pipeline with and without an extra pair: a CPU driver takes seconds and megabytes for
        // each, and a loop of no rounds takes nothing.
        args->extra = layout != TS_TN;
        choose_simd_tile(args);
        args->tile_n = args->tile_5 * args->local_size;
    } else {
        args->aligned = is_aligned(args, 4);
        args->shader = TS_SHADER_gemm_vec;
        // Where 256 invocations do not fit, 128, each with as many sums, on half a tile.
        args->local_size = caps->max_invocations >= 256 ? 256 : 128;
        args->tile_m = 64;
        args->tile_n = args->tile_5 = args->local_size / 4;
        args->k_step = 16;
        args->rows = args->columns = 4;
    }
}

// By gemm_packed. false: nothing was recorded.
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

void ts_matmul(ts_recorder *recorder, const ts_product *p)
{
    assert(p->extra.k == 0 || p->layout != TS_TN);
    struct ts_gemm_args args = {
        TS_PRODUCT_ARGS(p),
    };
    const ts_gpu_caps *caps = ts_gpu_capabilities(ts_recorder_gpu(recorder));
    const ts_kernel_shader *shaders = ts_kernels[TS_KERNEL_gemm].shaders;
    ts_gemm_choose(caps, p->layout, &args);
    if (!ts_gpu_leaves_out(
            caps, shaders[TS_SHADER_gemm_simd].name) && // what was measured does not know of it
        !ts_tune_gemm(recorder, &args) &&
        multiply_packed(recorder, &args)) {
        return;
    }
    ts_gemm(recorder, &args);
    while (args.shader != TS_SHADER_gemm_vec &&
           ts_recorder_leaves_out(recorder, shaders[args.shader].name)) {
        ts_gemm_choose(caps, p->layout, &args);
        ts_gemm(recorder, &args);
    }
}
