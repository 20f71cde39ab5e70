#include "train/batches.h"

#include "base/memory.h"
#include "base/rng.h"

#include <stdlib.h>

ts_status ts_batches_open(const ts_dataset *dataset, uint32_t batch_size, uint32_t accumulation,
                          uint64_t seed, ts_batches *out, ts_error *err)
{
    uint64_t items = dataset->count / (dataset->pairs ? 2 : 1);
    *out = (ts_batches){.dataset = dataset,
                        .items = items,
                        .micro_size = batch_size,
                        .rows_per_step = (uint64_t)batch_size * accumulation,
                        .seed = seed,
                        .steps_per_epoch = ts_ceil_div(items, (uint64_t)batch_size * accumulation),
                        .order_epoch = UINT64_MAX};
    return ts_alloc(dataset->count, sizeof *out->order, &out->order, err);
}

void ts_batches_close(ts_batches *batches)
{
    free(batches->order);
    free(batches->keys);
    free(batches->unsorted);
    *batches = (ts_batches){0};
}

enum { MOST_ROWS_LOOKED_AT = 1 << 20 };

static int descending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

// How many examples an item has.
static uint32_t item_size(const ts_batches *batches)
{
    return batches->dataset->pairs ? 2 : 1;
}

static uint32_t item_tokens(const ts_batches *b, uint32_t item)
{
    uint32_t tokens = 0;
    for (uint32_t part = 0; part < item_size(b); part++) {
        tokens += b->dataset->examples[(size_t)item * item_size(b) + part].count;
    }
    return tokens;
}

