// Which rows make up which step: transformers' Trainer's order of the data.
#ifndef TS_TRAIN_BATCHES_H
#define TS_TRAIN_BATCHES_H

#include "data/dataset.h"
#include "model/batch.h"
#include "model/pass.h"

// An epoch is a permutation of the rows (torch.randperm with seed + epoch, as accelerate's
// seedable sampler draws it), cut into steps of batch_size * accumulation rows, the last one
// possibly smaller. A step runs in micro-batches of `micro_size` rows: batch_size, or fewer where
// memory is short. Its loss is the mean over its supervised tokens, so the cut changes no sum.
typedef struct ts_batches {
    const ts_dataset *dataset; // borrowed
    uint32_t micro_size;
    uint64_t rows_per_step;
    uint64_t seed;
    uint64_t steps_per_epoch;
    uint32_t *order;      // [rows] of epoch `order_epoch`
    uint64_t order_epoch; // UINT64_MAX: none yet
} ts_batches;

ts_status ts_batches_open(const ts_dataset *dataset, uint32_t batch_size, uint32_t accumulation,
                          uint64_t seed, ts_batches *out, ts_error *err);
void ts_batches_close(ts_batches *batches);

// How many micro-batches step `step` (from 0) has, and how many tokens bear loss in all of them.
void ts_batches_step(ts_batches *batches, uint64_t step, uint32_t *micro_count,
                     uint64_t *supervised);
// Micro-batch `micro` of step `step`, packed.
ts_status ts_batches_pack(ts_batches *batches, uint64_t step, uint32_t micro, ts_batch *out,
                          ts_error *err);
// The largest micro-batch over the first `steps` steps; over very many, a bound of it that takes
// no longer to find.
ts_pass_limits ts_batches_limits(ts_batches *batches, uint64_t steps);

#endif
