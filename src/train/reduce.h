// The sum of a step's gradients over its micro-batches, computed between the backward passes and
// clipping.
#ifndef TS_TRAIN_REDUCE_H
#define TS_TRAIN_REDUCE_H

#include "model/pass.h"

enum { TS_REDUCE_LEVELS = 31 };

// The gradients of n micro-batches are summed in a binary tree by their index: the first p of them,
// then the rest, where p is the largest power of two below n, and each part in the same way. So the
// order of the sum follows from n alone, and sums of parts can be made anywhere. A sum of 2^k
// micro-batches is kept at level k until its neighbour is there, as a counter carries: n
// micro-batches need ts_reduce_levels(n) places.
typedef struct ts_reduce {
    ts_pass *pass; // borrowed: its recorder and gradients
    ts_gpu_arena arena;
    ts_view partial[TS_REDUCE_LEVELS]; // [count of the adapter] each
    uint32_t levels;
    uint32_t held; // bit k: partial[k] holds a sum
} ts_reduce;

uint32_t ts_reduce_levels(uint64_t micro_batches);
// Device bytes that ts_reduce_open would take for such an adapter: none for a single micro-batch.
ts_status ts_reduce_plan(const ts_model_config *config, const ts_adapter_config *adapter,
                         uint64_t micro_batches, uint64_t *bytes, ts_error *err);
// For steps of at most so many micro-batches. The pass must train, and must outlive it.
ts_status ts_reduce_open(ts_pass *pass, uint64_t micro_batches, ts_reduce *out, ts_error *err);
void ts_reduce_close(ts_reduce *reduce); // a zeroed one is fine

// Called when a micro-batch of a step is recorded, in order, whose gradients pass->gradients then
// are. Afterwards these are zero, or, after the last micro-batch, the sum over the step. Of a step
// with one micro-batch nothing is recorded.
void ts_reduce_record(ts_reduce *reduce, bool last);
// The same of floats first .. first + count - 1 alone, where they are the sum of 2^level
// micro-batches, whole in the tree.
void ts_reduce_record_part(ts_reduce *reduce, uint64_t first, uint64_t count, uint32_t level,
                           bool last);

#endif
