// The thin products of LoRA pairs: those with a side as short as a pair's rank, on devices that
// have kernels of their own for them. Pairs whose layers read one input are a group, and a group
// takes one dispatch where its matrices can be bound together; where they cannot, each pair takes
// one.
#ifndef TS_OPS_LORA_H
#define TS_OPS_LORA_H

#include "ops/kernels.h"

// Whether the device should compute products with so short a side by the functions below. On CPU
// drivers ts_matmul's tiles do as well.
bool ts_lora_is_thin(const ts_gpu_caps *caps, uint32_t side);

// One pair of a group and what its layer, y = x W^T + scale t B^T, computes. All are dense; each
// function says which views it uses.
typedef struct ts_lora_group_pair {
    ts_view a, b;   // [rank, in], [out, rank]
    ts_view t;      // [rows, rank] x A^T
    ts_view dy;     // [rows, out] the gradient of y
    ts_view dt;     // [rows, rank] the gradient of t
    ts_view da, db; // the gradients of a and b
    uint32_t rank, out_size;
    float scale;
} ts_lora_group_pair;

// What the layers of a group read: x[rows, in], or where rstd has a buffer, the norm that
// `rmsnorm_again` computes of x. The latter is stored nowhere.
typedef struct ts_lora_input {
    ts_view x;
    ts_view rstd, weight; // [rows], [in]
} ts_lora_input;

// t = x A^T of each pair. Here and below count is TS_MOST_TOGETHER or less.
void ts_lora_forward_group(ts_recorder *recorder, ts_view x, uint32_t rows, uint32_t in_size,
                           const ts_lora_group_pair *pairs, uint32_t count);
// dt = scale dy B of each pair.
void ts_lora_backward_group(ts_recorder *recorder, uint32_t rows, const ts_lora_group_pair *pairs,
                            uint32_t count);
// db += scale dy^T t and da += dt^T x of each pair.
void ts_lora_gradients_group(ts_recorder *recorder, const ts_lora_input *input, uint32_t rows,
                             uint32_t in_size, const ts_lora_group_pair *pairs, uint32_t count);

#endif
