// The answers of one model as plain text.
#include "eval/report.h"

#include <string.h>

// Appends cleaned text with every line indented.
static ts_status append_indented(ts_text *out, const char *text, size_t len, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text clean = {0};
    TS_TRY(ts_text_append_clean(&clean, text, len, err));
    for (const char *line = clean.bytes; line != NULL && *line != '\0';) {
        size_t line_len = strcspn(line, "\n");
        TS_TRY(ts_text_append(out, "    ", line_len > 0 ? 4 : 0, err));
        TS_TRY(ts_text_append(out, line, line_len, err));
        TS_TRY(ts_text_append(out, "\n", 1, err));
        line += line_len + (line[line_len] == '\n');
    }
    if (clean.len == 0) {
        TS_TRY(ts_text_format(out, err, "    (empty)\n"));
    }
out:
    ts_text_free(&clean);
    return status;
}

// Appends text from a model or file on one line: newlines and tabs become spaces.
static ts_status append_line(ts_text *out, const char *text, ts_error *err)
{
    ts_status status = TS_OK;
    size_t from = out->len;
    TS_TRY(ts_text_append_clean(out, text, strlen(text), err));
    for (size_t i = from; i < out->len; i++) {
        if (out->bytes[i] == '\n' || out->bytes[i] == '\t') {
            out->bytes[i] = ' ';
        }
    }
    TS_TRY(ts_text_append(out, "\n", 1, err));
out:
    return status;
}

static ts_status append_head(const ts_evaluation *evaluation, const char *model, ts_text *out,
                             ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(append_line(out, evaluation->title, err));
    TS_TRY(ts_text_format(out, err, "Answers of: "));
    TS_TRY(append_line(out, model, err));
    TS_TRY(ts_text_append(out, "\n", 1, err));
    for (size_t i = 0; i < evaluation->setting_count; i++) {
        TS_TRY(ts_text_format(out, err, "%s: ", evaluation->settings[i].key));
        TS_TRY(append_line(out, evaluation->settings[i].value, err));
    }
out:
    return status;
}

static ts_status append_verdict(const ts_prompt *prompt, const ts_response *response,
                                const ts_score *score, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_text_format(out, err, "Verdict (%u token%s", response->tokens,
                          ts_plural(response->tokens)));
    if (response->reference_tokens > 0) {
        TS_TRY(ts_text_format(out, err, ", loss on the reference %.4f", response->reference_loss));
    }
    TS_TRY(ts_text_format(out, err, "):\n"));
    for (int m = 0; m < TS_METRIC_COUNT; m++) {
        char buffer[96];
        const char *words = ts_mark_words(prompt, score, (ts_metric)m, buffer);
        if (words != NULL) {
            bool good = ts_mark_is_good((ts_metric)m, score->marks[m]);
            TS_TRY(ts_text_format(out, err, "    [%s] %s\n", good ? "ok" : "no", words));
        }
    }
out:
    return status;
}

ts_status ts_report_text(const ts_evaluation *evaluation, const char *model,
                         const ts_response *responses, const ts_score *scores, ts_text *out,
                         ts_error *err)
{
    ts_status status = TS_OK;
    size_t count = evaluation->prompts->count;
    TS_TRY(append_head(evaluation, model, out, err));
    for (size_t i = 0; i < count; i++) {
        const ts_prompt *prompt = &evaluation->prompts->items[i];
        const char *seen = ts_seen_words(evaluation, i);
        TS_TRY(ts_text_format(out, err, "\n%s\n[%zu/%zu] ",
                              "----------------------------------------"
                              "----------------------------------------",
                              i + 1, count));
        TS_TRY(append_line(out, prompt->id, err));
        if (prompt->label[0] != '\0') {
            TS_TRY(ts_text_format(out, err, "Category: "));
            TS_TRY(append_line(out, prompt->label, err));
        }
        if (*seen != '\0') {
            TS_TRY(ts_text_format(out, err, "%s\n", seen));
        }
        TS_TRY(ts_text_format(out, err, "Prompt:\n"));
        TS_TRY(append_indented(out, prompt->text, strlen(prompt->text), err));
        TS_TRY(ts_text_format(out, err, "Answer:\n"));
        TS_TRY(append_indented(out, responses[i].text, responses[i].len, err));
        TS_TRY(append_verdict(prompt, &responses[i], &scores[i], out, err));
    }
out:
    return status;
}
