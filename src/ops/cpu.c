// Decides where the shaders of shaders/cpu are used, and with which tiles. A CPU driver runs a
// subgroup as one SIMD vector, and workgroups one after another. A lane is an invocation's place in
// that vector.
#include "ops/cpu.h"

#include "base/memory.h"

#include <assert.h>

enum { STEP = 32 }; // the least k of gemm_packed

// ---- Products by gemm_simd

// Whether tiles of 64 rows are faster than tiles of 32. One of 64 takes 1.72 times as long as one
// of 32 (measured on llvmpipe). A driver needs seconds to compile it, which pays off only for a
// large weight. LARGE_WEIGHT includes TinyLlama's smallest weights, those of keys and values, so
// that they share the pipeline of the others.
static bool is_worth_tall_tiles(const struct ts_gemm_args *args)
{
    enum { LARGE_WEIGHT = 1 << 19 };
    return args->layout != TS_TN && (uint64_t)args->n * args->k >= LARGE_WEIGHT &&
           172 * ts_ceil_div(args->m, 64) < 100 * ts_ceil_div(args->m, 32);
}

// Whether a product takes far less time, in any tile, than a large tile takes to compile (0.1 s and
// more). All products of a tiny model do; of TinyLlama's only some of a LoRA pair.
static bool is_soon_done(const struct ts_gemm_args *args)
{
    enum { NARROW = 1024, LITTLE_WORK = 1 << 22 }; // multiply-adds: 0.14 ms at 30e9 a second
    return args->n <= NARROW && args->k <= NARROW &&
           (uint64_t)args->m * args->n * args->k < LITTLE_WORK;
}

// Chooses the rows of a tile and the columns of a lane. Taller tiles use each loaded weight more
// often, but a tile's rows beyond the end of c cost as much as the others. Measured on llvmpipe at
// TinyLlama's shapes.
static void choose_simd_tile(struct ts_gemm_args *args)
{
    bool transposed = args->layout == TS_TN; // its tiles need a multiple of 4 rows
    if (args->m == 1 && !transposed) {
        args->tile_m = 1, args->part_n = 8; // gemv_simd does not run this one
    } else if (is_soon_done(args)) {
        args->tile_m = 8, args->part_n = 8;
    } else if (args->m <= 8) {
        args->tile_m = 8, args->part_n = 16;
    } else if (!args->aligned && args->k < 8) {
        args->tile_m = 8, args->part_n = 8;
    } else if (args->n <= 64) {
        uint32_t highest = transposed ? 64 : 32; // TN loads B again for every tile
        args->tile_m = (uint32_t)ts_min_u64(highest, ts_align_up(args->m, 8)), args->part_n = 8;
    } else if (is_worth_tall_tiles(args)) {
        args->tile_m = 64, args->part_n = 16;
    } else {
        // Tiles of 32 rows. If one or two tiles are enough, they are made just high enough for m.
        uint32_t tiles = (uint32_t)ts_ceil_div(args->m, 32);
        uint32_t height = (uint32_t)ts_align_up(ts_ceil_div(args->m, tiles), 8);
        args->tile_m = tiles <= 2 ? height : 32, args->part_n = 16;
    }
}

bool ts_cpu_choose_gemm(const ts_gpu_caps *caps, struct ts_gemm_args *args)
{
    const bool loads_64_bits = ts_kernel_suits(caps, TS_KERNEL_gemm, TS_SHADER_gemm_simd_wide);
    if (!loads_64_bits && !ts_kernel_suits(caps, TS_KERNEL_gemm, TS_SHADER_gemm_simd)) {
        return false;
    }
    args->shader = loads_64_bits ? TS_SHADER_gemm_simd_wide : TS_SHADER_gemm_simd;
    args->local_size = caps->subgroup_size;
    args->k_step = 8;
    // The same pipeline is used with and without an extra pair. A CPU driver needs seconds
    // and megabytes for each pipeline, while a loop of no rounds costs nothing.
    args->extra = args->layout != TS_TN;
    choose_simd_tile(args);
    args->tile_n = args->part_n * args->local_size;
    return true;
}

uint32_t ts_cpu_tiles(const ts_gpu_caps *caps, const struct ts_gemm_args *args,
                      ts_tile out[TS_TILES])
{
    // {rows, columns of a lane, step of k}. A tile with fewer rows wastes less if m is no multiple
    // of its rows. A longer step gains 9 % on Mesa 26 and loses 6 % on Mesa 22.3.
    static const uint32_t shapes[][3] = {{64, 16, 8}, {32, 16, 16}, {32, 16, 8},
                                         {24, 16, 8}, {16, 16, 8},  {8, 16, 8}};
    const uint32_t lanes = caps->subgroup_size;
    uint32_t count = 0;
    for (size_t i = 0; i < TS_COUNT(shapes); i++) {
        if (shapes[i][0] <= ts_align_up(args->m, shapes[i][0] > 32 ? 32 : 8)) {
            out[count++] = (ts_tile){.family = TS_FAMILY_SIMD,
                                     .m = shapes[i][0],
                                     .n = shapes[i][1] * lanes,
                                     .k = shapes[i][2],
                                     .local_size = lanes};
        }
    }
    if (ts_gemm_packed_fits(caps, args)) {
        out[count++] = (ts_tile){.family = TS_FAMILY_PACKED,
                                 .m = ts_gemm_packed_rows(caps, args->layout),
                                 .n = ts_gemm_packed_columns(caps, args->layout),
                                 .k = STEP,
                                 .local_size = lanes};
    }
    return count;
}

