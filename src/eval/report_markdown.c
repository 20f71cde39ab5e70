// before_after.md: both models side by side, as GitHub-flavoured Markdown.
#include "eval/report.h"

#include <math.h>
#include <string.h>

// Appends one character of a cell. A character that Markdown, tables, HTML, links, mentions or
// formulas could interpret becomes a character reference, which is displayed but never interpreted.
static ts_status append_character(const char *text, size_t at, ts_text *out, ts_error *err)
{
    char c = text[at];
    bool link = (c == ':' && strncmp(text + at, "://", 3) == 0) ||
                (c == '.' && at >= 3 && strncmp(text + at - 3, "www.", 4) == 0) ||
                (c == '.' && at >= 3 && strncmp(text + at - 3, "WWW.", 4) == 0);
    if (c == '\n') {
        return ts_text_format(out, err, "<br>");
    }
    if (c == '\t' || (c == ' ' && at > 0 && (text[at - 1] == ' ' || text[at - 1] == '\n'))) {
        return ts_text_format(out, err, "&nbsp;"); // keeps indentation
    }
    if (strchr("&<>|`*_[]#~$\\@", c) != NULL || link) {
        return ts_text_format(out, err, "&#%d;", c);
    }
    return ts_text_append(out, &c, 1, err);
}

ts_status ts_markdown_escape(const char *text, size_t len, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text clean = {0};
    TS_TRY(ts_text_append_clean(&clean, text, len, err));
    while (clean.len > 0 && strchr(" \t\n", clean.bytes[clean.len - 1]) != NULL) {
        clean.bytes[--clean.len] = '\0';
    }
    for (size_t i = 0; i < clean.len; i++) {
        TS_TRY(append_character(clean.bytes, i, out, err));
    }
out:
    ts_text_free(&clean);
    return status;
}

static ts_status escape(const char *text, ts_text *out, ts_error *err)
{
    return ts_markdown_escape(text, strlen(text), out, err);
}

static ts_status append_settings(const ts_evaluation *evaluation, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_text_format(out, err, "# "));
    TS_TRY(escape(evaluation->title, out, err));
    TS_TRY(ts_text_format(out, err, "\n\n## Configuration\n\n| Setting | Value |\n|---|---|\n"));
    for (size_t i = 0; i < evaluation->setting_count; i++) {
        TS_TRY(ts_text_format(out, err, "| "));
        TS_TRY(escape(evaluation->settings[i].key, out, err));
        TS_TRY(ts_text_format(out, err, " | "));
        TS_TRY(escape(evaluation->settings[i].value, out, err));
        TS_TRY(ts_text_format(out, err, " |\n"));
    }
out:
    return status;
}

static ts_status append_number(double value, ts_text *out, ts_error *err)
{
    return isfinite(value) ? ts_text_format(out, err, " %.4g |", value)
                           : ts_text_format(out, err, " – |");
}

// "| Loss on the reference | 2.31 | 1.72 | -0.59 (95 %: -0.71 to -0.44) |", and perplexity.
static ts_status append_losses(const ts_paired *all, size_t adapters, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_text_format(out, err, "| Loss on the reference (nats per token) |"));
    TS_TRY(append_number(all->base.loss, out, err));
    for (const ts_paired *paired = all; paired < all + adapters; paired++) {
        TS_TRY(append_number(paired->tuned.loss, out, err));
        TS_TRY(isfinite(paired->loss_low)
                   ? ts_text_format(out, err, " %+.4f (95 %%: %+.4f to %+.4f) |",
                                    paired->loss_change, paired->loss_low, paired->loss_high)
                   : append_number(paired->loss_change, out, err));
    }
    TS_TRY(ts_text_format(out, err, "\n| Perplexity of the reference |"));
    TS_TRY(append_number(all->base.perplexity, out, err));
    for (const ts_paired *paired = all; paired < all + adapters; paired++) {
        double factor = paired->tuned.perplexity / paired->base.perplexity;
        TS_TRY(append_number(paired->tuned.perplexity, out, err));
        TS_TRY(isfinite(factor) ? ts_text_format(out, err, " × %.3g |", factor)
                                : ts_text_format(out, err, " – |"));
    }
    TS_TRY(ts_text_format(out, err, "\n"));
out:
    return status;
}

static ts_status append_rate(const ts_rate *rate, ts_text *out, ts_error *err)
{
    return ts_text_format(out, err, " %u/%u = %.0f %% (%.0f to %.0f) |", rate->yes, rate->of,
                          100 * ts_rate_value(rate), 100 * rate->low, 100 * rate->high);
}

