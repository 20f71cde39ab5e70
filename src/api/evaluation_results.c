// What an evaluation found.
#include "api/evaluation.h"

#include <math.h>

// A metric, and a mark, has the same number in the header as in the program.
_Static_assert((int)TINYSFT_FACTS == (int)TS_METRIC_FACTS &&
                   (int)TINYSFT_REFUSALS == (int)TS_METRIC_REFUSALS &&
                   (int)TINYSFT_OVER_REFUSALS == (int)TS_METRIC_OVER_REFUSALS &&
                   (int)TINYSFT_LENGTH == (int)TS_METRIC_LENGTH &&
                   (int)TINYSFT_POLITE == (int)TS_METRIC_POLITE &&
                   (int)TINYSFT_ENDED == (int)TS_METRIC_STOPPED &&
                   (int)TINYSFT_ADMITS == (int)TS_METRIC_UNKNOWN &&
                   (int)TINYSFT_PAIRS == (int)TS_METRIC_PAIRS &&
                   (int)TINYSFT_CONSISTENT == (int)TS_METRIC_CONSISTENT &&
                   (int)TINYSFT_REPEATS == (int)TS_METRIC_REPEATS &&
                   (int)TINYSFT_LEAKS == (int)TS_METRIC_LEAKS &&
                   (int)TINYSFT_METRICS == (int)TS_METRIC_COUNT,
               "metrics differ");
_Static_assert((int)TINYSFT_NOT_ASKED == (int)TS_MARK_NONE && (int)TINYSFT_NO == (int)TS_MARK_NO &&
                   (int)TINYSFT_YES == (int)TS_MARK_YES,
               "marks differ");

const char *tinysft_metric_label(tinysft_metric metric)
{
    return (unsigned)metric < TINYSFT_METRICS ? ts_metric_label((ts_metric)metric) : NULL;
}

const char *tinysft_metric_rule(tinysft_metric metric)
{
    return (unsigned)metric < TINYSFT_METRICS ? ts_metric_rule((ts_metric)metric) : NULL;
}

bool tinysft_metric_lower_is_better(tinysft_metric metric)
{
    return (unsigned)metric < TINYSFT_METRICS && ts_metric_lower_is_better((ts_metric)metric);
}

ts_status ts_api_need_results(const tinysft_evaluation *e, ts_error *err)
{
    return e != NULL && e->finished
               ? TS_OK
               : ts_error_set(err, TS_ERR_ARGUMENT, "the evaluation %s",
                              e == NULL ? "is NULL" : "has no results: it has not run to its end");
}

// ---- Both models

_Static_assert((int)TINYSFT_CATEGORIES == (int)TS_CATEGORY_COUNT, "categories differ");
_Static_assert((int)TINYSFT_MOST_ADAPTERS == (int)TS_MOST_ADAPTERS, "adapters differ");

static tinysft_estimate estimate_of(const ts_estimate *e)
{
    return (tinysft_estimate){e->value, e->low, e->high};
}

static tinysft_length length_of(const ts_length *l, ts_category category)
{
    const ts_rate *target = &l->target;
    return (tinysft_length){.category = ts_category_name(category),
                            .questions = l->prompts,
                            .words = estimate_of(&l->words),
                            .reference_words = l->reference_words,
                            .target = {target->yes, target->of, target->low, target->high}};
}

static tinysft_scores scores_of(const ts_summary *s)
{
    tinysft_scores out = {.questions = s->prompts, .measured = s->measured, .loss = s->loss};
    for (int m = 0; m < TINYSFT_METRICS; m++) {
        const ts_rate *rate = &s->rates[m];
        out.rates[m] = (tinysft_rate){rate->yes, rate->of, rate->low, rate->high};
    }
    out.first_tokens = s->calibration.prompts;
    out.calibration_error = estimate_of(&s->calibration.error);
    out.brier = estimate_of(&s->calibration.brier);
    for (int c = 0; c < TINYSFT_CATEGORIES; c++) {
        out.lengths[c] = length_of(&s->lengths[c], (ts_category)c);
    }
    return out;
}

size_t tinysft_evaluation_adapters(const tinysft_evaluation *e)
{
    return e != NULL ? e->adapters : 0;
}