// ---- Products by gemm_packed: a is packed first, so that all lanes load from one address

// Two rows of a lane in NT, and all lanes share 8 columns; in NN it has two columns, and all lanes
// share 12 rows (gemm_packed.comp).
uint32_t ts_gemm_packed_rows(const ts_gpu_caps *caps, uint32_t layout)
{
    return layout == TS_NT ? 2 * caps->subgroup_size : 12;
}

uint32_t ts_gemm_packed_columns(const ts_gpu_caps *caps, uint32_t layout)
{
    return layout == TS_NT ? 8 : 2 * caps->subgroup_size;
}

// How many packed rows of k elements fit into the scratch memory, whole tiles of `tile` rows.
static uint32_t rows_of_scratch(uint32_t k, uint32_t tile)
{
    return TS_SCRATCH_BYTES / sizeof(float) / k / tile * tile;
}

// Drivers of Vulkan 1.4 load once if all lanes share an address. Older ones load lane by lane, so
// slowly that measuring would take too long (Mesa 22.3: 34 to 40 times as long as gemm_simd).
bool ts_gemm_packed_suits(const ts_gpu_caps *caps)
{
    return ts_kernel_suits(caps, TS_KERNEL_gemm_packed, 0) &&
           ts_kernel_suits(caps, TS_KERNEL_pack_rows, 0) &&
           caps->api_version >= VK_MAKE_API_VERSION(0, 1, 4, 0);
}

bool ts_gemm_packed_fits(const ts_gpu_caps *caps, const struct ts_gemm_args *args)
{
    const uint32_t columns = ts_gemm_packed_columns(caps, args->layout);
    return ts_gemm_packed_suits(caps) && args->layout != TS_TN && args->k >= STEP &&
           args->lda == args->k &&
           rows_of_scratch(args->k, ts_gemm_packed_rows(caps, args->layout)) > 0 &&
           args->n % columns == 0 && args->n / columns <= caps->max_groups[1] &&
           ts_dtype_block(args->b.dtype) == 1 && (args->b.dtype == TS_F32 || args->ldb % 2 == 0);
}

// `count` rows from row `first` on, of a view whose rows have `width` elements.
static ts_view rows_of(ts_view view, uint32_t first, uint32_t count, uint32_t width)
{
    return ts_view_slice(view, (uint64_t)first * width, (uint64_t)count * width);
}

void ts_gemm_packed_run(ts_recorder *recorder, const struct ts_gemm_args *args, ts_view scratch)
{
    const ts_gpu_caps *caps = ts_gpu_capabilities(ts_recorder_gpu(recorder));
    const uint32_t tile = ts_gemm_packed_rows(caps, args->layout);
    // Parts of as many tiles as each other: each reads all of b.
    const uint32_t parts = (uint32_t)ts_ceil_div(args->m, rows_of_scratch(args->k, tile));
    const uint32_t most = (uint32_t)ts_align_up(ts_ceil_div(args->m, parts), tile);
    assert(args->ldc == args->n); // rows_of needs dense rows
    for (uint32_t first = 0; first < args->m; first += most) {
        const uint32_t m = (uint32_t)ts_min_u64(most, args->m - first);
        ts_pack_rows(recorder, &(struct ts_pack_rows_args){.x = rows_of(args->a, first, m, args->k),
                                                           .y = scratch,
                                                           .rows = m,
                                                           .cols = args->k,
                                                           .tile = tile});
        ts_gemm_packed(recorder, &(struct ts_gemm_packed_args){
                                     .a = scratch,
                                     .b = args->b,
                                     .c = rows_of(args->c, first, m, args->n),
                                     .extra_a = args->extra_k > 0 ? rows_of(args->extra_a, first, m,
                                                                            args->extra_k)
                                                                  : args->extra_a,
                                     .extra_b = args->extra_b,
                                     .m = m,
                                     .n = args->n,
                                     .k = args->k,
                                     .lda = args->k,
                                     .ldb = args->ldb,
                                     .ldc = args->ldc,
                                     .alpha = args->alpha,
                                     .accumulate = args->accumulate,
                                     .extra_k = args->extra_k,
                                     .extra_scale = args->extra_scale,
                                     .layout = args->layout,
                                     .local_size = caps->subgroup_size,
                                     .tile = tile,
                                 });
    }
}

// ---- Attention

bool ts_cpu_choose_attention(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t dim,
                             uint32_t arrays, ts_attention_choice *out)
{
    // LANE_FLOATS: how many floats an invocation may keep. With eight lanes they are 16 KiB, half
    // of a core's first-level cache.
    enum { LANE_FLOATS = 512, MOST_PER_LANE = 4 };
    const uint32_t shader = ts_kernel_find(kernel, TS_NEEDS_CPU);
    if (!ts_kernel_suits(caps, kernel, shader)) {
        return false;
    }
    uint64_t fitting = ts_max_u64(1, LANE_FLOATS / ((uint64_t)dim * arrays));
    *out = (ts_attention_choice){.shader = shader,
                                 .lanes = caps->subgroup_size,
                                 .split = 1,
                                 .held = 1,
                                 .per_lane = (uint32_t)ts_min_u64(fitting, MOST_PER_LANE)};
    return true;
}
