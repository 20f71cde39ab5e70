// The tiles that a product may use; tune.c finds the fastest.
#include "base/memory.h"
#include "ops/cpu.h"
#include "ops/gemm.h"
#include "ops/tune.h"

#include <stdio.h>

void ts_tile_name(const ts_tile *tile, const ts_gpu_caps *caps, char out[TS_TILE_NAME_BYTES])
{
    uint32_t rows = tile->rows, columns = 1;
    switch (tile->family) {
    case TS_FAMILY_SIMD:
        snprintf(out, TS_TILE_NAME_BYTES, "simd %ux%ux%u", tile->m, tile->n, tile->k);
        return;
    case TS_FAMILY_PACKED:
        snprintf(out, TS_TILE_NAME_BYTES, "packed %ux%ux%u", tile->m, tile->n, tile->k);
        return;
    case TS_FAMILY_VEC:
        columns = tile->m * tile->n / (tile->local_size * rows);
        break;
    case TS_FAMILY_DOT:
        columns = tile->local_size / rows;
        break;
    case TS_FAMILY_CM:
        columns = tile->local_size / caps->full_subgroup / rows;
        break;
    }
    snprintf(out, TS_TILE_NAME_BYTES, "%s %ux%u/%ux%u%s",
             tile->family == TS_FAMILY_CM    ? "cm"
             : tile->family == TS_FAMILY_DOT ? "dot"
                                             : "vec",
             tile->m, tile->n, rows, columns, tile->buffers == 2 ? " twice" : "");
}

static bool same_tile(const ts_tile *a, const ts_tile *b)
{
    return a->family == b->family && a->m == b->m && a->n == b->n && a->k == b->k &&
           a->rows == b->rows && a->local_size == b->local_size && a->buffers == b->buffers;
}

// Adds a tile if it is not in the list yet. Returns the new count.
static uint32_t add(ts_tile *tiles, uint32_t count, ts_tile tile)
{
    for (uint32_t i = 0; i < count; i++) {
        if (same_tile(&tiles[i], &tile)) {
            return count;
        }
    }
    if (count < TS_TILES) {
        tiles[count++] = tile;
    }
    return count;
}

// An invocation of gemm_vec loads as many quads for each step of k. The loads are unrolled: with
// eight, NVIDIA's compiler of Mesa 26 made 71 KB of code, more than instruction caches hold.
enum { MOST_STEP_QUADS = 4 };

static uint32_t step_quads(const struct ts_gemm_args *args, const ts_tile *tile)
{
    return (uint32_t)(ts_ceil_div((uint64_t)tile->m * args->k_step / 4, tile->local_size) +
                      ts_ceil_div((uint64_t)tile->n * args->k_step / 4, tile->local_size));
}

static uint32_t vec_columns(const ts_tile *tile)
{
    return tile->m * tile->n / (tile->local_size * tile->rows);
}

// Estimates how many 32-bit registers an invocation of gemm_vec needs. They hold its sums, a row
// and a column of the tiles, and the operands of the next step. Half as many again are added, for
// addresses and what is loaded early.
static uint32_t vec_registers(const struct ts_gemm_args *args, const ts_tile *tile)
{
    uint32_t rows = tile->rows, columns = vec_columns(tile);
    return (rows * columns + 4 * step_quads(args, tile) + rows + columns) * 3 / 2;
}

// Whether the device can run the tile, and the lanes of a subgroup have the same rows where they
// ask each other for them (args->subgroup_size). In shared memory gemm_vec holds a tile of A and a
// tile of B, both k-major, with rows padded by 16 bytes, and four rows of the extra pair. The
// fewest sums that an invocation can have, 4 x 4, are taken to fit every device.
static bool vec_fits(const ts_gpu_caps *caps, const struct ts_gemm_args *args, const ts_tile *tile)
{
    enum { FEWEST_SUMS = 16, EXTRA_STEP = 4 };
    uint32_t shared = (args->k_step + EXTRA_STEP) * (tile->m + tile->n + 8) * 4;
    bool small = tile->rows * vec_columns(tile) <= FEWEST_SUMS;
    const uint32_t across = tile->n / vec_columns(tile);
    // The places of a sum's quads change from term to term, and need registers of their own: of
    // 128, Mesa 22.3 kept 110 in memory on Tiger Lake with four quads, none with three.
    // Where k is divided, more than the fewest sums had up to six in memory on Adreno 660.
    const bool few = caps->registers > 0 && caps->registers <= 128;
    const uint32_t most_quads = MOST_STEP_QUADS - (few && args->added > 0);
    const bool registers_suffice =
        caps->registers == 0 || small ||
        (vec_registers(args, tile) <= caps->registers && !(few && args->split > 1));
    return tile->local_size <= caps->max_invocations && shared <= caps->shared_bytes &&
           step_quads(args, tile) <= most_quads &&
           (args->subgroup_size == 0 || across % args->subgroup_size == 0) && registers_suffice;
}

