#include "cli/eval_print.h"

#include "cli/cli.h"
#include "cli/table.h"
#include "eval/words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- The metrics

// The table's columns. Without a tuned model there are only the first BASE_COLUMNS.
enum { LABEL, BASE, TUNED, CHANGE, COLUMNS, BASE_COLUMNS = TUNED, MAX_ROWS = TS_METRIC_COUNT + 1 };

typedef char row[COLUMNS][TS_TABLE_CELL];

static void fill_rate(const ts_rate *rate, char *out)
{
    snprintf(out, TS_TABLE_CELL, "%u/%u (%.0f-%.0f%%)", rate->yes, rate->of, 100 * rate->low,
             100 * rate->high);
}

static void fill_change(const ts_change *change, char *out)
{
    if (change->gained + change->lost == 0) {
        snprintf(out, TS_TABLE_CELL, "same");
    } else {
        snprintf(out, TS_TABLE_CELL, change->p < 0.001 ? "p < 0.001" : "p = %.3f", change->p);
    }
}

static void fill_losses(const ts_paired *paired, row out)
{
    snprintf(out[LABEL], TS_TABLE_CELL, "Reference loss");
    snprintf(out[BASE], TS_TABLE_CELL, "%.3f", paired->base.loss);
    snprintf(out[TUNED], TS_TABLE_CELL, "%.3f", paired->tuned.loss);
    if (isfinite(paired->loss_low)) {
        snprintf(out[CHANGE], TS_TABLE_CELL, "%+.2f (%+.2f, %+.2f)", paired->loss_change,
                 paired->loss_low, paired->loss_high);
    } else if (isfinite(paired->loss_change)) {
        snprintf(out[CHANGE], TS_TABLE_CELL, "%+.2f", paired->loss_change);
    }
}

// A metric that applies to no prompt gets no row.
static size_t fill_rows(const ts_paired *paired, bool tuned, row rows[MAX_ROWS])
{
    size_t count = 0;
    if (paired->base.measured > 0) {
        fill_losses(paired, rows[count++]);
    }
    for (ts_metric metric = 0; metric < TS_METRIC_COUNT; metric++) {
        if (paired->base.rates[metric].of > 0) {
            snprintf(rows[count][LABEL], TS_TABLE_CELL, "%s", ts_metric_label(metric));
            fill_rate(&paired->base.rates[metric], rows[count][BASE]);
            if (tuned) {
                fill_rate(&paired->tuned.rates[metric], rows[count][TUNED]);
                fill_change(&paired->changes[metric], rows[count][CHANGE]);
            }
            count++;
        }
    }
    return count;
}

