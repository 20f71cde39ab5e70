// Judging answers: what each prompt asked for, and whether two models differ by more than chance.
#ifndef TS_EVAL_METRICS_H
#define TS_EVAL_METRICS_H

#include "eval/prompts.h"

// One answer of one model, as generation and a forward pass over the reference give it.
typedef struct ts_response {
    const char *text; // any bytes
    size_t len;
    uint32_t tokens; // generated, the end token not counted
    bool stopped;    // by the end token, not by the limit
    // Mean nats per token of the reference answer, its end token included, and how many tokens
    // those are; 0 tokens: not measured.
    double reference_loss;
    uint32_t reference_tokens;
} ts_response;

// The yes/no questions.
typedef enum ts_metric {
    TS_METRIC_FACTS,         // every fact of the prompt stands in the answer
    TS_METRIC_REFUSALS,      // refused what should be refused
    TS_METRIC_OVER_REFUSALS, // refused what should be answered: the fewer, the better
    TS_METRIC_LENGTH,        // within min_words and max_words, and not empty
    TS_METRIC_POLITE,        // polite where the prompt asks for it
    TS_METRIC_STOPPED,       // ended by itself
    TS_METRIC_COUNT,
} ts_metric;
const char *ts_metric_label(ts_metric metric); // "Facts right"
bool ts_metric_lower_is_better(ts_metric metric);

typedef enum ts_mark { TS_MARK_NONE, TS_MARK_NO, TS_MARK_YES } ts_mark; // NONE: not judged here

typedef struct ts_score {
    ts_mark marks[TS_METRIC_COUNT];
    uint32_t words; // in the answer
} ts_score;
// Whether a mark is good news: YES, or NO where lower is better.
bool ts_mark_is_good(ts_metric metric, ts_mark mark);

ts_status ts_score_answer(const ts_prompt *prompt, const ts_response *response, ts_score *out,
                          ts_error *err);

// yes out of `of`, with Wilson's 95 % interval (Wilson 1927); low 0 and high 1 when of = 0.
typedef struct ts_rate {
    uint32_t yes, of;
    double low, high;
} ts_rate;
ts_rate ts_rate_make(uint32_t yes, uint32_t of);
double ts_rate_value(const ts_rate *rate); // yes / of; 0 when of = 0

// One model over a set of prompts.
typedef struct ts_summary {
    uint32_t prompts, measured; // measured: prompts with a reference loss
    double loss;                // nats per reference token over the whole set; NaN if none
    double perplexity;          // exp(loss)
    ts_rate rates[TS_METRIC_COUNT];
} ts_summary;

// Yes/no on the same prompts by two models.
typedef struct ts_change {
    uint32_t gained, lost; // no to yes, yes to no
    double p;              // exact McNemar, two-sided: chance of a split at least this uneven
} ts_change;
double ts_mcnemar_p(uint32_t gained, uint32_t lost);

// Base and fine-tuned on the same prompts.
typedef struct ts_paired {
    ts_summary base, tuned;
    ts_change changes[TS_METRIC_COUNT];
    // loss of tuned minus base with the 95 % percentile interval of 10,000 paired resamples of
    // the prompts (Efron); the seed is fixed, so the figures repeat. NaN if nothing was measured,
    // the interval also where it was for one prompt alone.
    double loss_change, loss_low, loss_high;
    uint32_t loss_lower, loss_compared; // prompts whose loss fell; prompts measured in both
} ts_paired;

// The prompts i < count with chosen[i] == wanted (all of them when chosen is NULL). Without a
// tuned model (tuned and tuned_scores NULL) only out->base is filled.
ts_status ts_paired_make(const ts_response *base, const ts_score *base_scores,
                         const ts_response *tuned, const ts_score *tuned_scores, size_t count,
                         const bool *chosen, bool wanted, ts_paired *out, ts_error *err);

#endif
