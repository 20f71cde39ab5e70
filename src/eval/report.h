// One evaluation, judged, and its reports: base_responses.txt, finetuned_responses.txt and
// before_after.md. The picture (picture.h) shows the same.
#ifndef TS_EVAL_REPORT_H
#define TS_EVAL_REPORT_H

#include "base/text.h"
#include "eval/metrics.h"

// One line of the configuration: {"Rank", "8"}.
typedef struct ts_setting {
    const char *key, *value;
} ts_setting;

// What the caller fills; everything is borrowed and outlives the reports.
typedef struct ts_evaluation {
    const char *title;          // "TinyLlama-1.1B-Chat, LoRA r=8"
    const ts_setting *settings; // model, adapter, device, rank, alpha, epochs ...
    size_t setting_count;
    const ts_prompts *prompts;
    const ts_response *base;  // one a prompt, adapter off
    const ts_response *tuned; // one a prompt, adapter on; NULL: the base alone
    const bool *seen;         // one a prompt: training saw it; NULL: there was no training
    uint32_t picture_height;  // at most, in pixels; 0: 12,000
} ts_evaluation;

// What judging adds. Starts zeroed.
typedef struct ts_results {
    ts_score *base, *tuned;   // one a prompt; tuned is NULL without a tuned model
    ts_paired held_out, seen; // the headline, and apart from it the prompts training saw
} ts_results;
ts_status ts_results_make(const ts_evaluation *evaluation, ts_results *out, ts_error *err);
void ts_results_free(ts_results *results);

// Writes the reports into `folder` (it must exist), each file whole or not at all;
// finetuned_responses.txt only with a tuned model.
ts_status ts_report_write(const ts_evaluation *evaluation, const ts_results *results,
                          const char *folder, ts_error *err);

// The parts of it, appended to *out. `responses` and `scores` are one model's.
ts_status ts_report_text(const ts_evaluation *evaluation, const char *model,
                         const ts_response *responses, const ts_score *scores, ts_text *out,
                         ts_error *err);
// evaluation.json: settings, every figure with its interval, and each prompt with its answers and
// marks.
ts_status ts_report_json(const ts_evaluation *evaluation, const ts_results *results, ts_text *out,
                         ts_error *err);
ts_status ts_report_markdown(const ts_evaluation *evaluation, const ts_results *results,
                             ts_text *out, ts_error *err);

// Any text as the content of a Markdown table cell that shows it letter by letter: one line,
// no markup, no HTML, no links.
ts_status ts_markdown_escape(const char *text, size_t len, ts_text *out, ts_error *err);

// How a mark reads in a report: "facts right", "31 words, target at most 20".
// NULL for TS_MARK_NONE; `buffer` holds the words where they depend on the prompt.
const char *ts_mark_words(const ts_prompt *prompt, const ts_score *score, ts_metric metric,
                          char buffer[96]);
// "seen in training", "held out", or "" where there was no training.
const char *ts_seen_words(const ts_evaluation *evaluation, size_t index);

#endif
