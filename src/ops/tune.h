// The tiles of large matrix products, chosen by measuring on this device at first use. What is
// found is remembered (choices.h), so that a model is measured once a device and driver.
//
// All tiles of a shader give the same bits, for each sum runs over k in the same order: a choice
// among them never changes a result, nor does gemm_packed in gemm_simd's place. The shaders of
// `gemm` and `gemm_cm` differ in how operands are rounded; there gemm_cm gives way only where it is
// clearly slower, to what is more exact.
#ifndef TS_OPS_TUNE_H
#define TS_OPS_TUNE_H

#include "ops/kernels.h"

enum { TS_TILES = 8 };

// Shaders whose tiles are alike.
typedef enum ts_family {
    TS_FAMILY_VEC,
    TS_FAMILY_SIMD,
    TS_FAMILY_PACKED, // gemm_packed, whose bits are SIMD's
    TS_FAMILY_CM,
} ts_family;

// A shader for matrix products and its tile.
typedef struct ts_tile {
    ts_family family;
    uint32_t m, n;       // of c, a workgroup's part
    uint32_t k;          // that a step of the loop takes (SIMD, PACKED; the others have one each)
    uint32_t rows;       // of c, an invocation's (VEC); of subgroups in the workgroup (CM)
    uint32_t local_size; // invocations
} ts_tile;

// "simd 32x128x8", "vec 128x64/8x4", "cm 64x64/2x2": tile and step / parts that it is shared out
// in.
enum { TS_TILE_NAME_BYTES = 32 };
void ts_tile_name(const ts_tile *tile, const ts_gpu_caps *caps, char out[TS_TILE_NAME_BYTES]);

// What a product may run with, gemm_packed apart, the rule's choice first: that of `args` (as
// ts_gemm_choose or ts_gemm_cm_choose leaves them), then others that the device can run. Returns
// how many.
uint32_t ts_tile_candidates(const ts_gpu_caps *caps, const struct ts_gemm_args *args,
                            ts_tile out[TS_TILES]);
uint32_t ts_tile_candidates_cm(const ts_gpu_caps *caps, const struct ts_gemm_cm_args *args,
                               ts_tile out[TS_TILES]);
// Shares a tile of gemm_cm (rows, local_size) out among more subgroups, until an invocation has the
// registers for its part. false, and nothing done: the device cannot run it so.
bool ts_tile_share_cm(const ts_gpu_caps *caps, const struct ts_gemm_cm_args *args, ts_tile *tile);
// Has the product run with `tile`, which is one of the above (a gemm_packed one:
// ts_gemm_packed_run).
void ts_tile_set(const ts_tile *tile, struct ts_gemm_args *args);
void ts_tile_set_cm(const ts_tile *tile, struct ts_gemm_cm_args *args);

// Replaces the rule's tile in `args` by the fastest, if the product is large enough to matter and
// the device may be measured on (ts_gpu_may_tune): a remembered one, or one found now, on memory of
// its own but for b, which is only read. What goes wrong meanwhile leaves the rule's tile. false:
// the product is to be done by gemm_packed.
bool ts_tune_gemm(ts_recorder *recorder, struct ts_gemm_args *args);
// The same on matrix units. false: the product is to be done by ts_gemm.
bool ts_tune_gemm_cm(ts_recorder *recorder, struct ts_gemm_cm_args *args);

// Since the device was opened.
typedef struct ts_tune_stats {
    uint32_t products; // measured
    double seconds;    // that it took
} ts_tune_stats;
ts_tune_stats ts_tune_statistics(const ts_gpu *gpu);

#endif
