// Which rows each step trains on, in the order of transformers' Trainer.
#ifndef TS_TRAIN_BATCHES_H
#define TS_TRAIN_BATCHES_H

#include "data/dataset.h"
#include "model/batch.h"
#include "model/pass.h"

// In a dataset of pairs a row below is a pair: its two examples stay together, and a micro-batch
// holds all chosen answers, then all rejected ones.
//
// An epoch is a permutation of the rows: torch.randperm with seed + epoch, as in accelerate's
// seedable sampler. It is cut into steps of batch_size * accumulation rows; the last step may be
// smaller. A step runs in micro-batches of `micro_size` rows, which is batch_size, or less if
// memory is short. The loss of a step is the mean over its supervised tokens, so the size of a
// micro-batch does not change it.
// Where several ranks train (exchange.h) every one of them knows all rows, and so counts the whole
// step's tokens without asking the others.
typedef struct ts_batches {
    const ts_dataset *dataset; // borrowed
    uint64_t items;            // of it: rows, or pairs
    const double *reference;   // [examples of the dataset] the sum of its labels' log-probabilities
                               // by the reference model, borrowed; NULL: no loss asks for it
    uint32_t micro_size;
    uint64_t rows_per_step;
    uint64_t seed;
    uint64_t steps_per_epoch;
    uint32_t *order;      // [items] the permutation of epoch `order_epoch`
    uint64_t order_epoch; // UINT64_MAX: none yet
    uint64_t *keys;       // [items] with ts_batches_group_by_length
    uint32_t *unsorted;   // [items] likewise
} ts_batches;

ts_status ts_batches_open(const ts_dataset *dataset, uint32_t batch_size, uint32_t accumulation,
                          uint64_t seed, ts_batches *out, ts_error *err);
void ts_batches_close(ts_batches *batches);
// From now on rows of about the same length come together, as in transformers'
// LengthGroupedSampler: the permutation is cut into pieces of up to 50 steps, but four or more of
// them an epoch, and each piece is sorted by length, the longest row first. The longest of all
// begins the epoch.
ts_status ts_batches_group_by_length(ts_batches *batches, ts_error *err);

// How an epoch is packed: its micro-batches, with tokens from `least` to `most`.
typedef struct ts_packing {
    uint64_t micro_batches, tokens, least, most;
} ts_packing;
ts_packing ts_batches_packing(ts_batches *batches);

// How many micro-batches step `step` (counted from 0) has, and over how many units its loss is a
// mean: supervised tokens of all of them together, or pairs.
void ts_batches_step(ts_batches *batches, uint64_t step, uint32_t *micro_count, uint64_t *units);
// How many micro-batches a step has at most.
uint64_t ts_batches_most(const ts_batches *batches);
// Micro-batch `micro` of step `step`, packed.
ts_status ts_batches_pack(ts_batches *batches, uint64_t step, uint32_t micro, ts_batch *out,
                          ts_error *err);
// Packs examples[*next .. count) in their order, as many as the pass holds, which has room for each
// of them; *next becomes the first that is left. For passes that only measure.
ts_status ts_batches_fill(const ts_example *examples, size_t count, const ts_pass *pass,
                          size_t *next, ts_batch *batch, ts_error *err);
// The size of the largest micro-batch in the first `steps` steps. For very many
// steps it is an upper bound, which takes less time to find.
ts_pass_limits ts_batches_limits(ts_batches *batches, uint64_t steps);

#endif
