#include "cli/eval_print.h"

#include "base/memory.h"
#include "cli/cli.h"
#include "cli/table.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- The metrics

// The table's columns. Without a tuned model there are only the first BASE_COLUMNS.
enum { LABEL, BASE, TUNED, CHANGE, COLUMNS, BASE_COLUMNS = TUNED, MAX_ROWS = TINYSFT_METRICS + 1 };

typedef char row[COLUMNS][TS_TABLE_CELL];

static void fill_rate(const tinysft_rate *rate, char *out)
{
    snprintf(out, TS_TABLE_CELL, "%u/%u (%.0f-%.0f%%)", rate->yes, rate->of, 100 * rate->low,
             100 * rate->high);
}

static void fill_change(const tinysft_change *change, char *out)
{
    if (change->gained + change->lost == 0) {
        snprintf(out, TS_TABLE_CELL, "same");
    } else {
        snprintf(out, TS_TABLE_CELL, change->p < 0.001 ? "p < 0.001" : "p = %.3f", change->p);
    }
}

static void fill_losses(const tinysft_comparison *found, row out)
{
    snprintf(out[LABEL], TS_TABLE_CELL, "Reference loss");
    snprintf(out[BASE], TS_TABLE_CELL, "%.3f", found->base.loss);
    snprintf(out[TUNED], TS_TABLE_CELL, "%.3f", found->tuned.loss);
    if (isfinite(found->loss_low)) {
        snprintf(out[CHANGE], TS_TABLE_CELL, "%+.2f (%+.2f, %+.2f)", found->loss_change,
                 found->loss_low, found->loss_high);
    } else if (isfinite(found->loss_change)) {
        snprintf(out[CHANGE], TS_TABLE_CELL, "%+.2f", found->loss_change);
    }
}

// A metric that applies to no prompt gets no row.
static size_t fill_rows(const tinysft_comparison *found, bool tuned, row rows[MAX_ROWS])
{
    size_t count = 0;
    if (found->base.measured > 0) {
        fill_losses(found, rows[count++]);
    }
    for (int metric = 0; metric < TINYSFT_METRICS; metric++) {
        if (found->base.rates[metric].of > 0) {
            snprintf(rows[count][LABEL], TS_TABLE_CELL, "%s",
                     tinysft_metric_label((tinysft_metric)metric));
            fill_rate(&found->base.rates[metric], rows[count][BASE]);
            if (tuned) {
                fill_rate(&found->tuned.rates[metric], rows[count][TUNED]);
                fill_change(&found->changes[metric], rows[count][CHANGE]);
            }
            count++;
        }
    }
    return count;
}

static void print_table(const tinysft_comparison *found, bool tuned)
{
    ts_column columns[COLUMNS] = {{.head = "", .left = true},
                                  {.head = "base", .left = true},
                                  {.head = "fine-tuned", .left = true},
                                  {.head = "change", .left = true}};
    row rows[MAX_ROWS] = {0};
    size_t count = fill_rows(found, tuned, rows);
    for (int c = 0; c < COLUMNS; c++) {
        ts_table_widen(&columns[c], columns[c].head);
        for (size_t r = 0; r < count; r++) {
            ts_table_widen(&columns[c], rows[r][c]);
        }
    }
    size_t shown = tuned ? COLUMNS : BASE_COLUMNS;
    ts_table_head(stdout, columns, shown);
    for (size_t r = 0; r < count; r++) {
        ts_table_row(stdout, columns, shown, rows[r]);
    }
}

static void explain(const tinysft_comparison *found, bool tuned)
{
    if (found->base.measured > 0) {
        ts_cli_say(stdout,
                   "Reference loss: how surprised the model is by the reference answers, in nats "
                   "per token; "
                   "lower is better.%s\n",
                   isfinite(found->loss_low)
                       ? " In brackets: where its change lies with 95 % confidence (paired "
                         "bootstrap: the prompts drawn 10,000 times anew)."
                       : "");
    }
    ts_cli_say(stdout, "(a-b%%): where the share would lie, with 95 %% confidence, if there were "
                       "many more such prompts (Wilson interval).\n");
    if (tuned) {
        ts_cli_say(stdout,
                   "p: how often chance alone would turn this many answers one way rather "
                   "than the other; below 0.05 it hardly is chance (exact McNemar test).\n");
    }
    if (found->base.rates[TINYSFT_OVER_REFUSALS].of > 0) {
        ts_cli_say(stdout,
                   "Over-refusals: harmless requests that were refused; fewer is better.\n");
    }
}

// Whether there is a model with an adapter.
static bool is_tuned(const tinysft_evaluation *evaluation)
{
    tinysft_evaluated first;
    return tinysft_evaluation_get(evaluation, 0, &first, NULL) == TINYSFT_OK &&
           first.tuned.text != NULL;
}

ts_status ts_cli_print_results(const tinysft_evaluation *evaluation, ts_error *err)
{
    // The table is about the questions that training never saw or, where it saw all of them, all.
    ts_status status = TS_OK;
    tinysft_comparison found;
    bool tuned = is_tuned(evaluation);
    TS_TRY(tinysft_evaluation_compare(evaluation, false, &found, err));
    bool all_seen = found.base.questions == 0;
    if (all_seen) {
        TS_TRY(tinysft_evaluation_compare(evaluation, true, &found, err));
    }
    printf("\n%s: %u\n",
           all_seen           ? "prompts, all of them seen in training"
           : found.told_apart ? "prompts that training never saw"
                              : "prompts",
           found.base.questions);
    print_table(&found, tuned);
    putchar('\n');
    explain(&found, tuned);
out:
    return status;
}

// ---- Answers

