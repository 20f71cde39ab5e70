#include "train/batches.h"

#include "base/memory.h"
#include "base/rng.h"

#include <stdlib.h>

ts_status ts_batches_open(const ts_dataset *dataset, uint32_t batch_size, uint32_t accumulation,
                          uint64_t seed, ts_batches *out, ts_error *err)
{
    *out = (ts_batches){.dataset = dataset,
                        .ranks = {.rank = 0, .count = 1},
                        .micro_size = batch_size,
                        .rows_per_step = (uint64_t)batch_size * accumulation,
                        .seed = seed,
                        .steps_per_epoch =
                            ts_ceil_div(dataset->count, (uint64_t)batch_size * accumulation),
                        .order_epoch = UINT64_MAX};
    return ts_alloc(dataset->count, sizeof *out->order, &out->order, err);
}

void ts_batches_close(ts_batches *batches)
{
    free(batches->order);
    *batches = (ts_batches){0};
}

enum { MOST_ROWS_LOOKED_AT = 1 << 20 };

static int descending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

// Micro-batch `micro` of step `step` has the rows order[*begin .. *end): none if it does not exist.
static void find_rows(ts_batches *b, uint64_t step, uint32_t micro, uint64_t *begin, uint64_t *end)
{
    uint64_t epoch = step / b->steps_per_epoch, in_epoch = step % b->steps_per_epoch;
    if (epoch != b->order_epoch) {
        ts_torch_randperm(b->seed + epoch, (uint32_t)b->dataset->count, b->order);
        b->order_epoch = epoch;
    }
    uint64_t last = ts_min_u64((in_epoch + 1) * b->rows_per_step, b->dataset->count);
    *begin = ts_min_u64(in_epoch * b->rows_per_step + (uint64_t)micro * b->micro_size, last);
    *end = ts_min_u64(*begin + b->micro_size, last);
}

void ts_batches_step(ts_batches *batches, uint64_t step, uint32_t *micro_count,
                     uint64_t *supervised)
{
    *micro_count = 0;
    *supervised = 0;
    for (uint64_t begin = 0, end = 1; begin < end;) {
        find_rows(batches, step, *micro_count, &begin, &end);
        *micro_count += begin < end;
        for (uint64_t i = begin; i < end; i++) {
            *supervised += batches->dataset->examples[batches->order[i]].supervised_count;
        }
    }
}

ts_status ts_batches_pack(ts_batches *batches, uint64_t step, uint32_t micro, ts_batch *out,
                          ts_error *err)
{
    ts_status status = TS_OK;
    uint64_t begin, end;
    ts_batch_clear(out);
    find_rows(batches, step, micro, &begin, &end);
    for (uint64_t i = begin; i < end; i++) {
        const ts_example *row = &batches->dataset->examples[batches->order[i]];
        TS_TRY(ts_batch_add(out, row->ids, row->count, row->supervised, err));
    }
out:
    return status;
}

// An upper bound for any micro-batch in any order: the longest rows of the dataset together.
static ts_pass_limits bound_limits(const ts_batches *b, uint32_t *counts)
{
    ts_pass_limits limits = {.training = true};
    const ts_dataset *dataset = b->dataset;
    uint64_t most = ts_min_u64(b->micro_size, dataset->count), rows = 0, loss_rows = 0;
    for (size_t i = 0; i < dataset->count; i++) {
        counts[i] = dataset->examples[i].count;
    }
    qsort(counts, dataset->count, sizeof *counts, descending);
    for (uint64_t i = 0; i < most; i++) {
        rows += counts[i];
    }
    for (size_t i = 0; i < dataset->count; i++) {
        counts[i] = dataset->examples[i].supervised_count;
    }
    qsort(counts, dataset->count, sizeof *counts, descending);
    for (uint64_t i = 0; i < most; i++) {
        loss_rows += counts[i];
    }
    limits.rows = (uint32_t)ts_min_u64(rows, UINT32_MAX);
    limits.loss_rows = (uint32_t)ts_min_u64(loss_rows, UINT32_MAX);
    return limits;
}

ts_pass_limits ts_batches_limits(ts_batches *batches, uint64_t steps)
{
    ts_pass_limits limits = {.training = true};
    if (steps / batches->steps_per_epoch * batches->dataset->count > MOST_ROWS_LOOKED_AT) {
        batches->order_epoch = UINT64_MAX; // its array is used for sorting
        return bound_limits(batches, batches->order);
    }
    for (uint64_t step = 0; step < steps; step++) {
        uint32_t micro = 0;
        for (uint64_t begin = 0, end = 1; begin < end; micro++) {
            uint64_t rows = 0, loss_rows = 0;
            find_rows(batches, step, micro, &begin, &end);
            bool own = micro % batches->ranks.count == batches->ranks.rank;
            for (uint64_t i = begin; i < end && own; i++) {
                const ts_example *row = &batches->dataset->examples[batches->order[i]];
                rows += row->count;
                loss_rows += row->supervised_count;
            }
            limits.rows = (uint32_t)ts_max_u64(limits.rows, rows);
            limits.loss_rows = (uint32_t)ts_max_u64(limits.loss_rows, loss_rows);
        }
    }
    return limits;
}
