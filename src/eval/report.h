// The scores of one evaluation and its reports: base_responses.txt, finetuned_responses.txt and
// before_after.md. The picture (picture.h) shows the same.
#ifndef TS_EVAL_REPORT_H
#define TS_EVAL_REPORT_H

#include "base/text.h"
#include "eval/metrics.h"

// One line of the configuration: {"Rank", "8"}.
typedef struct ts_setting {
    const char *key, *value;
} ts_setting;

// How many adapters may stand beside the base in one evaluation.
enum { TS_MOST_ADAPTERS = 4 };

// One adapter and its answers.
typedef struct ts_tuned {
    const char *name;             // tells it from the others
    const ts_response *responses; // one for each prompt
} ts_tuned;

// What the caller fills. It is borrowed and must outlive the reports.
typedef struct ts_evaluation {
    const char *title;          // "TinyLlama-1.1B-Chat, LoRA r=8"
    const ts_setting *settings; // model, adapter, device, rank, alpha, epochs ...
    size_t setting_count;
    const ts_prompts *prompts;
    const ts_response *base; // one for each prompt, adapter off
    const ts_tuned *tuned;   // [tuned_count] adapter on; none: only the base model was evaluated
    size_t tuned_count;
    const bool *seen;        // whether training saw each prompt; NULL: there was no training
    uint32_t picture_height; // at most, in pixels; 0: 12,000
} ts_evaluation;

// The scores and their summaries. Starts zeroed.
typedef struct ts_results {
    ts_score *base, *tuned[TS_MOST_ADAPTERS]; // one for each prompt, of each adapter there is
    // Each adapter against the base, over prompts that training did not see, and, apart from them,
    // those that it saw. Without an adapter the first has the base's figures alone.
    ts_paired held_out[TS_MOST_ADAPTERS], seen[TS_MOST_ADAPTERS];
} ts_results;
ts_status ts_results_make(const ts_evaluation *evaluation, ts_results *out, ts_error *err);
void ts_results_free(ts_results *results);

// Writes the reports into `folder`, which must exist. Each file appears complete or not at all.
// finetuned_responses.txt is written only with a tuned model; further ones' answers are in
// finetuned_responses_2.txt and so on.
ts_status ts_report_write(const ts_evaluation *evaluation, const ts_results *results,
                          const char *folder, ts_error *err);

// The parts of a report, appended to *out. `responses` and `scores` belong to one model.
ts_status ts_report_text(const ts_evaluation *evaluation, const char *model,
                         const ts_response *responses, const ts_score *scores, ts_text *out,
                         ts_error *err);
// evaluation.json: the settings, every figure with its interval, and each prompt with its answers
// and marks.
ts_status ts_report_json(const ts_evaluation *evaluation, const ts_results *results, ts_text *out,
                         ts_error *err);
ts_status ts_report_markdown(const ts_evaluation *evaluation, const ts_results *results,
                             ts_text *out, ts_error *err);

// Rows of a metrics table of ts_report_markdown that are no counts. The first of `count` models is
// the base, which has one cell in a row; the others have two, their figure and its change.
enum { TS_MOST_MODELS = 1 + TS_MOST_ADAPTERS };
ts_status ts_report_estimates(const ts_summary *const *models, size_t count, ts_text *out,
                              ts_error *err);
// A paragraph on how they are measured.
ts_status ts_report_estimates_method(const ts_summary *base, ts_text *out, ts_error *err);

// Appends any text as the content of a Markdown table cell that shows it unchanged: on one line,
// without markup, HTML or links.
ts_status ts_markdown_escape(const char *text, size_t len, ts_text *out, ts_error *err);

// What the reports call adapter `index`: its name, or "Fine-tuned" where it is the only one.
const char *ts_tuned_label(const ts_evaluation *evaluation, size_t index);

// A mark in words: "facts right", "31 words, target at most 20". NULL for TS_MARK_NONE. `buffer`
// holds the words if they depend on the prompt.
const char *ts_mark_words(const ts_prompt *prompt, const ts_score *score, ts_metric metric,
                          char buffer[96]);
// "seen in training", "held out", or "" where there was no training.
const char *ts_seen_words(const ts_evaluation *evaluation, size_t index);

#endif