// Tiles of gemm_vec: as many sums an invocation as its registers hold, by as many invocations as a
// workgroup may have; those with the most sums come first. They are added to `count` that are
// there.
static uint32_t vec_tiles(const ts_gpu_caps *caps, const struct ts_gemm_args *args, uint32_t count,
                          ts_tile *out)
{
    static const uint32_t sums[][2] = {{8, 8}, {8, 4}, {4, 4}};      // rows and columns of C
    static const uint32_t groups[][2] = {{16, 16}, {8, 16}, {8, 8}}; // invocations down and across
    for (size_t s = 0; s < TS_COUNT(sums); s++) {
        for (size_t g = 0; g < TS_COUNT(groups); g++) {
            const ts_tile tile = {.family = TS_FAMILY_VEC,
                                  .m = sums[s][0] * groups[g][0],
                                  .n = sums[s][1] * groups[g][1],
                                  .rows = sums[s][0],
                                  .local_size = groups[g][0] * groups[g][1]};
            if (vec_fits(caps, args, &tile) && tile.m <= ts_align_up(args->m, 32)) {
                count = add(out, count, tile);
            }
        }
    }
    return count;
}

// Every sum more that an invocation has makes it read less of shared memory for each multiply-add.
// But if there are only a few tiles, most of a GPU is idle.
void ts_tile_enlarge(const ts_gpu_caps *caps, struct ts_gemm_args *args)
{
    enum { ENOUGH_TILES = 64 };
    ts_tile tiles[TS_TILES];
    const uint32_t count = vec_tiles(caps, args, 0, tiles);
    for (uint32_t i = 0; i < count && !ts_gpu_is_cpu(caps); i++) { // a CPU compiles it for long
        if (ts_ceil_div(args->m, tiles[i].m) * ts_ceil_div(args->n, tiles[i].n) >= ENOUGH_TILES) {
            ts_tile_set(&tiles[i], args);
            return;
        }
    }
}

uint32_t ts_tile_candidates(const ts_gpu_caps *caps, const struct ts_gemm_args *args,
                            ts_tile out[TS_TILES])
{
    bool simd = !ts_gemm_is_vec(args->shader);
    out[0] = (ts_tile){.family = simd ? TS_FAMILY_SIMD : TS_FAMILY_VEC,
                       .m = args->tile_m,
                       .n = args->tile_n,
                       .k = simd ? args->k_step : 0,
                       .rows = args->rows,
                       .local_size = args->local_size};
    if (!simd) {
        return vec_tiles(caps, args, 1, out);
    }
    ts_tile others[TS_TILES];
    const uint32_t other_count = ts_cpu_tiles(caps, args, others);
    uint32_t count = 1;
    for (uint32_t i = 0; i < other_count; i++) {
        count = add(out, count, others[i]);
    }
    return count;
}

void ts_tile_set(const ts_tile *tile, struct ts_gemm_args *args)
{
    args->local_size = tile->local_size;
    args->tile_m = tile->m;
    args->tile_n = tile->n;
    if (tile->family == TS_FAMILY_SIMD) {
        args->part_n = tile->n / tile->local_size; // columns of a lane
        args->k_step = tile->k;
    } else {
        args->part_n = tile->n;
        args->rows = tile->rows;
        args->columns = tile->m * tile->n / (tile->local_size * tile->rows);
    }
}

// Whether the device can run the tile. In shared memory gemm_rounded holds two operands of 16 bits
// in lines along k padded by 8 elements; afterwards, there, a quad of 12 elements a line of an
// extra pair and one matrix of sums for each subgroup; and four words besides.
static bool cm_fits(const ts_gpu_caps *caps, const struct ts_gemm_rounded_args *args,
                    const ts_tile *tile)
{
    const uint32_t subgroups = tile->local_size / args->subgroup_size;
    const uint64_t lines = tile->m + tile->n;
    const uint64_t loop = tile->buffers * 2 * lines * (args->k_step + 8);
    const uint64_t afterwards =
        4 * (args->extra ? 12 * lines : 0) + 4 * subgroups * args->matrix_m * args->matrix_n;
    return tile->local_size <= caps->max_invocations &&
           (tile->family == TS_FAMILY_DOT || subgroups <= caps->max_subgroups) &&
           ts_max_u64(loop, afterwards) + 16 <= caps->shared_bytes;
}

// Estimates how many 32-bit registers an invocation of gemm_rounded needs. They hold its sums, the
// operands of the next step while they are loaded (what is stored in 16 bits or fewer takes half as
// many), the matrices that it multiplies, addresses (in subgroups of 16, Intel's, a few more, and
// where k is divided), and the largest element that it has met, if that is wanted.
static uint32_t cm_registers(const struct ts_gemm_rounded_args *args, const ts_tile *tile)
{
    enum { OCTET = 8, OTHERS = 32, OF_EXTRA = 24, OF_PARTS = 4 };
    const uint32_t columns = tile->local_size / args->subgroup_size / tile->rows;
    const uint32_t each_a = args->layout == TS_TN ? 2 : 1, each_b = args->layout == TS_NT ? 1 : 2;
    const uint32_t octets = args->k_step / OCTET;
    const uint64_t a = each_a * ts_ceil_div(tile->m * octets, each_a * tile->local_size);
    const uint64_t b = each_b * ts_ceil_div(tile->n * octets, each_b * tile->local_size);
    const uint64_t next = a * (args->a.dtype == TS_F32 ? OCTET : OCTET / 2) +
                          b * (args->b.dtype == TS_F32 ? OCTET : OCTET / 2);
    const uint32_t part_m = tile->m / tile->rows, part_n = tile->n / columns;
    const uint32_t sums = part_m * part_n / args->subgroup_size;
    const uint32_t matrices = (part_m + args->matrix_n) * args->matrix_k / 2 / args->subgroup_size;
    const uint32_t others = OTHERS + (args->subgroup_size == 16 ? 2 : 0);
    return sums + (uint32_t)next + matrices + others + (args->extra ? OF_EXTRA : 0) +
           (args->split > 1 ? OF_PARTS : 0) + args->finds_largest;
}

