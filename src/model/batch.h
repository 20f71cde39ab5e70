// Sequences packed end to end, without padding: what one pass through the model runs on.
#ifndef TS_MODEL_BATCH_H
#define TS_MODEL_BATCH_H

#include "base/error.h"

#include <stdint.h>

// Arrays on the host. Starts zeroed. A row is one token. Row t attends to the keys of rows
// first[t] .. last[t], and the rows of its sequence end before row end[t].
typedef struct ts_batch {
    uint32_t rows;
    uint32_t *ids, *position, *first, *last, *end; // [rows]
    uint32_t loss_rows;                            // rows that bear loss
    uint32_t *loss_row, *label; // [loss_rows]: which row, and the token it must predict
    uint32_t capacity, loss_capacity;
    uint32_t sequences;
    uint32_t *sequence_loss_rows; // [sequences] how many rows of each bear loss
    double *reference; // [sequences] sum of the labels' log-probabilities in the model that a loss
                       // compares with; 0 unless the caller sets it after ts_batch_add
    uint32_t sequence_capacity;
} ts_batch;

// Removes all rows; the memory is kept for the next batch.
void ts_batch_clear(ts_batch *batch);
void ts_batch_free(ts_batch *batch);

// Makes room for `rows` rows, all of which may bear loss.
ts_status ts_batch_reserve(ts_batch *batch, uint32_t rows, ts_error *err);

// Appends a sequence of `count` tokens. supervised[t] says that ids[t] is a label, predicted from
// row t - 1. With NULL no row bears loss.
ts_status ts_batch_add(ts_batch *batch, const uint32_t *ids, uint32_t count,
                       const uint8_t *supervised, ts_error *err);

// Adds `row` to the loss rows without a known label (it is set to 0), to ask for its logits or its
// likeliest next token.
ts_status ts_batch_ask(ts_batch *batch, uint32_t row, ts_error *err);

// Appends the next row of a sequence whose earlier keys are in a cache (decode.h). The row is at
// `position` and attends to cache rows first .. first + position.
ts_status ts_batch_add_cached(ts_batch *batch, uint32_t id, uint32_t position, uint32_t first,
                              ts_error *err);

#endif
