#include "train/reference.h"

#include "base/log.h"
#include "base/memory.h"
#include "train/batches.h"

#include <stdlib.h>

// What is dealt: batches in a row to each rank, rank r's labels being first[r] .. first[r + 1] - 1.
typedef struct dealt {
    size_t begin, end; // the own batches
    uint64_t *first;   // [ranks + 1]
} dealt;

// Every rank packs all batches, so that all agree on them: the same as one rank's.
static ts_status deal_batches(const ts_example *examples, size_t count, const ts_pass *pass,
                              ts_batch *batch, const ts_ranks *ranks, dealt *out, ts_error *err)
{
    ts_status status = TS_OK;
    const size_t all = ts_ranks_count(ranks), rank = ts_ranks_rank(ranks);
    size_t batches = 0, at = 0, r = 0;
    uint64_t labels = 0;
    TS_TRY(ts_alloc(all + 1, sizeof *out->first, &out->first, err));
    for (size_t next = 0; next < count; batches++) {
        TS_TRY(ts_batches_fill(examples, count, pass, &next, batch, err));
    }
    for (size_t next = 0; next < count; at++) {
        for (; r < all && at >= batches * r / all; r++) {
            out->first[r] = labels;
        }
        TS_TRY(ts_batches_fill(examples, count, pass, &next, batch, err));
        labels += batch->loss_rows;
    }
    for (; r <= all; r++) {
        out->first[r] = labels;
    }
    out->begin = batches * rank / all;
    out->end = batches * (rank + 1) / all;
out:
    return status;
}

// Whether no rank was asked to stop.
static ts_status agree(ts_ranks *ranks, bool *whole, ts_error *err)
{
    ts_status status = TS_OK;
    const uint32_t own = *whole;
    uint32_t *all = NULL;
    TS_TRY(ts_alloc(ts_ranks_count(ranks), sizeof *all, &all, err));
    TS_TRY(ts_ranks_share(ranks, &own, sizeof own, all, err));
    for (uint32_t r = 0; r < ts_ranks_count(ranks); r++) {
        *whole &= all[r] != 0;
    }
out:
    free(all);
    return status;
}

ts_status ts_reference_labels(const ts_example *examples, size_t count, ts_pass *pass,
                              ts_batch *batch, ts_ranks *ranks, float *labels, bool *whole,
                              ts_error *err)
{
    ts_status status = TS_OK;
    dealt own = {.end = SIZE_MAX};
    float *out = labels;
    size_t at = 0;
    *whole = true;
    if (ranks != NULL) {
        TS_TRY(deal_batches(examples, count, pass, batch, ranks, &own, err));
    }
    for (size_t next = 0; next < count && at < own.end && *whole; at++) {
        TS_TRY(ts_batches_fill(examples, count, pass, &next, batch, err));
        if (at >= own.begin) {
            TS_TRY(ts_pass_losses(pass, batch, out, err));
            *whole = next == count || !ts_stop_asked();
        }
        for (uint32_t i = 0; i < batch->loss_rows && at >= own.begin; i++) {
            out[i] = -out[i];
        }
        out += batch->loss_rows;
    }
    if (ranks != NULL) {
        TS_TRY(ts_ranks_gather(ranks, labels, own.first, err));
        TS_TRY(agree(ranks, whole, err));
    }
out:
    free(own.first);
    return status;
}

ts_status ts_reference_measure(const ts_example *examples, size_t count, ts_pass *pass,
                               bool adapter, ts_batch *batch, ts_ranks *ranks, double **out,
                               ts_error *err)
{
    ts_status status = TS_OK;
    float *labels = NULL;
    uint64_t supervised = 0;
    bool whole;
    const bool enabled = pass->model->lora_enabled;
    *out = NULL;
    for (size_t i = 0; i < count; i++) {
        supervised += examples[i].supervised_count;
    }
    TS_TRY(ts_alloc(count, sizeof **out, out, err));
    TS_TRY(ts_alloc(supervised, sizeof *labels, &labels, err));
    pass->model->lora_enabled = adapter;
    TS_TRY(ts_reference_labels(examples, count, pass, batch, ranks, labels, &whole, err));
    if (!whole) {
        TS_FAIL(TS_ERR_STOPPED, "stopped while the reference model was asked; no step was trained");
    }
    const float *label = labels;
    for (size_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < examples[i].supervised_count; k++) {
            (*out)[i] += *label++;
        }
    }
out:
    pass->model->lora_enabled = enabled;
    free(labels);
    return status;
}