static ts_status append_rates(const ts_paired *all, size_t adapters, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    for (int m = 0; m < TS_METRIC_COUNT; m++) {
        const ts_rate *base = &all->base.rates[m];
        if (base->of == 0) {
            continue;
        }
        TS_TRY(ts_text_format(out, err, "| %s%s |", ts_metric_label((ts_metric)m),
                              ts_metric_lower_is_better((ts_metric)m) ? " (fewer is better)" : ""));
        TS_TRY(append_rate(base, out, err));
        for (const ts_paired *paired = all; paired < all + adapters; paired++) {
            const ts_rate *after = &paired->tuned.rates[m];
            const ts_change *change = &paired->changes[m];
            double points = 100 * (ts_rate_value(after) - ts_rate_value(base));
            TS_TRY(append_rate(after, out, err));
            TS_TRY(ts_text_format(out, err, " %+.0f points; +%u, −%u prompts, p = %.3g |", points,
                                  change->gained, change->lost, change->p));
        }
        TS_TRY(ts_text_format(out, err, "\n"));
    }
out:
    return status;
}

// "| Metric | Base | Fine-tuned | Change |" and the line below it.
static ts_status append_metric_heads(const ts_evaluation *e, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_text_format(out, err, "| Metric | Base |"));
    for (size_t i = 0; i < e->tuned_count; i++) {
        TS_TRY(ts_text_format(out, err, " "));
        TS_TRY(escape(ts_tuned_label(e, i), out, err));
        TS_TRY(ts_text_format(out, err, " | Change |"));
    }
    TS_TRY(ts_text_format(out, err, "\n|---|---|"));
    for (size_t i = 0; i < e->tuned_count; i++) {
        TS_TRY(ts_text_format(out, err, "---|---|"));
    }
    TS_TRY(ts_text_format(out, err, "\n"));
out:
    return status;
}

static ts_status append_metrics(const ts_evaluation *e, const ts_paired *paired,
                                const char *heading, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t prompts = paired->base.prompts;
    TS_TRY(
        ts_text_format(out, err, "\n## %s: %u prompt%s\n\n", heading, prompts, ts_plural(prompts)));
    if (prompts == 0) {
        goto out;
    }
    TS_TRY(append_metric_heads(e, out, err));
    if (paired->base.measured > 0) { // some prompt has a reference
        TS_TRY(append_losses(paired, e->tuned_count, out, err));
    }
    TS_TRY(append_rates(paired, e->tuned_count, out, err));
    const ts_summary *models[TS_MOST_MODELS] = {&paired->base};
    for (size_t i = 0; i < e->tuned_count; i++) {
        models[1 + i] = &paired[i].tuned;
    }
    TS_TRY(ts_report_estimates(models, 1 + e->tuned_count, out, err));
out:
    return status;
}

// What is counted in every row of the tables, and when it is a yes.
static ts_status append_rules(const ts_results *results, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_text_format(out, err, "\n| Metric | Counted | Yes where |\n|---|---|---|\n"));
    for (int m = 0; m < TS_METRIC_COUNT; m++) {
        ts_metric metric = (ts_metric)m;
        if (results->held_out[0].base.rates[m].of + results->seen[0].base.rates[m].of > 0) {
            TS_TRY(ts_text_format(out, err, "| %s | %s | %s |\n", ts_metric_label(metric),
                                  ts_metric_counted(metric), ts_metric_rule(metric)));
        }
    }
out:
    return status;
}

static ts_status append_method(bool tuned, ts_text *out, ts_error *err)
{
    const char *paired = " p is the exact McNemar test on the prompts whose score changed; the "
                         "interval of the loss is a paired bootstrap over prompts (10,000 "
                         "resamples, fixed seed).";
    return ts_text_format(out, err,
                          "\nRates carry Wilson's 95 %% interval.%s Facts, refusals and politeness "
                          "are judged by lists of words, which can err: read the answers too.\n",
                          tuned ? paired : "");
}

static ts_status append_answer(const ts_response *response, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    size_t from = out->len;
    TS_TRY(ts_text_format(out, err, " "));
    TS_TRY(ts_markdown_escape(response->text, response->len, out, err));
    if (out->len == from + 1) {
        TS_TRY(ts_text_format(out, err, "*(empty)*"));
    }
    TS_TRY(ts_text_format(out, err, " |"));
out:
    return status;
}

static ts_status append_marks(const ts_prompt *prompt, const ts_response *response,
                              const ts_score *score, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    for (int m = 0; m < TS_METRIC_COUNT; m++) {
        char buffer[96];
        const char *words = ts_mark_words(prompt, score, (ts_metric)m, buffer);
        if (words != NULL) {
            bool good = ts_mark_is_good((ts_metric)m, score->marks[m]);
            TS_TRY(ts_text_format(out, err, " %s %s<br>", good ? "✓" : "✗", words));
        }
    }
    TS_TRY(ts_text_format(out, err, " %u token%s", response->tokens, ts_plural(response->tokens)));
    if (response->reference_tokens > 0) {
        TS_TRY(ts_text_format(out, err, ", loss %.3f", response->reference_loss));
    }
    TS_TRY(ts_text_format(out, err, " |"));
out:
    return status;
}

