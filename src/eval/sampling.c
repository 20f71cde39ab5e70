#include "eval/sampling.h"

#include "base/memory.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>

// A token that may be chosen. Its weight is its probability times a common factor.
typedef struct ts_candidate {
    uint32_t id;
    double logit, weight;
} ts_candidate;

enum { STREAM = 7 }; // of the random numbers; nothing else uses it

void ts_sampler_free(ts_sampler *sampler)
{
    free(sampler->candidates);
    *sampler = (ts_sampler){0};
}

// The natural logarithm of the sum of exp(logits), by way of the largest.
static ts_status log_sum(const float *logits, uint32_t vocab, double *out, ts_error *err)
{
    double largest = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < vocab; i++) {
        if (!isfinite(logits[i])) {
            return ts_error_set(err, TS_ERR_RUN,
                                "the model's logit of token %u is %g: its weights, or the "
                                "adapter's scale, take it out of what floats hold",
                                i, (double)logits[i]);
        }
        largest = fmax(largest, logits[i]);
    }
    for (uint32_t i = 0; i < vocab; i++) {
        sum += exp(logits[i] - largest);
    }
    *out = largest + log(sum);
    return TS_OK;
}

// Each token that came before is penalised once, however often it came.
static void penalise(ts_candidate *candidates, uint32_t vocab, double penalty, const float *logits,
                     const uint32_t *before, size_t count)
{
    for (size_t i = 0; i < count && penalty > 0; i++) {
        if (before[i] < vocab) {
            double logit = logits[before[i]];
            candidates[before[i]].logit = logit > 0 ? logit / penalty : logit * penalty;
        }
    }
}

// The likeliest first; of equal ones that of the lower id.
static int by_logit(const void *a, const void *b)
{
    const ts_candidate *x = a, *y = b;
    return x->logit != y->logit ? (x->logit < y->logit ? 1 : -1) : x->id < y->id ? -1 : 1;
}

static uint32_t likeliest(const ts_candidate *candidates, uint32_t vocab)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < vocab; i++) {
        if (candidates[i].logit > candidates[best].logit) {
            best = i;
        }
    }
    return best;
}

// How many of the sorted candidates top_k, top_p and min_p leave, one at least. *sum: the sum of
// their weights.
static uint32_t cut(const ts_sampling *s, ts_candidate *sorted, uint32_t vocab, double *sum)
{
    uint32_t count = s->top_k > 0 && s->top_k < vocab ? s->top_k : vocab, kept = 0;
    double all = 0, reached = 0;
    for (uint32_t i = 0; i < count; i++) {
        sorted[i].weight = exp((sorted[i].logit - sorted[0].logit) / s->temperature);
        all += sorted[i].weight;
    }
    for (; kept < count; kept++) {
        bool enough = s->top_p > 0 && s->top_p < 1 && reached >= s->top_p * all;
        if (kept > 0 && (enough || sorted[kept].weight < s->min_p)) {
            break;
        }
        reached += sorted[kept].weight;
    }
    *sum = reached;
    return kept;
}

static uint32_t draw(const ts_sampling *s, ts_candidate *candidates, uint32_t vocab, uint64_t index)
{
    double sum, reached = 0;
    uint32_t chosen = 0;
    qsort(candidates, vocab, sizeof *candidates, by_logit);
    uint32_t count = cut(s, candidates, vocab, &sum);
    double target = ts_random_uniform(s->seed, STREAM, index) * sum;
    for (uint32_t i = 0; i < count; i++) {
        reached += candidates[i].weight;
        chosen = i;
        if (reached > target) {
            break;
        }
    }
    return candidates[chosen].id;
}

ts_status ts_sample(ts_sampler *sampler, const ts_sampling *sampling, const float *logits,
                    uint32_t vocab, const uint32_t *before, size_t before_count, uint64_t index,
                    uint32_t *token, double *log_probability, ts_error *err)
{
    ts_status status = TS_OK;
    double all = 0;
    TS_TRY(log_sum(logits, vocab, &all, err));
    TS_TRY(
        ts_grow(&sampler->candidates, &sampler->capacity, vocab, sizeof *sampler->candidates, err));
    for (uint32_t i = 0; i < vocab; i++) {
        sampler->candidates[i] = (ts_candidate){.id = i, .logit = logits[i]};
    }
    penalise(sampler->candidates, vocab, sampling->repeat_penalty, logits, before, before_count);
    *token = sampling->temperature > 0 ? draw(sampling, sampler->candidates, vocab, index)
                                       : likeliest(sampler->candidates, vocab);
    *log_probability = logits[*token] - all;
out:
    return status;
}
