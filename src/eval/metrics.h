// Scores answers: whether each has what its prompt asks for, and whether two models differ by more
// than chance.
#ifndef TS_EVAL_METRICS_H
#define TS_EVAL_METRICS_H

#include "eval/estimates.h"
#include "eval/prompts.h"

// One model's answer to one prompt, and its loss on the reference answer.
typedef struct ts_response {
    const char *text; // any bytes
    size_t len;
    uint32_t tokens; // generated, the end token not counted
    bool stopped;    // by the end token, not by max_new_tokens
    bool special;    // a special token that does not end the answer is among the tokens
    // Mean nats per token of the reference answer with its end token, and the number of these
    // tokens. 0 tokens: it was not measured.
    double reference_loss;
    uint32_t reference_tokens;
    // The probability of the likeliest first token, and whether the reference begins with that
    // token. 0: it was not measured.
    double first_probability;
    bool first_right;
} ts_response;

// What is counted with yes or no. ts_metric_rule says how each is judged.
typedef enum ts_metric {
    TS_METRIC_FACTS,         // the answer contains every fact of the prompt
    TS_METRIC_REFUSALS,      // it refuses, as it should
    TS_METRIC_OVER_REFUSALS, // it refuses what should be answered; fewer is better
    TS_METRIC_LENGTH,        // within min_words and max_words, and not empty
    TS_METRIC_POLITE,        // polite, if the prompt asks for it
    TS_METRIC_STOPPED,       // ended by the end token
    TS_METRIC_UNKNOWN,       // it says that it does not know, as it should
    TS_METRIC_PAIRS,         // of a pair: the harmful prompt is refused, its look-alike is not
    TS_METRIC_CONSISTENT,    // of a group: the answers to all wordings agree
    TS_METRIC_REPEATS,       // it repeats itself; fewer is better
    TS_METRIC_LEAKS,         // it contains tags of a chat template; fewer is better
    TS_METRIC_COUNT,
} ts_metric;
const char *ts_metric_label(ts_metric metric); // "Facts right"
bool ts_metric_lower_is_better(ts_metric metric);
const char *ts_metric_counted(ts_metric metric); // what is counted: "prompts with facts"
const char *ts_metric_rule(ts_metric metric);    // when it is a yes, in one sentence

// NONE: the prompt does not ask for it.
typedef enum ts_mark { TS_MARK_NONE, TS_MARK_NO, TS_MARK_YES } ts_mark;

typedef struct ts_score {
    ts_mark marks[TS_METRIC_COUNT];
    ts_category category;     // of the prompt
    uint32_t words;           // in the answer
    uint32_t reference_words; // in the reference; 0: there is none
    double repeated;          // the part of its sequences of four words that stood in it before
} ts_score;
// Whether a mark is good: YES, or NO for a metric where lower is better.
bool ts_mark_is_good(ts_metric metric, ts_mark mark);

ts_status ts_score_answer(const ts_prompt *prompt, const ts_response *response, ts_score *out,
                          ts_error *err);
// Judges the groups of prompts. The mark of a group stands at its first prompt or, if training saw
// some of it, at the first of these. `seen` may be NULL.
ts_status ts_score_groups(const ts_prompts *prompts, const ts_response *responses, const bool *seen,
                          ts_score *scores, ts_error *err);

// `yes` of `of` answers, with Wilson's 95 % interval (Wilson 1927). low is 0 and high 1 if of = 0.
typedef struct ts_rate {
    uint32_t yes, of;
    double low, high;
} ts_rate;
ts_rate ts_rate_make(uint32_t yes, uint32_t of);
double ts_rate_value(const ts_rate *rate); // yes / of; 0 when of = 0

// How long the answers to the prompts of one category are, in words.
typedef struct ts_length {
    uint32_t prompts;
    ts_estimate words;      // the mean
    double reference_words; // the mean of the references; NaN: some prompt has none
    ts_rate target;         // within min_words and max_words, of the prompts that have them
} ts_length;

// The figures of one model over a set of prompts.
typedef struct ts_summary {
    uint32_t prompts, measured; // measured: how many have a reference loss
    double loss;                // nats per reference token over the whole set; NaN if none
    double perplexity;          // exp(loss)
    ts_rate rates[TS_METRIC_COUNT];
    ts_calibration calibration; // of the first token, over the prompts with a reference
    ts_length lengths[TS_CATEGORY_COUNT];
} ts_summary;

// How yes or no changed between two models on the same prompts.
typedef struct ts_change {
    uint32_t gained, lost; // changed from no to yes, from yes to no
    double p; // exact McNemar test, two-sided: the probability by chance of a split at least this
              // uneven
} ts_change;
double ts_mcnemar_p(uint32_t gained, uint32_t lost);

// The base model and the fine-tuned one on the same prompts.
typedef struct ts_paired {
    ts_summary base, tuned;
    ts_change changes[TS_METRIC_COUNT];
    // The mean loss of the tuned model minus that of the base. low and high are its 95 % percentile
    // interval from 10,000 paired resamples of the prompts (bootstrap, Efron 1979). The seed is
    // fixed, so the figures are repeatable. All are NaN if nothing was measured; with only one
    // prompt measured, low and high are NaN.
    double loss_change, loss_low, loss_high;
    // Prompts whose loss fell; prompts with a loss by both models.
    uint32_t loss_lower, loss_compared;
} ts_paired;

// Compares over the prompts i < count with chosen[i] == wanted, or over all if chosen is NULL.
// Without a tuned model (tuned and tuned_scores NULL) only out->base is filled.
ts_status ts_paired_make(const ts_response *base, const ts_score *base_scores,
                         const ts_response *tuned, const ts_score *tuned_scores, size_t count,
                         const bool *chosen, bool wanted, ts_paired *out, ts_error *err);
// The same of a further tuned model, where out->base is filled already.
ts_status ts_paired_compare(const ts_response *base, const ts_score *base_scores,
                            const ts_response *tuned, const ts_score *tuned_scores, size_t count,
                            const bool *chosen, bool wanted, ts_paired *out, ts_error *err);

#endif
