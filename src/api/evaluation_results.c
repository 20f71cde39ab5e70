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
                   (int)TINYSFT_METRICS == (int)TS_METRIC_COUNT,
               "metrics differ");
_Static_assert((int)TINYSFT_NOT_ASKED == (int)TS_MARK_NONE && (int)TINYSFT_NO == (int)TS_MARK_NO &&
                   (int)TINYSFT_YES == (int)TS_MARK_YES,
               "marks differ");

const char *tinysft_metric_label(tinysft_metric metric)
{
    return (unsigned)metric < TINYSFT_METRICS ? ts_metric_label((ts_metric)metric) : NULL;
}

ts_status ts_api_need_results(const tinysft_evaluation *e, ts_error *err)
{
    return e != NULL && e->finished
               ? TS_OK
               : ts_error_set(err, TS_ERR_ARGUMENT, "the evaluation %s",
                              e == NULL ? "is NULL" : "has no results: it has not run to its end");
}

// ---- Both models

static tinysft_scores scores_of(const ts_summary *s)
{
    tinysft_scores out = {.questions = s->prompts, .measured = s->measured, .loss = s->loss};
    for (int m = 0; m < TINYSFT_METRICS; m++) {
        const ts_rate *rate = &s->rates[m];
        out.rates[m] = (tinysft_rate){rate->yes, rate->of, rate->low, rate->high};
    }
    return out;
}

tinysft_status tinysft_evaluation_compare(const tinysft_evaluation *e, bool seen,
                                          tinysft_comparison *out, tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    ts_status status = ts_api_need_results(e, err);
    if (status != TS_OK) {
        return status;
    }
    if (out == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "out is NULL");
    }
    const ts_paired *paired = seen ? &e->results.seen : &e->results.held_out;
    *out = (tinysft_comparison){.base = scores_of(&paired->base), .told_apart = e->seen != NULL};
    if (e->all.tuned == NULL) {
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
    if (e->all.tuned != NULL) {
        out->tuned = response_of(&e->all.tuned[index], &e->results.tuned[index]);
    }
    return TS_OK;
}
