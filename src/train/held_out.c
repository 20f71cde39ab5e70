#include "train/held_out.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/rng.h"
#include "train/batches.h"
#include "train/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_rows(const ts_example *x, const ts_example *y)
{
    if (x->count != y->count) {
        return x->count < y->count ? -1 : 1;
    }
    return memcmp(x->ids, y->ids, x->count * sizeof *x->ids);
}

// Orders pointers to rows by their tokens, so that equal rows are neighbours.
static int by_tokens(const void *a, const void *b)
{
    return compare_rows(*(const ts_example *const *)a, *(const ts_example *const *)b);
}

// The same of pairs, by pointers to the chosen answers.
static int by_both_answers(const void *a, const void *b)
{
    const ts_example *x = *(const ts_example *const *)a, *y = *(const ts_example *const *)b;
    int chosen = compare_rows(x, y);
    return chosen != 0 ? chosen : compare_rows(x + 1, y + 1);
}

// Rows or pairs of a dataset, equal ones side by side.
typedef struct sorted_items {
    const ts_example **items; // [count] each one's first row
    size_t count, size;       // size: rows of an item
    int (*compare)(const void *a, const void *b);
} sorted_items;

static ts_status sort_items(const ts_dataset *dataset, sorted_items *out, ts_error *err)
{
    *out = (sorted_items){.size = dataset->pairs ? 2 : 1,
                          .compare = dataset->pairs ? by_both_answers : by_tokens};
    out->count = dataset->count / out->size;
    ts_status status = ts_alloc(out->count, sizeof *out->items, &out->items, err);
    for (size_t i = 0; i < out->count && status == TS_OK; i++) {
        out->items[i] = &dataset->examples[i * out->size];
    }
    if (status == TS_OK) {
        qsort(out->items, out->count, sizeof *out->items, out->compare);
    }
    return status;
}

static const ts_example **find_item(const sorted_items *sorted, const ts_example *wanted)
{
    return bsearch(&wanted, sorted->items, sorted->count, sizeof *sorted->items, sorted->compare);
}

// ---- A file of their own

