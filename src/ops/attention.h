// Attention: one function for each kernel. It chooses the shader and its tile for the device.
#ifndef TS_OPS_ATTENTION_H
#define TS_OPS_ATTENTION_H

#include "ops/gemm.h"

// Values for the fields of the same names in the arguments of attention, attention_backward_q and
// attention_backward_kv.
typedef struct ts_attention_choice {
    uint32_t shader;   // its place in the kernel's row
    uint32_t lanes;    // invocations of a workgroup, or groups of `split` invocations; of a
                       // shader *_tiled: invocations one below the other
    uint32_t per_lane; // rows that each of them takes
    uint32_t split;    // invocations that share a row; they take 4 rows each of a stream's tile
    uint32_t subgroup_size; // that the shader relies on; 0: none
    uint32_t held; // whether a row's inputs stay in registers; of a shader *_tiled: whether
                   // its loops are unrolled, for which compilers hold much in registers
} ts_attention_choice;

// Whether `kernel` is one of those three.
bool ts_attention_has_tile(ts_kernel kernel);
// `kernel`: one of those three. `dim`: the size of a head.
ts_attention_choice ts_attention_choose(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t dim);

// The row's shader by tiles, and whether `shader` is it.
uint32_t ts_attention_tiled(ts_kernel kernel);
bool ts_attention_is_tiled(ts_kernel kernel, uint32_t shader);
// Chooses that shader's best tile after `passed` better ones. Returns false if there is none that
// the device has room for.
bool ts_attention_choose_tile(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t dim,
                              uint32_t passed, ts_attention_choice *out);

// Each records one of the kernels. The caller sets all of `args` except those fields, which
// are chosen here. If the driver cannot build the chosen shader, another is used.
void ts_attend(ts_recorder *recorder, struct ts_attention_args *args);
// Like ts_attend, for rows that share no keys: each is the newest token of its own sequence in a
// key-value cache. lse may be overwritten, but holds no result.
void ts_attend_cached(ts_recorder *recorder, struct ts_attention_args *args);
void ts_attend_backward_q(ts_recorder *recorder, struct ts_attention_backward_q_args *args);
// `scratch`: F32, room for parts of dk and dv, which are as many as fit there (ts_attention_parts).
// Where these are two or more, args->dk and dv become the parts', which `rope_backward` adds up. A
// view without a buffer, or one that holds no two parts: dk and dv are computed at once, one part.
void ts_attend_backward_kv(ts_recorder *recorder, struct ts_attention_backward_kv_args *args,
                           ts_view scratch);

// Into how many parts dk and dv should be divided, so that no workgroup takes more than about 2048
// steps one after the other, and few keys are still enough workgroups to fill a GPU (of a tile of
// keys and a part; a part has 256 steps at least); but the parts have no more than `most` elements
// together.
uint32_t ts_attention_parts(uint32_t rows, uint32_t heads, uint32_t kv_heads, uint32_t dim,
                            uint64_t most);
// How many elements that are; 0 for one part.
uint64_t ts_attention_parts_count(uint32_t rows, uint32_t kv_heads, uint32_t dim, uint32_t parts);

// The same with rounded operands, on matrix units or without: values for the constants of
// attention_rounded, attention_backward_q_rounded and attention_backward_kv_rounded
// (shaders/include/attention_rounded.glsl).
typedef struct ts_attention_rounded_choice {
    uint32_t shader; // its place in the kernel's row
    uint32_t subgroup_size, local_size;
    uint32_t own, stream; // rows of the two tiles
    uint32_t bands;       // of subgroups, one below the other
    uint32_t matrix_m, matrix_n, matrix_k;
    uint32_t held; // whether the own tile stays in registers
} ts_attention_rounded_choice;

// Whether a shader, by its place in their rows, uses matrix units.
bool ts_attention_on_units(uint32_t shader);
// Whether `kernel` is one of those three.
bool ts_attention_is_rounded(ts_kernel kernel);
// `kernel`: one of those three. `queries`: rows times heads. Returns false if the device has no
// shader for `precision`, or if that cannot take heads of size `dim`.
bool ts_attention_rounded_choose(const ts_gpu_caps *caps, ts_precision precision, ts_kernel kernel,
                                 uint32_t queries, uint32_t dim, ts_attention_rounded_choice *out);

// The tiles that it may choose for heads of this size, whatever `queries` is. Returns how many.
enum { TS_ATTENTION_TILES = 2 };
uint32_t ts_attention_rounded_tiles(const ts_gpu_caps *caps, ts_precision precision,
                                    ts_kernel kernel, uint32_t dim,
                                    ts_attention_rounded_choice out[TS_ATTENTION_TILES]);

// Runs these kernels on numbers whose results the mirror knows, with every tile that heads of this
// size may be given, and leaves out those that are wrong, with a warning. *right: there are all
// three, and all are right. Errors as of ts_precision_test.
ts_status ts_attention_test(ts_gpu *gpu, ts_precision precision, uint32_t dim, bool *right,
                            ts_error *err);

// Like the functions above without "_rounded", but on matrix units or by pairs where that is
// offered and the rows fill their tiles: q, k, v, dout and probabilities are rounded as `precision`
// says, sums are f32.
void ts_attend_rounded(ts_recorder *recorder, ts_precision precision,
                       struct ts_attention_args *args);
void ts_attend_backward_q_rounded(ts_recorder *recorder, ts_precision precision,
                                  struct ts_attention_backward_q_args *args);
void ts_attend_backward_kv_rounded(ts_recorder *recorder, ts_precision precision,
                                   struct ts_attention_backward_kv_args *args, ts_view scratch);

// For the functions of dk and dv: sets args->parts and, if these are two or more, turns `args` to
// parts of them in `scratch`: the `steps`-th part of ts_attention_parts, for shaders that take so
// many queries a step.
void ts_attention_divide(struct ts_attention_backward_kv_args *args, ts_view scratch,
                         uint64_t steps);

#endif
