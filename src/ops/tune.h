// Chooses the tiles of large matrix products by measuring them on this device at first use. The
// results are stored (choices.h), so that a model is measured only once for a device and driver.
//
// All tiles of a shader give the same bits, because each sum runs over k in the same order. So a
// choice among them never changes a result, nor does using gemm_packed in place of gemm_simd. The
// shaders of `gemm` and `gemm_rounded` differ in how operands are rounded. `gemm`, the more exact
// one, replaces gemm_rounded only if it is clearly faster.
#ifndef TS_OPS_TUNE_H
#define TS_OPS_TUNE_H

#include "ops/kernels.h"

enum { TS_TILES = 16 };

// Groups of shaders with the same kind of tile.
typedef enum ts_tile_family {
    TS_FAMILY_VEC,
    TS_FAMILY_SIMD,
    TS_FAMILY_PACKED, // gemm_packed, which gives the same bits as SIMD
    TS_FAMILY_CM,
    TS_FAMILY_DOT, // gemm_dot and gemm_half
} ts_tile_family;

// A shader for matrix products and its tile.
typedef struct ts_tile {
    ts_tile_family family;
    uint32_t m, n;       // rows and columns of c that a workgroup computes
    uint32_t k;          // that a step of the loop takes (SIMD, PACKED; the others have one step)
    uint32_t rows;       // of c for an invocation (VEC); of subgroups in the workgroup (CM), of
                         // invocations (DOT)
    uint32_t local_size; // invocations of a workgroup
    uint32_t buffers;    // of shared memory, 1 or 2 (CM, DOT)
} ts_tile;

// "simd 32x128x8": rows x columns x step of k. "vec 128x64/8x4": rows x columns / sums of an
// invocation. "cm 64x64/2x2": rows x columns / subgroups, "cm 64x64/2x2 twice" with two buffers.
// "dot 64x64/8x8": rows x columns / invocations.
enum { TS_TILE_NAME_BYTES = 32 };
void ts_tile_name(const ts_tile *tile, const ts_gpu_caps *caps, char out[TS_TILE_NAME_BYTES]);

// Lists the tiles that a product may run with: first the one in `args` (as ts_gemm_choose or
// ts_gemm_rounded_choose sets it), then others that the device can run. Returns their number.
uint32_t ts_tile_candidates(const ts_gpu_caps *caps, const struct ts_gemm_args *args,
                            ts_tile out[TS_TILES]);
uint32_t ts_tile_candidates_rounded(const ts_gpu_caps *caps,
                                    const struct ts_gemm_rounded_args *args, ts_tile out[TS_TILES]);
// Gives `args`, of gemm_vec, the tile with the most sums an invocation that leaves no part of a GPU
// idle; if all would, it keeps what it has.
void ts_tile_enlarge(const ts_gpu_caps *caps, struct ts_gemm_args *args);
// Divides a tile of gemm_rounded among more subgroups (rows, local_size) until an invocation has
// enough registers for its part; the smallest tile, of 32 rows and columns, among as many as can be
// if there are never enough. Returns false and changes nothing if the device cannot run the tile.
bool ts_tile_share_rounded(const ts_gpu_caps *caps, const struct ts_gemm_rounded_args *args,
                           ts_tile *tile);
// Sets the constants of `args` for `tile`, one of the candidates. A gemm_packed tile is run by
// ts_gemm_packed_run instead.
void ts_tile_set(const ts_tile *tile, struct ts_gemm_args *args);
void ts_tile_set_rounded(const ts_tile *tile, struct ts_gemm_rounded_args *args);

// Replaces the tile in `args` by the fastest, if the product is large enough to matter and
// measuring is allowed on the device (ts_gpu_may_tune). It is known from an earlier run or measured
// now. Measuring uses memory of its own except for b, which it only reads. If it fails, the tile
// stays. Returns false if the product is to be done by gemm_packed.
bool ts_tune_gemm(ts_recorder *recorder, struct ts_gemm_args *args);
// The same with rounded operands. Returns false if the product is to be done by ts_matmul.
bool ts_tune_gemm_rounded(ts_recorder *recorder, struct ts_gemm_rounded_args *args);

// What was measured since the device was opened.
typedef struct ts_tune_stats {
    uint32_t products; // the number of products measured
    double seconds;    // the time that measuring took
} ts_tune_stats;
ts_tune_stats ts_tune_statistics(const ts_gpu *gpu);

#endif