static ts_status warn_of_same(const ts_dataset *file, const ts_dataset *training,
                              const char *eval_data, ts_error *err)
{
    ts_status status = TS_OK;
    sorted_items sorted = {0};
    size_t same = 0;
    TS_TRY(sort_items(training, &sorted, err));
    for (size_t i = 0; i < file->count; i += sorted.size) {
        same += find_item(&sorted, &file->examples[i]) != NULL;
    }
    if (same > 0) {
        ts_log(TS_LOG_WARN,
               "%s: %zu of its %zu %s are trained on too: the loss on them shows what was learnt "
               "by heart",
               eval_data, same, file->count / sorted.size, file->pairs ? "pairs" : "rows");
    }
out:
    free(sorted.items);
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

// Marks item `item` and all that are equal; adds to *count how many.
static void take(const ts_dataset *dataset, const sorted_items *sorted, size_t item, bool *taken,
                 size_t *count)
{
    const ts_example **found = find_item(sorted, &dataset->examples[item * sorted->size]);
    const ts_example **from = found, **end = sorted->items + sorted->count;
    while (from > sorted->items && sorted->compare(from - 1, found) == 0) {
        from--;
    }
    for (; from < end && sorted->compare(from, found) == 0; from++) {
        taken[(size_t)(*from - dataset->examples) / sorted->size] = true;
        ++*count;
    }
}

// Moves the marked items, `count` of `size` rows, to out->rows; both parts keep the order of the
// file.
static ts_status move(ts_dataset *training, const bool *taken, size_t count, size_t size,
                      ts_held_out *out, ts_error *err)
{
    ts_status status = TS_OK;
    size_t kept = 0;
    TS_TRY(ts_alloc(count * size, sizeof *out->rows, &out->rows, err));
    for (size_t i = 0; i < training->count; i++) {
        const ts_example row = training->examples[i];
        if (taken[i / size]) {
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
    sorted_items sorted = {0};
    uint32_t *order = NULL;
    bool *taken = NULL;
    size_t count = 0;
    TS_TRY(sort_items(training, &sorted, err));
    const size_t rows = sorted.count;
    const size_t wanted = (size_t)ceil(settings->eval_split * (double)rows - 1e-9);
    TS_TRY(ts_alloc(rows, sizeof *order, &order, err));
    TS_TRY(ts_alloc(rows, sizeof *taken, &taken, err));
    ts_torch_randperm(settings->seed, (uint32_t)rows, order);
    for (size_t i = 0; i < rows && count < wanted; i++) {
        if (!taken[order[i]]) {
            take(training, &sorted, order[i], taken, &count);
        }
    }
    if (count == rows) {
        TS_FAIL(TS_ERR_ARGUMENT,
                "--eval-split %g: %zu %s of %s would all be held out (equal ones stay together), "
                "and none be left to train on: give a smaller part, or --eval-data FILE",
                settings->eval_split, rows, training->pairs ? "pairs" : "rows", settings->data);
    }
    TS_TRY(move(training, taken, count, sorted.size, out, err));
out:
    free(sorted.items);
    free(order);
    free(taken);
    return status;
}

// ---- Opening

// Counts what is held out.
static void count_rows(ts_held_out *h)
{
    h->items = h->count / (h->pairs ? 2 : 1);
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
    *out = (ts_held_out){.pairs = training->pairs};
    if (settings->eval_data != NULL) {
        TS_TRY(read_file(settings, tokenizer, template, options, training, out, err));
    } else if (settings->eval_split > 0) {
        TS_TRY(split(settings, training, out, err));
    }
    count_rows(out);
    TS_TRY(ts_alloc(out->count + 1, sizeof *out->sums, &out->sums, err));
    if (out->pairs) { // so that no step allocates
        TS_TRY(ts_alloc(out->supervised, sizeof *out->labels, &out->labels, err));
    }
out:
    if (status != TS_OK) {
        ts_held_out_close(out);
    }
    return status;
}

void ts_held_out_close(ts_held_out *held_out)
{
    free(held_out->rows);
    free(held_out->sums);
    free(held_out->reference);
    free(held_out->labels);
    ts_dataset_close(&held_out->file);
    *held_out = (ts_held_out){0};
}

// ---- The loss

// What a rank tells of its batches: their sums, then 1 if it was asked to stop before the last.
typedef struct ts_held_sums {
    double *own, *all; // [count + 1], [ranks of those]
    size_t count;      // of the batches
} ts_held_sums;

// Every rank packs all batches, so that all agree on them, and runs its own.
static ts_status run_batches(const ts_held_out *held_out, ts_pass *pass, ts_batch *batch,
                             const ts_ranks *ranks, ts_held_sums *sums, ts_error *err)
{
    ts_status status = TS_OK;
    bool stops = false;
    for (size_t i = 0; i < held_out->count; sums->count++) {
        double *sum = &sums->own[sums->count];
        TS_TRY(ts_batches_fill(held_out->rows, held_out->count, pass, &i, batch, err));
        if (sums->count % ts_ranks_count(ranks) == ts_ranks_rank(ranks) && !stops) {
            TS_TRY(ts_pass_loss(pass, batch, sum, err));
            stops = i < held_out->count && ts_stop_asked();
        }
    }
    sums->own[sums->count] = stops;
out:
    return status;
}

static ts_status measure_rows(const ts_held_out *held_out, ts_pass *pass, ts_batch *batch,
                              ts_ranks *ranks, ts_held_out_measured *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_held_sums sums = {.own = held_out->sums};
    const size_t count = ts_ranks_count(ranks);
    out->whole = true;
    TS_TRY(run_batches(held_out, pass, batch, ranks, &sums, err));
    sums.all = sums.own;
    if (ranks != NULL) {
        TS_TRY(ts_alloc((sums.count + 1) * count, sizeof *sums.all, &sums.all, err));
        TS_TRY(ts_ranks_share(ranks, sums.own, (sums.count + 1) * sizeof *sums.own, sums.all, err));
    }
    for (size_t b = 0; b < sums.count; b++) {
        out->loss += sums.all[b % count * (sums.count + 1) + b];
    }
    for (size_t r = 0; r < count; r++) {
        out->whole &= sums.all[r * (sums.count + 1) + sums.count] == 0;
    }
    out->loss /= (double)held_out->supervised;
out:
    if (ranks != NULL) {
        free(sums.all);
    }
    return status;
}

// The loss of each pair from the log-probabilities of its two answers' labels.
static void add_up_pairs(const ts_held_out *h, const ts_pass *pass, ts_held_out_measured *out)
{
    ts_rewards rewards = {0};
    const float *label = h->labels;
    double loss = 0;
    for (size_t i = 0; i < h->count; i += 2) {
        uint32_t counts[2] = {h->rows[i].supervised_count, h->rows[i + 1].supervised_count};
        const ts_loss_sequences answers = {2, counts, &h->reference[i]};
        const ts_loss_rows rows = {.count = counts[0] + counts[1],
                                   .scale = 1,
                                   .log_probability = label,
                                   .sequences = &answers,
                                   .params = &pass->loss_params};
        const ts_rewards found = ts_loss_rewards(&rows);
        loss += pass->loss->value(&rows);
        rewards.right += found.right;
        rewards.chosen += found.chosen;
        rewards.rejected += found.rejected;
        label += rows.count;
    }
    out->loss = loss / (double)h->items;
    out->margin = (rewards.chosen - rewards.rejected) / (double)h->items;
    out->accuracy = (double)rewards.right / (double)h->items;
}

static ts_status measure_pairs(const ts_held_out *h, ts_pass *pass, ts_batch *batch,
                               ts_ranks *ranks, ts_held_out_measured *out, ts_error *err)
{
    ts_status status =
        ts_reference_labels(h->rows, h->count, pass, batch, ranks, h->labels, &out->whole, err);
    if (status == TS_OK && out->whole) {
        add_up_pairs(h, pass, out);
    }
    return status;
}

ts_status ts_held_out_measure(const ts_held_out *held_out, ts_pass *pass, ts_batch *batch,
                              ts_ranks *ranks, ts_held_out_measured *out, ts_error *err)
{
    *out = (ts_held_out_measured){.margin = NAN, .accuracy = NAN};
    return held_out->pairs ? measure_pairs(held_out, pass, batch, ranks, out, err)
                           : measure_rows(held_out, pass, batch, ranks, out, err);
}