static void print_table(const ts_paired *paired, bool tuned)
{
    ts_column columns[COLUMNS] = {{.head = "", .left = true},
                                  {.head = "base", .left = true},
                                  {.head = "fine-tuned", .left = true},
                                  {.head = "change", .left = true}};
    row rows[MAX_ROWS] = {0};
    size_t count = fill_rows(paired, tuned, rows);
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

static void explain(const ts_paired *paired, bool tuned)
{
    if (paired->base.measured > 0) {
        ts_cli_say(stdout,
                   "Reference loss: how surprised the model is by the reference answers, in nats "
                   "per token; "
                   "lower is better.%s\n",
                   isfinite(paired->loss_low)
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
    if (paired->base.rates[TS_METRIC_OVER_REFUSALS].of > 0) {
        ts_cli_say(stdout,
                   "Over-refusals: harmless requests that were refused; fewer is better.\n");
    }
}

void ts_cli_print_results(const ts_evaluation *evaluation, const ts_results *results)
{
    // The table is about the prompts that training never saw or, where it saw all of them, all.
    bool all_seen = results->held_out.base.prompts == 0;
    const ts_paired *paired = all_seen ? &results->seen : &results->held_out;
    bool tuned = results->tuned != NULL;
    printf("\n%s: %u\n",
           all_seen                   ? "prompts, all of them seen in training"
           : evaluation->seen != NULL ? "prompts that training never saw"
                                      : "prompts",
           paired->base.prompts);
    print_table(paired, tuned);
    putchar('\n');
    explain(paired, tuned);
}

// ---- Answers

// Appends an answer on one line, at most `limit` bytes of it.
static ts_status append_short(const ts_response *response, size_t limit, ts_text *out,
                              ts_error *err)
{
    ts_status status = TS_OK;
    ts_text clean = {0};
    size_t from = out->len, len;
    TS_TRY(ts_words_clean(response->text, response->len, &clean, err));
    len = clean.len;
    if (len > limit) {
        for (len = limit; len > 0 && ((unsigned char)clean.bytes[len] & 0xC0) == 0x80; len--) {
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

static ts_status print_example(const ts_evaluation *e, size_t index, ts_error *err)
{
    enum { LIMIT = 200, INDENT = 14 };
    ts_status status = TS_OK;
    ts_text text = {0};
    const ts_prompt *prompt = &e->prompts->items[index];
    const ts_response asked = {.text = prompt->text, .len = strlen(prompt->text)};
    TS_TRY(ts_text_format(&text, err, "\n> "));
    TS_TRY(append_short(&asked, LIMIT, &text, err));
    TS_TRY(ts_text_format(&text, err, "\n  base        "));
    TS_TRY(append_short(&e->base[index], LIMIT, &text, err));
    if (e->tuned != NULL) {
        TS_TRY(ts_text_format(&text, err, "\n  fine-tuned  "));
        TS_TRY(append_short(&e->tuned[index], LIMIT, &text, err));
    }
    TS_TRY(ts_text_format(&text, err, "\n"));
    ts_cli_print(stdout, INDENT, text.bytes);
out:
    ts_text_free(&text);
    return status;
}

// How many verdicts got better by tuning, minus how many got worse.
static int gain(const ts_results *results, size_t index)
{
    int sum = 0;
    for (ts_metric metric = 0; metric < TS_METRIC_COUNT && results->tuned != NULL; metric++) {
        sum += ts_mark_is_good(metric, results->tuned[index].marks[metric]);
        sum -= ts_mark_is_good(metric, results->base[index].marks[metric]);
    }
    return sum;
}

// The best prompt that is not shown yet. A category that is not shown yet counts most, then that
// training did not see the prompt, then the gain.
static size_t choose_example(const ts_evaluation *e, const ts_results *results, const bool *shown,
                             const bool *had)
{
    size_t best = SIZE_MAX;
    int best_score = 0;
    for (size_t i = 0; i < e->prompts->count; i++) {
        int score = (had[e->prompts->items[i].category] ? 0 : 200) +
                    (e->seen != NULL && e->seen[i] ? 0 : 100) + gain(results, i);
        if (!shown[i] && (best == SIZE_MAX || score > best_score)) {
            best = i;
            best_score = score;
        }
    }
    return best;
}

ts_status ts_cli_print_examples(const ts_evaluation *evaluation, const ts_results *results,
                                size_t count, ts_error *err)
{
    ts_status status = TS_OK;
    bool *shown = NULL, had[TS_CATEGORY_COUNT] = {false};
    TS_TRY(ts_alloc(evaluation->prompts->count + 1, sizeof *shown, &shown, err));
    for (size_t i = 0; i < count && i < evaluation->prompts->count; i++) {
        size_t index = choose_example(evaluation, results, shown, had);
        shown[index] = had[evaluation->prompts->items[index].category] = true;
        TS_TRY(print_example(evaluation, index, err));
    }
out:
    free(shown);
    return status;
}

static ts_status print_answer(const char *model, const ts_response *response, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    TS_TRY(ts_text_format(&text, err, "%s:\n", model));
    TS_TRY(ts_words_clean(response->text, response->len, &text, err));
    TS_TRY(ts_text_format(
        &text, err, "%s\n%s", response->len == 0 ? "(empty)" : "",
        response->stopped ? "" : "(cut off; a larger --max-new-tokens lets it go on)\n"));
    ts_cli_print(stdout, 0, text.bytes);
out:
    ts_text_free(&text);
    return status;
}

ts_status ts_cli_print_answers(const ts_evaluation *evaluation, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    for (size_t i = 0; i < evaluation->prompts->count; i++) {
        const char *prompt = evaluation->prompts->items[i].text;
        ts_text_clear(&text);
        TS_TRY(ts_text_format(&text, err, "\n> "));
        TS_TRY(ts_words_clean(prompt, strlen(prompt), &text, err));
        TS_TRY(ts_text_format(&text, err, "\n"));
        ts_cli_print(stdout, 2, text.bytes);
        TS_TRY(print_answer("base", &evaluation->base[i], err));
        if (evaluation->tuned != NULL) {
            TS_TRY(print_answer("fine-tuned", &evaluation->tuned[i], err));
        }
    }
out:
    ts_text_free(&text);
    return status;
}
