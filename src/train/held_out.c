#include "train/held_out.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/rng.h"
#include "train/batches.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Orders pointers to rows by their tokens, so that equal rows are neighbours.
static int by_tokens(const void *a, const void *b)
{
    const ts_example *x = *(const ts_example *const *)a, *y = *(const ts_example *const *)b;
    if (x->count != y->count) {
        return x->count < y->count ? -1 : 1;
    }
    return memcmp(x->ids, y->ids, x->count * sizeof *x->ids);
}

static ts_status sort_rows(const ts_dataset *dataset, const ts_example ***out, ts_error *err)
{
    ts_status status = ts_alloc(dataset->count, sizeof **out, out, err);
    for (size_t i = 0; i < dataset->count && status == TS_OK; i++) {
        (*out)[i] = &dataset->examples[i];
    }
    if (status == TS_OK) {
        qsort(*out, dataset->count, sizeof **out, by_tokens);
    }
    return status;
}

// ---- A file of their own

static ts_status warn_of_same(const ts_dataset *file, const ts_dataset *training,
                              const char *eval_data, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_example **sorted = NULL;
    size_t same = 0;
    TS_TRY(sort_rows(training, &sorted, err));
    for (size_t i = 0; i < file->count; i++) {
        const ts_example *row = &file->examples[i];
        same += bsearch(&row, sorted, training->count, sizeof *sorted, by_tokens) != NULL;
    }
    if (same > 0) {
        ts_log(TS_LOG_WARN,
               "%s: %zu of its %zu rows are trained on too: the loss on them shows what was learnt "
               "by heart",
               eval_data, same, file->count);
    }
out:
    free(sorted);
    return status;
}

static ts_status read_file(const ts_train_settings *settings, const ts_tokenizer *tokenizer,
                           ts_chat_template *template, const ts_dataset_options *options,
                           const ts_dataset *training, ts_held_out *out, ts_error *err)
{
    ts_status status = TS_OK;
    const char *path = settings->eval_data;
    TS_TRY(ts_dataset_open(path, tokenizer, template, options, &out->file, err));
    TS_TRY(warn_of_same(&out->file, training, path, err));
    TS_TRY(ts_alloc(out->file.count, sizeof *out->rows, &out->rows, err));
    memcpy(out->rows, out->file.examples, out->file.count * sizeof *out->rows);
    out->count = out->file.count;
out:
    return status;
}

// ---- A part of the training data

// Marks row `row` and all rows of the same tokens; adds to *taken how many.
static void take(const ts_dataset *dataset, const ts_example **sorted, uint32_t row, bool *taken,
                 size_t *count)
{
    const ts_example *wanted = &dataset->examples[row];
    const ts_example **found = bsearch(&wanted, sorted, dataset->count, sizeof *sorted, by_tokens);
    const ts_example **from = found, **end = sorted + dataset->count;
    while (from > sorted && by_tokens(from - 1, found) == 0) {
        from--;
    }
    for (; from < end && by_tokens(from, found) == 0; from++) {
        taken[*from - dataset->examples] = true;
        ++*count;
    }
}

// Moves the marked rows to out->rows; both parts keep the order of the file.
static ts_status move(ts_dataset *training, const bool *taken, size_t count, ts_held_out *out,
                      ts_error *err)
{
    ts_status status = TS_OK;
    size_t kept = 0;
    TS_TRY(ts_alloc(count, sizeof *out->rows, &out->rows, err));
    for (size_t i = 0; i < training->count; i++) {
        const ts_example row = training->examples[i];
        if (taken[i]) {
            out->rows[out->count++] = row;
            training->token_count -= row.count;
            training->supervised_count -= row.supervised_count;
        } else {
            training->examples[kept++] = row;
        }
    }
    training->count = kept;
out:
    return status;
}

static ts_status split(const ts_train_settings *settings, ts_dataset *training, ts_held_out *out,
                       ts_error *err)
{
    ts_status status = TS_OK;
    const ts_example **sorted = NULL;
    uint32_t *order = NULL;
    bool *taken = NULL;
    size_t rows = training->count, count = 0;
    size_t wanted = (size_t)ceil(settings->eval_split * (double)rows - 1e-9);
    TS_TRY(sort_rows(training, &sorted, err));
    TS_TRY(ts_alloc(rows, sizeof *order, &order, err));
    TS_TRY(ts_alloc(rows, sizeof *taken, &taken, err));
    ts_torch_randperm(settings->seed, (uint32_t)rows, order);
    for (size_t i = 0; i < rows && count < wanted; i++) {
        if (!taken[order[i]]) {
            take(training, sorted, order[i], taken, &count);
        }
    }
    if (count == rows) {
        TS_FAIL(TS_ERR_ARGUMENT,
                "--eval-split %g: %zu rows of %s would all be held out (equal ones stay together), "
                "and none be left to train on: give a smaller part, or --eval-data FILE",
                settings->eval_split, rows, settings->data);
    }
    TS_TRY(move(training, taken, count, out, err));
out:
    free(sorted);
    free(order);
    free(taken);
    return status;
}

// ---- Opening

static void measure(ts_held_out *h)
{
    for (size_t i = 0; i < h->count; i++) {
        h->supervised += h->rows[i].supervised_count;
        h->at_least.rows = (uint32_t)ts_max_u64(h->at_least.rows, h->rows[i].count);
        h->at_least.loss_rows =
            (uint32_t)ts_max_u64(h->at_least.loss_rows, h->rows[i].supervised_count);
    }
}

ts_status ts_held_out_open(const ts_train_settings *settings, const ts_tokenizer *tokenizer,
                           ts_chat_template *template, const ts_dataset_options *options,
                           ts_dataset *training, ts_held_out *out, ts_error *err)
{
    ts_status status = TS_OK;
    *out = (ts_held_out){0};
    if (settings->eval_data != NULL) {
        TS_TRY(read_file(settings, tokenizer, template, options, training, out, err));
    } else if (settings->eval_split > 0) {
        TS_TRY(split(settings, training, out, err));
    }
    measure(out);
out:
    if (status != TS_OK) {
        ts_held_out_close(out);
    }
    return status;
}

void ts_held_out_close(ts_held_out *held_out)
{
    free(held_out->rows);
    ts_dataset_close(&held_out->file);
    *held_out = (ts_held_out){0};
}

// ---- The loss

ts_status ts_held_out_loss(const ts_held_out *held_out, ts_pass *pass, ts_batch *batch,
                           double *loss, bool *whole, ts_error *err)
{
    ts_status status = TS_OK;
    double sum = 0;
    *whole = false;
    for (size_t i = 0; i < held_out->count;) {
        double part;
        TS_TRY(ts_batches_fill(held_out->rows, held_out->count, pass, &i, batch, err));
        TS_TRY(ts_pass_loss(pass, batch, &part, err));
        sum += part;
        if (i < held_out->count && ts_stop_asked()) {
            return TS_OK;
        }
    }
    *loss = sum / (double)held_out->supervised;
    *whole = true;
out:
    return status;
}
