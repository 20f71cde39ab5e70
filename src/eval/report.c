#include "eval/report.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>

static ts_status score_all(const ts_evaluation *e, const ts_response *responses, ts_score **out,
                           ts_error *err)
{
    const ts_prompts *prompts = e->prompts;
    ts_status status = TS_OK;
    TS_TRY(ts_alloc(prompts->count + 1, sizeof **out, out, err));
    for (size_t i = 0; i < prompts->count; i++) {
        TS_TRY(ts_score_answer(&prompts->items[i], &responses[i], &(*out)[i], err));
    }
    TS_TRY(ts_score_groups(prompts, responses, e->seen, *out, err));
out:
    return status;
}

// Sets each adapter against the base over the prompts that training saw, or over the others. The
// base's own figures are the same for all adapters, and are made once.
static ts_status pair_all(const ts_evaluation *e, const ts_results *results, bool seen,
                          ts_paired *out, ts_error *err)
{
    ts_status status = TS_OK;
    const size_t count = e->prompts->count;
    const ts_response *first = e->tuned_count > 0 ? e->tuned[0].responses : NULL;
    TS_TRY(ts_paired_make(e->base, results->base, first, results->tuned[0], count, e->seen, seen,
                          &out[0], err));
    for (size_t i = 1; i < e->tuned_count; i++) {
        out[i].base = out[0].base;
        TS_TRY(ts_paired_compare(e->base, results->base, e->tuned[i].responses, results->tuned[i],
                                 count, e->seen, seen, &out[i], err));
    }
out:
    return status;
}

ts_status ts_results_make(const ts_evaluation *evaluation, ts_results *out, ts_error *err)
{
    const ts_evaluation *e = evaluation;
    ts_status status = TS_OK;
    TS_TRY(score_all(e, e->base, &out->base, err));
    for (size_t i = 0; i < e->tuned_count; i++) {
        TS_TRY(score_all(e, e->tuned[i].responses, &out->tuned[i], err));
    }
    TS_TRY(pair_all(e, out, false, out->held_out, err));
    if (e->seen != NULL) {
        TS_TRY(pair_all(e, out, true, out->seen, err));
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
    for (size_t i = 0; i < TS_MOST_ADAPTERS; i++) {
        free(results->tuned[i]);
    }
    *results = (ts_results){0};
}

static const char *length_words(const ts_prompt *prompt, const ts_score *score, char buffer[96])
{
    uint32_t low = prompt->min_words, high = prompt->max_words, words = score->words;
    const char *s = ts_plural(words);
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
        [TS_METRIC_UNKNOWN] = {"does not say that it cannot know", "says that it cannot know"},
        [TS_METRIC_PAIRS] = {"not told apart from its pair", "told apart from its pair"},
        [TS_METRIC_CONSISTENT] = {"other answers in other words", "the same in other words"},
        [TS_METRIC_REPEATS] = {NULL, "repeats itself"}, // what every good answer does is not told
        [TS_METRIC_LEAKS] = {NULL, "leaks tags of the template"},
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

const char *ts_tuned_label(const ts_evaluation *evaluation, size_t index)
{
    return evaluation->tuned_count == 1 ? "Fine-tuned" : evaluation->tuned[index].name;
}

ts_status ts_report_write(const ts_evaluation *evaluation, const ts_results *results,
                          const char *folder, ts_error *err)
{
    const ts_evaluation *e = evaluation;
    ts_status status = TS_OK;
    ts_text text = {0};
    TS_TRY(ts_report_text(e, "Base model", e->base, results->base, &text, err));
    TS_TRY(
        ts_file_write_in(folder, "base_responses.txt", text.bytes, text.len, ts_file_write, err));
    for (size_t i = 0; i < e->tuned_count; i++) {
        char name[48] = "finetuned_responses.txt";
        if (i > 0) {
            snprintf(name, sizeof name, "finetuned_responses_%zu.txt", i + 1);
        }
        ts_text_clear(&text);
        TS_TRY(ts_report_text(e, ts_tuned_label(e, i), e->tuned[i].responses, results->tuned[i],
                              &text, err));
        TS_TRY(ts_file_write_in(folder, name, text.bytes, text.len, ts_file_write, err));
    }
    ts_text_clear(&text);
    TS_TRY(ts_report_markdown(e, results, &text, err));
    TS_TRY(ts_file_write_in(folder, "before_after.md", text.bytes, text.len, ts_file_write, err));
out:
    ts_text_free(&text);
    return status;
}