const char *tinysft_evaluation_adapter(const tinysft_evaluation *e, size_t adapter)
{
    return e != NULL && e->finished && adapter < e->adapters ? e->named[adapter].name : NULL;
}

static ts_status need_adapter(const tinysft_evaluation *e, size_t adapter, ts_error *err)
{
    return adapter == 0 || adapter < e->adapters
               ? TS_OK
               : ts_error_set(err, TS_ERR_ARGUMENT, "adapter %zu: there are %zu, from 0", adapter,
                              e->adapters);
}

tinysft_status tinysft_evaluation_compare(const tinysft_evaluation *e, bool seen,
                                          tinysft_comparison *out, tinysft_error *error)
{
    return tinysft_evaluation_compare_adapter(e, 0, seen, out, error);
}

tinysft_status tinysft_evaluation_compare_adapter(const tinysft_evaluation *e, size_t adapter,
                                                  bool seen, tinysft_comparison *out,
                                                  tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    ts_status status = ts_api_need_results(e, err);
    if (status == TS_OK) {
        status = need_adapter(e, adapter, err);
    }
    if (status != TS_OK) {
        return status;
    }
    if (out == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "out is NULL");
    }
    const ts_paired *paired = seen ? &e->results.seen[adapter] : &e->results.held_out[adapter];
    *out = (tinysft_comparison){.base = scores_of(&paired->base), .told_apart = e->seen != NULL};
    if (e->adapters == 0) {
        return TS_OK;
    }
    out->tuned = scores_of(&paired->tuned);
    out->loss_change = paired->loss_change;
    out->loss_low = paired->loss_low;
    out->loss_high = paired->loss_high;
    for (int m = 0; m < TINYSFT_METRICS; m++) {
        const ts_change *change = &paired->changes[m];
        out->changes[m] = (tinysft_change){change->gained, change->lost, change->p};
    }
    return TS_OK;
}

// ---- One question

static tinysft_response response_of(const ts_response *response, const ts_score *score)
{
    tinysft_response out = {.text = response->text,
                            .bytes = response->len,
                            .loss =
                                response->reference_tokens > 0 ? response->reference_loss : NAN};
    for (int m = 0; m < TINYSFT_METRICS; m++) {
        out.marks[m] = (tinysft_mark)score->marks[m];
    }
    return out;
}

tinysft_status tinysft_evaluation_get(const tinysft_evaluation *e, size_t index,
                                      tinysft_evaluated *out, tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    ts_status status = ts_api_need_results(e, err);
    if (status != TS_OK) {
        return status;
    }
    if (out == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "out is NULL");
    }
    if (index >= e->prompts.count) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "question %zu: there are %zu, from 0", index,
                            e->prompts.count);
    }
    const ts_prompt *prompt = &e->prompts.items[index];
    *out = (tinysft_evaluated){.question = prompt->text,
                               .id = prompt->id,
                               .category = prompt->label,
                               .reference = prompt->reference,
                               .base = response_of(&e->all.base[index], &e->results.base[index]),
                               .tuned = {.loss = NAN},
                               .seen = e->seen != NULL && e->seen[index]};
    if (e->adapters > 0) {
        out->tuned = response_of(&e->tuned[0].responses[index], &e->results.tuned[0][index]);
    }
    return TS_OK;
}

tinysft_status tinysft_evaluation_get_tuned(const tinysft_evaluation *e, size_t index,
                                            size_t adapter, tinysft_response *out,
                                            tinysft_error *error)
{
    tinysft_evaluated evaluated;
    ts_error own, *err = ts_api_error(error, &own);
    ts_status status = tinysft_evaluation_get(e, index, &evaluated, error);
    if (status != TS_OK) {
        return status;
    }
    if (out == NULL || adapter >= e->adapters) {
        return out == NULL
                   ? ts_error_set(err, TS_ERR_ARGUMENT, "out is NULL")
                   : ts_error_set(err, TS_ERR_ARGUMENT, "adapter %zu: there are %zu, from 0",
                                  adapter, e->adapters);
    }
    *out = response_of(&e->tuned[adapter].responses[index], &e->results.tuned[adapter][index]);
    return TS_OK;
}
