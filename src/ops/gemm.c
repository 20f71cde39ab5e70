#include "ops/gemm.h"

enum { GEMM_VEC, GEMM_SIMD }; // the shaders of the row, in its order

// Rows of a tile and columns of a lane: tall tiles use each loaded weight more often, but rows that
// are not there cost as much as those that are. Measured on llvmpipe at TinyLlama's shapes.
static void choose_simd_tile(struct ts_gemm_args *args)
{
    bool transposed = args->layout == TS_TN; // whose tiles have a multiple of 4 rows
    if (args->m == 1 && !transposed) {
        args->tile_m = 1, args->tile_5 = 8;
    } else if (args->m <= 8) {
        args->tile_m = 8, args->tile_5 = 16;
    } else if (!args->aligned && args->k < 8) {
        args->tile_m = 8, args->tile_5 = 8;
    } else if (args->n <= 64) {
        args->tile_m = 64, args->tile_5 = 8;
    } else {
        args->tile_m = 32, args->tile_5 = 16;
    }
}

void ts_gemm_choose(const ts_gpu_caps *caps, ts_layout layout, struct ts_gemm_args *args)
{
    uint32_t a_row = layout == TS_TN ? args->m : args->k;
    uint32_t b_row = layout == TS_NT ? args->k : args->n;
    args->layout = layout;
    if (ts_gpu_is_simd(caps)) {
        // Loads of B are 16 bytes: eight elements where they are stored in 16 bits.
        uint32_t b_step = args->b.dtype == TS_F32 ? 4 : 8;
        args->aligned =
            args->lda % 4 == 0 && a_row % 4 == 0 && args->ldb % b_step == 0 && b_row % b_step == 0;
        args->shader = GEMM_SIMD;
        args->local_size = caps->subgroup_size;
        args->k_step = 8;
        choose_simd_tile(args);
        args->tile_n = args->tile_5 * args->local_size;
    } else {
        args->aligned =
            args->lda % 4 == 0 && args->ldb % 4 == 0 && a_row % 4 == 0 && b_row % 4 == 0;
        args->shader = GEMM_VEC;
        // Where 256 invocations do not fit, 128, each with as many sums, on half a tile.
        args->local_size = caps->max_invocations >= 256 ? 256 : 128;
        args->tile_m = 64;
        args->tile_n = args->tile_5 = args->local_size / 4;
        args->k_step = 16;
        args->rows = args->columns = 4;
    }
}

void ts_matmul(ts_recorder *recorder, ts_layout layout, uint32_t m, uint32_t n, uint32_t k,
               ts_view a, ts_view b, ts_view c, float alpha, bool accumulate)
{
    struct ts_gemm_args args = {
        .a = a,
        .b = b,
        .c = c,
        .m = m,
        .n = n,
        .k = k,
        .lda = layout == TS_TN ? m : k,
        .ldb = layout == TS_NT ? k : n,
        .ldc = n,
        .alpha = alpha,
        .accumulate = accumulate,
    };
    ts_gemm_choose(ts_gpu_capabilities(ts_recorder_gpu(recorder)), layout, &args);
    ts_gemm(recorder, &args);
}