// Appends a text on one line, at most `limit` bytes of it.
static ts_status append_short(const char *bytes, size_t count, size_t limit, ts_text *out,
                              ts_error *err)
{
    ts_status status = TS_OK;
    ts_text clean = {0};
    size_t from = out->len, len;
    TS_TRY(ts_text_append_clean(&clean, bytes, count, err));
    len = clean.len;
    if (len > limit) {
        for (len = limit; len > 0 && ts_utf8_is_continuation(clean.bytes[len]); len--) {
        }
    }
    for (size_t i = 0; i < len; i++) { // blanks and line breaks become one space
        bool blank = strchr(" \t\n", clean.bytes[i]) != NULL;
        if (!blank) {
            TS_TRY(ts_text_append(out, clean.bytes + i, 1, err));
        } else if (out->len > from && out->bytes[out->len - 1] != ' ') {
            TS_TRY(ts_text_append(out, " ", 1, err));
        }
    }
    TS_TRY(ts_text_format(out, err, "%s",
                          clean.len == 0    ? "(empty)"
                          : len < clean.len ? " ..."
                                            : ""));
out:
    ts_text_free(&clean);
    return status;
}

static ts_status print_example(const tinysft_evaluation *evaluation, size_t index, ts_error *err)
{
    enum { LIMIT = 200, INDENT = 14 };
    ts_status status = TS_OK;
    ts_text text = {0};
    tinysft_evaluated e;
    TS_TRY(tinysft_evaluation_get(evaluation, index, &e, err));
    TS_TRY(ts_text_format(&text, err, "\n> "));
    TS_TRY(append_short(e.question, strlen(e.question), LIMIT, &text, err));
    TS_TRY(ts_text_format(&text, err, "\n  base        "));
    TS_TRY(append_short(e.base.text, e.base.bytes, LIMIT, &text, err));
    if (e.tuned.text != NULL) {
        TS_TRY(ts_text_format(&text, err, "\n  fine-tuned  "));
        TS_TRY(append_short(e.tuned.text, e.tuned.bytes, LIMIT, &text, err));
    }
    TS_TRY(ts_text_format(&text, err, "\n"));
    ts_cli_print(stdout, INDENT, text.bytes);
out:
    ts_text_free(&text);
    return status;
}

// How many metrics got better by tuning, minus how many got worse.
static int gain(const tinysft_evaluated *e)
{
    int sum = 0;
    for (int m = 0; m < TINYSFT_METRICS && e->tuned.text != NULL; m++) {
        tinysft_mark good = m == TINYSFT_OVER_REFUSALS ? TINYSFT_NO : TINYSFT_YES;
        sum += (e->tuned.marks[m] == good) - (e->base.marks[m] == good);
    }
    return sum;
}

// What a question is worth as an example. A category that no question before it in `order` has
// counts most, then that training did not see it, then the gain.
static int worth(const tinysft_evaluated *all, size_t index, const size_t *order, size_t shown)
{
    const tinysft_evaluated *e = &all[index];
    bool had = false;
    for (size_t i = 0; i < shown; i++) {
        had |= strcmp(all[order[i]].category, e->category) == 0;
        if (order[i] == index) {
            return INT_MIN;
        }
    }
    return (had ? 0 : 200) + (e->seen ? 0 : 100) + gain(e);
}

ts_status ts_cli_print_examples(const tinysft_evaluation *evaluation, size_t count, ts_error *err)
{
    ts_status status = TS_OK;
    size_t total = tinysft_evaluation_count(evaluation);
    tinysft_evaluated *all = NULL;
    size_t *order = NULL;
    TS_TRY(ts_alloc(total + 1, sizeof *all, &all, err));
    TS_TRY(ts_alloc(total + 1, sizeof *order, &order, err));
    for (size_t i = 0; i < total; i++) {
        TS_TRY(tinysft_evaluation_get(evaluation, i, &all[i], err));
    }
    for (size_t shown = 0; shown < count && shown < total; shown++) {
        int best = INT_MIN;
        for (size_t i = 0; i < total; i++) {
            int score = worth(all, i, order, shown);
            if (score > best) {
                best = score;
                order[shown] = i;
            }
        }
        TS_TRY(print_example(evaluation, order[shown], err));
    }
out:
    free(all);
    free(order);
    return status;
}

static ts_status print_answer(const char *model, const tinysft_response *response, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    bool cut = response->marks[TINYSFT_ENDED] == TINYSFT_NO;
    TS_TRY(ts_text_format(&text, err, "%s:\n", model));
    TS_TRY(ts_text_append_clean(&text, response->text, response->bytes, err));
    TS_TRY(ts_text_format(&text, err, "%s\n%s", response->bytes == 0 ? "(empty)" : "",
                          cut ? "(cut off; a larger --max-new-tokens lets it go on)\n" : ""));
    ts_cli_print(stdout, 0, text.bytes);
out:
    ts_text_free(&text);
    return status;
}

ts_status ts_cli_print_answers(const tinysft_evaluation *evaluation, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    for (size_t i = 0; i < tinysft_evaluation_count(evaluation); i++) {
        tinysft_evaluated e;
        TS_TRY(tinysft_evaluation_get(evaluation, i, &e, err));
        ts_text_clear(&text);
        TS_TRY(ts_text_format(&text, err, "\n> "));
        TS_TRY(ts_text_append_clean(&text, e.question, strlen(e.question), err));
        TS_TRY(ts_text_format(&text, err, "\n"));
        ts_cli_print(stdout, 2, text.bytes);
        TS_TRY(print_answer("base", &e.base, err));
        if (e.tuned.text != NULL) {
            TS_TRY(print_answer("fine-tuned", &e.tuned, err));
        }
    }
out:
    ts_text_free(&text);
    return status;
}