// "### 3. capital-france (factual, held out)". Only the number is always there.
static ts_status append_heading(const ts_prompt *prompt, size_t i, const char *seen, ts_text *out,
                                ts_error *err)
{
    ts_status status = TS_OK;
    bool label = prompt->label[0] != '\0', told = seen[0] != '\0';
    TS_TRY(ts_text_format(out, err, "\n### %zu.%s", i + 1, prompt->id[0] != '\0' ? " " : ""));
    TS_TRY(escape(prompt->id, out, err));
    if (label || told) {
        TS_TRY(ts_text_format(out, err, " ("));
        TS_TRY(escape(prompt->label, out, err));
        TS_TRY(ts_text_format(out, err, "%s%s)", label && told ? ", " : "", seen));
    }
    TS_TRY(ts_text_format(out, err, "\n\n"));
out:
    return status;
}

// "| Base | Fine-tuned |", then the answers below each other's heads, then their marks.
static ts_status append_answers(const ts_evaluation *e, const ts_results *results, size_t i,
                                ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_prompt *prompt = &e->prompts->items[i];
    TS_TRY(ts_text_format(out, err, "| Base |"));
    for (size_t k = 0; k < e->tuned_count; k++) {
        TS_TRY(ts_text_format(out, err, " "));
        TS_TRY(escape(ts_tuned_label(e, k), out, err));
        TS_TRY(ts_text_format(out, err, " |"));
    }
    TS_TRY(ts_text_format(out, err, "\n|---|"));
    for (size_t k = 0; k < e->tuned_count; k++) {
        TS_TRY(ts_text_format(out, err, "---|"));
    }
    TS_TRY(ts_text_format(out, err, "\n|"));
    TS_TRY(append_answer(&e->base[i], out, err));
    for (size_t k = 0; k < e->tuned_count; k++) {
        TS_TRY(append_answer(&e->tuned[k].responses[i], out, err));
    }
    TS_TRY(ts_text_format(out, err, "\n|"));
    TS_TRY(append_marks(prompt, &e->base[i], &results->base[i], out, err));
    for (size_t k = 0; k < e->tuned_count; k++) {
        TS_TRY(append_marks(prompt, &e->tuned[k].responses[i], &results->tuned[k][i], out, err));
    }
    TS_TRY(ts_text_format(out, err, "\n"));
out:
    return status;
}

static ts_status append_prompt(const ts_evaluation *e, const ts_results *results, size_t i,
                               ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_prompt *prompt = &e->prompts->items[i];
    const char *seen = ts_seen_words(e, i);
    TS_TRY(append_heading(prompt, i, seen, out, err));
    TS_TRY(ts_text_format(out, err,
                          prompt->reference != NULL ? "| Prompt | Reference |\n|---|---|\n| "
                                                    : "| Prompt |\n|---|\n| "));
    for (size_t turn = 0; turn < prompt->before_count; turn++) {
        TS_TRY(ts_text_format(out, err, "*%s:* ", ts_role_name(prompt->before[turn].role)));
        TS_TRY(ts_markdown_escape(prompt->before[turn].text, prompt->before[turn].len, out, err));
        TS_TRY(ts_text_format(out, err, "<br>"));
    }
    TS_TRY(escape(prompt->text, out, err));
    if (prompt->reference != NULL) {
        TS_TRY(ts_text_format(out, err, " | "));
        TS_TRY(escape(prompt->reference, out, err));
    }
    TS_TRY(ts_text_format(out, err, " |\n\n"));
    TS_TRY(append_answers(e, results, i, out, err));
out:
    return status;
}

ts_status ts_report_markdown(const ts_evaluation *evaluation, const ts_results *results,
                             ts_text *out, ts_error *err)
{
    const ts_evaluation *e = evaluation;
    ts_status status = TS_OK;
    TS_TRY(append_settings(e, out, err));
    TS_TRY(append_metrics(e, results->held_out,
                          e->seen != NULL ? "Held out, never seen in training" : "All prompts", out,
                          err));
    if (e->seen != NULL) {
        TS_TRY(append_metrics(e, results->seen, "Seen in training", out, err));
    }
    TS_TRY(ts_text_format(out, err, "\n## How it is measured\n"));
    TS_TRY(append_rules(results, out, err));
    TS_TRY(append_method(e->tuned_count > 0, out, err));
    TS_TRY(ts_report_estimates_method(&results->held_out[0].base, out, err));
    TS_TRY(ts_text_format(out, err, "\n## Answers\n"));
    for (size_t i = 0; i < e->prompts->count; i++) {
        TS_TRY(append_prompt(e, results, i, out, err));
    }
out:
    return status;
}