ts_status ts_batches_group_by_length(ts_batches *batches, ts_error *err)
{
    ts_status status = ts_alloc(batches->items, sizeof *batches->keys, &batches->keys, err);
    batches->order_epoch = UINT64_MAX;
    return status == TS_OK
               ? ts_alloc(batches->items, sizeof *batches->unsorted, &batches->unsorted, err)
               : status;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

// Sorts order[begin .. end) by length, the longest first. Rows of one length keep their order.
static void sort_piece(ts_batches *b, uint64_t begin, uint64_t end)
{
    for (uint64_t i = begin; i < end; i++) {
        const uint32_t tokens = item_tokens(b, b->order[i]);
        b->keys[i] = (uint64_t)(UINT32_MAX - tokens) << 32 | i;
        b->unsorted[i] = b->order[i];
    }
    qsort(b->keys + begin, end - begin, sizeof *b->keys, ascending);
    for (uint64_t i = begin; i < end; i++) {
        b->order[i] = b->unsorted[(uint32_t)b->keys[i]];
    }
}

// transformers' get_length_grouped_indices, for batches that are whole steps.
static void group_by_length(ts_batches *b)
{
    enum { MOST_STEPS = 50, PIECES = 4 };
    const uint64_t steps = ts_min_u64(b->items / (b->rows_per_step * PIECES), MOST_STEPS);
    const uint64_t piece = ts_max_u64(steps, 1) * b->rows_per_step;
    uint64_t longest = 0;
    for (uint64_t begin = 0; begin < b->items; begin += piece) {
        sort_piece(b, begin, ts_min_u64(begin + piece, b->items));
        if (item_tokens(b, b->order[begin]) > item_tokens(b, b->order[longest])) {
            longest = begin;
        }
    }
    const uint32_t first = b->order[0];
    b->order[0] = b->order[longest];
    b->order[longest] = first;
}

// Micro-batch `micro` of step `step` has the rows order[*begin .. *end): none if it does not exist.
static void find_rows(ts_batches *b, uint64_t step, uint32_t micro, uint64_t *begin, uint64_t *end)
{
    uint64_t epoch = step / b->steps_per_epoch, in_epoch = step % b->steps_per_epoch;
    if (epoch != b->order_epoch) {
        ts_torch_randperm(b->seed + epoch, (uint32_t)b->items, b->order);
        if (b->keys != NULL) {
            group_by_length(b);
        }
        b->order_epoch = epoch;
    }
    uint64_t last = ts_min_u64((in_epoch + 1) * b->rows_per_step, b->items);
    *begin = ts_min_u64(in_epoch * b->rows_per_step + (uint64_t)micro * b->micro_size, last);
    *end = ts_min_u64(*begin + b->micro_size, last);
}

// The index in the dataset of example `part` of the i-th item of the present order.
static size_t example_at(const ts_batches *batches, uint64_t i, uint32_t part)
{
    return (size_t)batches->order[i] * item_size(batches) + part;
}

void ts_batches_step(ts_batches *batches, uint64_t step, uint32_t *micro_count, uint64_t *units)
{
    const ts_dataset *dataset = batches->dataset;
    *micro_count = 0;
    *units = 0;
    for (uint64_t begin = 0, end = 1; begin < end;) {
        find_rows(batches, step, *micro_count, &begin, &end);
        *micro_count += begin < end;
        for (uint64_t i = begin; i < end; i++) {
            *units +=
                dataset->pairs ? 1 : dataset->examples[example_at(batches, i, 0)].supervised_count;
        }
    }
}

ts_packing ts_batches_packing(ts_batches *batches)
{
    ts_packing packing = {.least = UINT64_MAX};
    for (uint64_t step = 0; step < batches->steps_per_epoch; step++) {
        uint32_t micro = 0;
        for (uint64_t begin = 0, end = 1; begin < end; micro++) {
            uint64_t tokens = 0;
            find_rows(batches, step, micro, &begin, &end);
            for (uint64_t i = begin; i < end; i++) {
                tokens += item_tokens(batches, batches->order[i]);
            }
            if (begin < end) {
                packing.micro_batches++;
                packing.tokens += tokens;
                packing.least = ts_min_u64(packing.least, tokens);
                packing.most = ts_max_u64(packing.most, tokens);
            }
        }
    }
    return packing;
}

uint64_t ts_batches_most(const ts_batches *batches)
{
    return ts_ceil_div(ts_min_u64(batches->rows_per_step, batches->items), batches->micro_size);
}

ts_status ts_batches_pack(ts_batches *batches, uint64_t step, uint32_t micro, ts_batch *out,
                          ts_error *err)
{
    ts_status status = TS_OK;
    uint64_t begin, end;
    ts_batch_clear(out);
    find_rows(batches, step, micro, &begin, &end);
    for (uint32_t part = 0; part < item_size(batches); part++) {
        for (uint64_t i = begin; i < end; i++) {
            size_t index = example_at(batches, i, part);
            const ts_example *row = &batches->dataset->examples[index];
            TS_TRY(ts_batch_add(out, row->ids, row->count, row->supervised, err));
            if (batches->reference != NULL) {
                out->reference[out->sequences - 1] = batches->reference[index];
            }
        }
    }
out:
    return status;
}

ts_status ts_batches_fill(const ts_example *examples, size_t count, const ts_pass *pass,
                          size_t *next, ts_batch *batch, ts_error *err)
{
    ts_status status = TS_OK;
    ts_batch_clear(batch);
    for (; *next < count; ++*next) {
        const ts_example *row = &examples[*next];
        if (batch->rows + row->count > pass->limits.rows ||
            batch->loss_rows + row->supervised_count > pass->limits.loss_rows) {
            break;
        }
        TS_TRY(ts_batch_add(batch, row->ids, row->count, row->supervised, err));
    }
out:
    return status;
}

// An upper bound for any micro-batch in any order: the longest rows of the dataset together.
static ts_pass_limits bound_limits(const ts_batches *b, uint32_t *counts)
{
    ts_pass_limits limits = {.training = true};
    const ts_dataset *dataset = b->dataset;
    uint64_t most = ts_min_u64((uint64_t)b->micro_size * item_size(b), dataset->count);
    uint64_t rows = 0, loss_rows = 0;
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
            for (uint64_t i = begin; i < end; i++) {
                for (uint32_t part = 0; part < item_size(batches); part++) {
                    const ts_example *row =
                        &batches->dataset->examples[example_at(batches, i, part)];
                    rows += row->count;
                    loss_rows += row->supervised_count;
                }
            }
            limits.rows = (uint32_t)ts_max_u64(limits.rows, rows);
            limits.loss_rows = (uint32_t)ts_max_u64(limits.loss_rows, loss_rows);
        }
    }
    return limits;
}