// Divides a tile's subgroups into rows and columns so that a step loads the fewest matrices; of two
// ways that load as many, so that a subgroup keeps fewer of A. Returns false if there are more
// subgroups than matrices of sums.
static bool divide_rounded(const struct ts_gemm_rounded_args *args, ts_tile *tile)
{
    const uint32_t subgroups = tile->local_size / args->subgroup_size;
    uint32_t fewest = UINT32_MAX;
    for (uint32_t rows = 1; rows <= subgroups; rows *= 2) {
        const uint32_t down = tile->m / rows / args->matrix_m;
        const uint32_t across = tile->n * rows / subgroups / args->matrix_n;
        const bool whole = tile->family == TS_FAMILY_CM || across % 4 == 0; // it stores quads
        if (down > 0 && across > 0 && whole && down + across <= fewest) {
            fewest = down + across;
            tile->rows = rows;
        }
    }
    return fewest < UINT32_MAX;
}

bool ts_tile_share_rounded(const ts_gpu_caps *caps, const struct ts_gemm_rounded_args *args,
                           ts_tile *tile)
{
    enum { SMALLEST = 32 }; // rows and columns
    const bool smallest = tile->m <= SMALLEST && tile->n <= SMALLEST;
    ts_tile shared = *tile;
    bool found = false;
    shared.local_size = (uint32_t)ts_max_u64(shared.local_size, args->subgroup_size);
    while (!found && divide_rounded(args, &shared) && cm_fits(caps, args, &shared)) {
        found = caps->registers == 0 || cm_registers(args, &shared) <= caps->registers;
        if (found || smallest) {
            *tile = shared;
        }
        shared.local_size *= 2;
    }
    return found || (smallest && tile->rows > 0);
}

uint32_t ts_tile_candidates_rounded(const ts_gpu_caps *caps,
                                    const struct ts_gemm_rounded_args *args, ts_tile out[TS_TILES])
{
    // {rows and columns of the tile, invocations}, on matrix units and without. A CPU driver takes
    // long to compile the unrolled loop of a large tile, so none of these is for it.
    enum { SHAPES = 6 };
    static const uint32_t kinds[][SHAPES][3] = {{{128, 128, 256},
                                                 {128, 128, 512},
                                                 {64, 128, 256},
                                                 {128, 64, 256},
                                                 {64, 64, 128},
                                                 {32, 64, 64}},
                                                {{128, 128, 256},
                                                 {128, 64, 128},
                                                 {64, 128, 128},
                                                 {64, 64, 64},
                                                 {64, 64, 128},
                                                 {32, 64, 64}}};
    const ts_tile_family family = args->subgroup_size == 1 ? TS_FAMILY_DOT : TS_FAMILY_CM;
    const uint32_t(*const shapes)[3] = kinds[family == TS_FAMILY_DOT];
    uint32_t count = 1;
    out[0] = (ts_tile){.family = family,
                       .m = args->tile_m,
                       .n = args->tile_n,
                       .rows = args->rows,
                       .local_size = args->local_size,
                       .buffers = 1};
    for (size_t i = 0; i < SHAPES && !ts_gpu_is_cpu(caps); i++) {
        ts_tile tile = {.family = family,
                        .m = shapes[i][0],
                        .n = shapes[i][1],
                        .local_size = shapes[i][2],
                        .buffers = 1};
        if (tile.m <= ts_align_up(args->m, 64) && ts_tile_share_rounded(caps, args, &tile)) {
            count = add(out, count, tile);
        }
    }
    // Two buffers save a barrier a step, but leave room for fewer workgroups: measuring tells.
    for (uint32_t i = 0, single = count; i < single; i++) {
        ts_tile tile = out[i];
        tile.buffers = 2;
        count = cm_fits(caps, args, &tile) ? add(out, count, tile) : count;
    }
    return count;
}

void ts_tile_set_rounded(const ts_tile *tile, struct ts_gemm_rounded_args *args)
{
    args->local_size = tile->local_size;
    args->tile_m = tile->m;
    args->tile_n = tile->n;
    args->rows = tile->rows;
    args->buffers = tile->buffers;
    args->whole = args->aligned && args->m % tile->m == 0 && args->n % tile->n == 0 &&
                  args->k % args->k_step == 0;
}
