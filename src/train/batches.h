// Which rows make up which step: transformers' Trainer's order of the data.
#ifndef TS_TRAIN_BATCHES_H
#define TS_TRAIN_BATCHES_H

#include "data/dataset.h"
#include "model/batch.h"
#include "model/pass.h"

// An epoch is a permutation of the rows (torch.randperm with seed + epoch, as accelerate's
// seedable sampler draws it), cut into batches of batch_size rows, the last one possibly smaller;
// a step is `accumulation` batches, the last of an epoch possibly fewer.
typedef struct ts_batches {
    const ts_dataset *dataset; // borrowed
    uint32_t batch_size, accumulation;
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
// The largest micro-batch over the first `steps` steps.
ts_pass_limits ts_batches_limits(ts_batches *batches, uint64_t steps);

#endif
