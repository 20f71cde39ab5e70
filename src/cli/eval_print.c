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

// The table's columns: each adapter has two, TUNED and CHANGE for the first, the next ones after
// these.
enum {
    LABEL = 0,
    BASE,
    TUNED,
    CHANGE,
    BASE_COLUMNS = TUNED,
    COLUMNS = BASE_COLUMNS + 2 * TINYSFT_MOST_ADAPTERS,
    MAX_ROWS = TINYSFT_METRICS + 3 + TINYSFT_CATEGORIES
};

// The adapters of an evaluation against the base.
struct compared {
    const tinysft_evaluation *evaluation;
    tinysft_comparison
        found[TINYSFT_MOST_ADAPTERS]; // [adapters]; without any the first has the base
    size_t adapters;
};

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

static void fill_losses(const struct compared *all, row out)
{
    snprintf(out[LABEL], TS_TABLE_CELL, "Reference loss");
    snprintf(out[BASE], TS_TABLE_CELL, "%.3f", all->found[0].base.loss);
    for (size_t i = 0; i < all->adapters; i++) {
        const tinysft_comparison *found = &all->found[i];
        snprintf(out[TUNED + 2 * i], TS_TABLE_CELL, "%.3f", found->tuned.loss);
        if (isfinite(found->loss_low)) {
            snprintf(out[CHANGE + 2 * i], TS_TABLE_CELL, "%+.2f (%+.2f, %+.2f)", found->loss_change,
                     found->loss_low, found->loss_high);
        } else if (isfinite(found->loss_change)) {
            snprintf(out[CHANGE + 2 * i], TS_TABLE_CELL, "%+.2f", found->loss_change);
        }
    }
}

static void fill_estimate(const tinysft_estimate *e, int decimals, char *out)
{
    if (isfinite(e->low)) {
        snprintf(out, TS_TABLE_CELL, "%.*f (%.*f-%.*f)", decimals, e->value, decimals, e->low,
                 decimals, e->high);
    } else if (isfinite(e->value)) {
        snprintf(out, TS_TABLE_CELL, "%.*f", decimals, e->value);
    }
}

// The figures of one model that are no counts, into its column; returns the number of rows.
static size_t fill_estimates(const tinysft_scores *scores, int column, row *rows)
{
    size_t count = 0;
    if (scores->first_tokens > 0) {
        snprintf(rows[0][LABEL], TS_TABLE_CELL, "Calibration error");
        fill_estimate(&scores->calibration_error, 3, rows[0][column]);
        snprintf(rows[1][LABEL], TS_TABLE_CELL, "Brier score");
        fill_estimate(&scores->brier, 3, rows[1][column]);
        count = 2;
    }
    for (int c = 0; c < TINYSFT_CATEGORIES; c++) {
        const tinysft_length *length = &scores->lengths[c];
        if (length->questions > 0) {
            snprintf(rows[count][LABEL], TS_TABLE_CELL, "Words, %s", length->category);
            fill_estimate(&length->words, 1, rows[count][column]);
            count++;
        }
    }
    return count;
}

// How many words the references have, into the column of changes, where there is nothing to test.
static void fill_references(const tinysft_scores *scores, row *rows)
{
    size_t at = scores->first_tokens > 0 ? 2 : 0;
    for (int c = 0; c < TINYSFT_CATEGORIES; c++) {
        const tinysft_length *length = &scores->lengths[c];
        if (length->questions > 0 && isfinite(length->reference_words)) {
            snprintf(rows[at][CHANGE], TS_TABLE_CELL, "reference %.1f", length->reference_words);
        }
        at += length->questions > 0;
    }
}

// A metric that applies to no prompt gets no row.
static size_t fill_rows(const struct compared *all, row rows[MAX_ROWS])
{
    size_t count = 0;
    const tinysft_comparison *found = &all->found[0];
    if (found->base.measured > 0) {
        fill_losses(all, rows[count++]);
    }
    for (int metric = 0; metric < TINYSFT_METRICS; metric++) {
        if (found->base.rates[metric].of > 0) {
            snprintf(rows[count][LABEL], TS_TABLE_CELL, "%s",
                     tinysft_metric_label((tinysft_metric)metric));
            fill_rate(&found->base.rates[metric], rows[count][BASE]);
            for (size_t i = 0; i < all->adapters; i++) {
                fill_rate(&all->found[i].tuned.rates[metric], rows[count][TUNED + 2 * i]);
                fill_change(&all->found[i].changes[metric], rows[count][CHANGE + 2 * i]);
            }
            count++;
        }
    }
    size_t more = fill_estimates(&found->base, BASE, rows + count);
    for (size_t i = 0; i < all->adapters; i++) {
        fill_estimates(&all->found[i].tuned, TUNED + 2 * (int)i, rows + count);
    }
    if (all->adapters > 0) {
        fill_references(&found->base, rows + count);
    }
    return count + more;
}

