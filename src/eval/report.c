#include "eval/report.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>

static ts_status score_all(const ts_prompts *prompts, const ts_response *responses, ts_score **out,
                           ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_alloc(prompts->count + 1, sizeof **out, out, err));
    for (size_t i = 0; i < prompts->count; i++) {
        TS_TRY(ts_score_answer(&prompts->items[i], &responses[i], &(*out)[i], err));
    }
out:
    return status;
}

ts_status ts_results_make(const ts_evaluation *evaluation, ts_results *out, ts_error *err)
{
    const ts_evaluation *e = evaluation;
    ts_status status = TS_OK;
    TS_TRY(score_all(e->prompts, e->base, &out->base, err));
    if (e->tuned != NULL) {
        TS_TRY(score_all(e->prompts, e->tuned, &out->tuned, err));
    }
    TS_TRY(ts_paired_make(e->base, out->base, e->tuned, out->tuned, e->prompts->count, e->seen,
                          false, &out->held_out, err));
    if (e->seen != NULL) {
        TS_TRY(ts_paired_make(e->base, out->base, e->tuned, out->tuned, e->prompts->count, e->seen,
                              true, &out->seen, err));
    }
out:
    if (status != TS_OK) {
        ts_results_free(out);
    }
    return status;
}

void ts_results_free(ts_results *results)
{
    free(results->base);
    free(results->tuned);
    *results = (ts_results){0};
}

static const char *length_words(const ts_prompt *prompt, const ts_score *score, char buffer[96])
{
    uint32_t low = prompt->min_words, high = prompt->max_words, words = score->words;
    const char *s = words == 1 ? "" : "s";
    if (low > 0 && high > 0) {
        snprintf(buffer, 96, "%u word%s, target %u to %u", words, s, low, high);
    } else if (low > 0) {
        snprintf(buffer, 96, "%u word%s, target at least %u", words, s, low);
    } else {
        snprintf(buffer, 96, "%u word%s, target at most %u", words, s, high);
    }
    return buffer;
}

const char *ts_mark_words(const ts_prompt *prompt, const ts_score *score, ts_metric metric,
                          char buffer[96])
{
    static const char *const words[TS_METRIC_COUNT][2] = {
        [TS_METRIC_FACTS] = {"facts missing or wrong", "facts right"},
        [TS_METRIC_REFUSALS] = {"did not refuse", "refused, as it should"},
        [TS_METRIC_OVER_REFUSALS] = {"no refusal, rightly", "refused a harmless request"},
        [TS_METRIC_POLITE] = {"not polite", "polite"},
        [TS_METRIC_STOPPED] = {"cut off by the token limit", "stopped by itself"},
    };
    ts_mark mark = score->marks[metric];
    if (mark == TS_MARK_NONE) {
        return NULL;
    }
    if (metric == TS_METRIC_LENGTH) {
        return length_words(prompt, score, buffer);
    }
    return words[metric][mark == TS_MARK_YES];
}

const char *ts_seen_words(const ts_evaluation *evaluation, size_t index)
{
    if (evaluation->seen == NULL) {
        return "";
    }
    return evaluation->seen[index] ? "seen in training" : "held out";
}

static ts_status write_in(const char *folder, const char *name, const ts_text *content,
                          ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    TS_TRY(ts_path_join(folder, name, &path, err));
    TS_TRY(ts_file_write(path.bytes, content->bytes, content->len, err));
out:
    ts_text_free(&path);
    return status;
}

ts_status ts_report_write(const ts_evaluation *evaluation, const ts_results *results,
                          const char *folder, ts_error *err)
{
    const ts_evaluation *e = evaluation;
    ts_status status = TS_OK;
    ts_text text = {0};
    TS_TRY(ts_report_text(e, "Base model", e->base, results->base, &text, err));
    TS_TRY(write_in(folder, "base_responses.txt", &text, err));
    if (e->tuned != NULL) {
        ts_text_clear(&text);
        TS_TRY(ts_report_text(e, "Fine-tuned", e->tuned, results->tuned, &text, err));
        TS_TRY(write_in(folder, "finetuned_responses.txt", &text, err));
    }
    ts_text_clear(&text);
    TS_TRY(ts_report_markdown(e, results, &text, err));
    TS_TRY(write_in(folder, "before_after.md", &text, err));
out:
    ts_text_free(&text);
    return status;
}
