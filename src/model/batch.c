#include "model/batch.h"

#include "base/memory.h"

#include <stdlib.h>

void ts_batch_clear(ts_batch *batch)
{
    batch->rows = batch->loss_rows = batch->sequences = 0;
}

void ts_batch_free(ts_batch *batch)
{
    uint32_t *arrays[] = {batch->ids, batch->position, batch->first, batch->last,
                          batch->end, batch->loss_row, batch->label, batch->sequence_loss_rows};
    for (size_t i = 0; i < TS_COUNT(arrays); i++) {
        free(arrays[i]);
    }
    free(batch->reference);
    *batch = (ts_batch){0};
}

static ts_status grow(uint32_t **arrays[], size_t array_count, uint32_t *capacity, size_t needed,
                      ts_error *err)
{
    ts_status status = TS_OK;
    size_t grown = *capacity;
    for (size_t i = 0; i < array_count; i++) {
        grown = *capacity;
        TS_TRY(ts_grow(arrays[i], &grown, needed, sizeof **arrays[i], err));
    }
    *capacity = (uint32_t)grown;
out:
    return status;
}

static ts_status grow_rows(ts_batch *batch, uint32_t more, ts_error *err)
{
    uint32_t **arrays[] = {&batch->ids, &batch->position, &batch->first, &batch->last, &batch->end};
    return grow(arrays, TS_COUNT(arrays), &batch->capacity, (size_t)batch->rows + more, err);
}

static ts_status grow_loss_rows(ts_batch *batch, uint32_t more, ts_error *err)
{
    uint32_t **arrays[] = {&batch->loss_row, &batch->label};
    return grow(arrays, TS_COUNT(arrays), &batch->loss_capacity, (size_t)batch->loss_rows + more,
                err);
}

static ts_status grow_sequences(ts_batch *batch, uint32_t more, ts_error *err)
{
    ts_status status = TS_OK;
    size_t needed = (size_t)batch->sequences + more, capacity = batch->sequence_capacity;
    TS_TRY(ts_grow(&batch->sequence_loss_rows, &capacity, needed, sizeof *batch->sequence_loss_rows,
                   err));
    capacity = batch->sequence_capacity;
    TS_TRY(ts_grow(&batch->reference, &capacity, needed, sizeof *batch->reference, err));
    batch->sequence_capacity = (uint32_t)capacity;
out:
    return status;
}

ts_status ts_batch_reserve(ts_batch *batch, uint32_t rows, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(grow_rows(batch, rows, err));
    TS_TRY(grow_loss_rows(batch, rows, err));
    TS_TRY(grow_sequences(batch, rows, err));
out:
    return status;
}

ts_status ts_batch_add(ts_batch *batch, const uint32_t *ids, uint32_t count,
                       const uint8_t *supervised, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t begin = batch->rows, loss_rows = batch->loss_rows;
    TS_TRY(grow_sequences(batch, 1, err));
    TS_TRY(grow_rows(batch, count, err));
    TS_TRY(grow_loss_rows(batch, supervised != NULL ? count : 0, err));
    for (uint32_t t = 0; t < count; t++) {
        batch->ids[begin + t] = ids[t];
        batch->position[begin + t] = t;
        batch->first[begin + t] = begin;
        batch->last[begin + t] = begin + t;
        batch->end[begin + t] = begin + count;
        if (t > 0 && supervised != NULL && supervised[t]) {
            batch->loss_row[batch->loss_rows] = begin + t - 1;
            batch->label[batch->loss_rows++] = ids[t];
        }
    }
    batch->rows += count;
    batch->sequence_loss_rows[batch->sequences] = batch->loss_rows - loss_rows;
    batch->reference[batch->sequences++] = 0;
out:
    return status;
}

ts_status ts_batch_ask(ts_batch *batch, uint32_t row, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(grow_loss_rows(batch, 1, err));
    batch->loss_row[batch->loss_rows] = row;
    batch->label[batch->loss_rows++] = 0;
out:
    return status;
}

ts_status ts_batch_add_cached(ts_batch *batch, uint32_t id, uint32_t position, uint32_t first,
                              ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(grow_rows(batch, 1, err));
    batch->ids[batch->rows] = id;
    batch->position[batch->rows] = position;
    batch->first[batch->rows] = first;
    batch->last[batch->rows] = first + position;
    batch->end[batch->rows] = first + position + 1;
    batch->rows++;
out:
    return status;
}