// What an adapter is called: its name, or "fine-tuned" where it is the only one.
static const char *name_of(const tinysft_evaluation *evaluation, size_t adapter)
{
    return tinysft_evaluation_adapters(evaluation) == 1
               ? "fine-tuned"
               : tinysft_evaluation_adapter(evaluation, adapter);
}

static void print_table(const struct compared *all)
{
    ts_column columns[COLUMNS] = {{.head = "", .left = true}, {.head = "base", .left = true}};
    row rows[MAX_ROWS] = {0};
    size_t count = fill_rows(all, rows), shown = BASE_COLUMNS + 2 * all->adapters;
    for (size_t i = 0; i < all->adapters; i++) {
        const char *name = name_of(all->evaluation, i);
        columns[TUNED + 2 * i] = (ts_column){.head = name, .left = true};
        columns[CHANGE + 2 * i] = (ts_column){.head = "change", .left = true};
    }
    for (size_t c = 0; c < shown; c++) {
        ts_table_widen(&columns[c], columns[c].head);
        for (size_t r = 0; r < count; r++) {
            ts_table_widen(&columns[c], rows[r][c]);
        }
    }
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
    if (found->base.first_tokens > 0) {
        ts_cli_say(stdout,
                   "Calibration error, Brier score: how far the probability of the likeliest "
                   "first token is from how often the reference begins with it (over %u prompts; "
                   "the error in ten bins); lower is better. Their intervals, and those of words, "
                   "are bootstraps.\n",
                   found->base.first_tokens);
    }
    for (int m = 0; m < TINYSFT_METRICS; m++) {
        if (tinysft_metric_lower_is_better((tinysft_metric)m) && found->base.rates[m].of > 0) {
            ts_cli_say(stdout, "%s: %s; fewer is better.\n",
                       tinysft_metric_label((tinysft_metric)m),
                       m == TINYSFT_OVER_REFUSALS ? "harmless requests that were refused"
                                                  : tinysft_metric_rule((tinysft_metric)m));
        }
    }
}

static ts_status compare(struct compared *all, bool seen, ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t i = 0; (i == 0 || i < all->adapters) && status == TS_OK; i++) {
        status = tinysft_evaluation_compare_adapter(all->evaluation, i, seen, &all->found[i], err);
    }
    return status;
}

ts_status ts_cli_print_results(const tinysft_evaluation *evaluation, ts_error *err)
{
    // The table is about the questions that training never saw or, where it saw all of them, all.
    ts_status status = TS_OK;
    struct compared all = {.evaluation = evaluation,
                           .adapters = tinysft_evaluation_adapters(evaluation)};
    const tinysft_comparison *found = &all.found[0];
    TS_TRY(compare(&all, false, err));
    bool all_seen = found->base.questions == 0;
    if (all_seen) {
        TS_TRY(compare(&all, true, err));
    }
    printf("\n%s: %u\n",
           all_seen            ? "prompts, all of them seen in training"
           : found->told_apart ? "prompts that training never saw"
                               : "prompts",
           found->base.questions);
    print_table(&all);
    putchar('\n');
    explain(found, all.adapters > 0);
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
    tinysft_response tuned;
    TS_TRY(tinysft_evaluation_get(evaluation, index, &e, err));
    TS_TRY(ts_text_format(&text, err, "\n> "));
    TS_TRY(append_short(e.question, strlen(e.question), LIMIT, &text, err));
    TS_TRY(ts_text_format(&text, err, "\n  base        "));
    TS_TRY(append_short(e.base.text, e.base.bytes, LIMIT, &text, err));
    for (size_t i = 0; i < tinysft_evaluation_adapters(evaluation); i++) {
        TS_TRY(tinysft_evaluation_get_tuned(evaluation, index, i, &tuned, err));
        TS_TRY(ts_text_format(&text, err, "\n  %-11s ", name_of(evaluation, i)));
        TS_TRY(append_short(tuned.text, tuned.bytes, LIMIT, &text, err));
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
        bool fewer = tinysft_metric_lower_is_better((tinysft_metric)m);
        tinysft_mark good = fewer ? TINYSFT_NO : TINYSFT_YES;
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
        for (size_t k = 0; k < tinysft_evaluation_adapters(evaluation); k++) {
            tinysft_response tuned;
            TS_TRY(tinysft_evaluation_get_tuned(evaluation, i, k, &tuned, err));
            TS_TRY(print_answer(name_of(evaluation, k), &tuned, err));
        }
    }
out:
    ts_text_free(&text);
    return status;
}
