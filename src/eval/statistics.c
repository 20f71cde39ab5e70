// The statistics of metrics.h: rates, intervals, and tests against chance.
#include "base/rng.h"
#include "eval/metrics.h"

#include <math.h>
#include <stdlib.h>

ts_rate ts_rate_make(uint32_t yes, uint32_t of)
{
    const double z = 1.959963984540054; // 97.5 % quantile of the normal distribution
    ts_rate rate = {.yes = yes, .of = of, .low = 0, .high = 1};
    if (of > 0) {
        double n = of, p = yes / n, z2 = z * z;
        double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
        double half = z / (1 + z2 / n) * sqrt(p * (1 - p) / n + z2 / (4 * n * n));
        rate.low = yes == 0 ? 0 : centre - half;
        rate.high = yes == of ? 1 : centre + half;
    }
    return rate;
}

double ts_rate_value(const ts_rate *rate)
{
    return rate->of > 0 ? (double)rate->yes / rate->of : 0;
}

double ts_mcnemar_p(uint32_t gained, uint32_t lost)
{
    double n = (double)gained + lost, tail = 0;
    uint32_t fewer = gained < lost ? gained : lost;
    if (gained == lost) {
        return 1;
    }
    // log of (n choose k) / 2^n, starting with k = 0
    double log_term = -n * log(2);
    for (uint32_t k = 0; k <= fewer; k++) {
        tail += exp(log_term);
        log_term += log((n - k) / (k + 1.0));
    }
    return fmin(1, 2 * tail);
}

static bool is_in(const bool *chosen, bool wanted, size_t i)
{
    return chosen == NULL || chosen[i] == wanted;
}

// Collects the chosen prompts of one category into values.
static ts_status summarise_length(const ts_score *scores, size_t count, const bool *chosen,
                                  bool wanted, ts_category category, double *values, ts_length *out,
                                  ts_error *err)
{
    uint32_t met = 0, of = 0;
    double reference = 0;
    *out = (ts_length){0};
    for (size_t i = 0; i < count; i++) {
        if (!is_in(chosen, wanted, i) || scores[i].category != category) {
            continue;
        }
        values[out->prompts++] = scores[i].words;
        reference += scores[i].reference_words > 0 ? scores[i].reference_words : NAN;
        of += scores[i].marks[TS_METRIC_LENGTH] != TS_MARK_NONE;
        met += scores[i].marks[TS_METRIC_LENGTH] == TS_MARK_YES;
    }
    out->reference_words = reference / out->prompts;
    out->target = ts_rate_make(met, of);
    return ts_estimate_mean(values, out->prompts, &out->words, err);
}

static ts_status summarise_estimates(const ts_response *responses, const ts_score *scores,
                                     size_t count, const bool *chosen, bool wanted, ts_summary *out,
                                     ts_error *err)
{
    ts_status status = TS_OK;
    double *values = NULL;
    bool *right = NULL;
    size_t used = 0;
    TS_TRY(ts_alloc(count + 1, sizeof *values, &values, err));
    TS_TRY(ts_alloc(count + 1, sizeof *right, &right, err));
    for (size_t i = 0; i < count; i++) {
        if (is_in(chosen, wanted, i) && responses[i].first_probability > 0) {
            values[used] = responses[i].first_probability;
            right[used++] = responses[i].first_right;
        }
    }
    TS_TRY(ts_calibration_make(values, right, used, &out->calibration, err));
    for (ts_category c = 0; c < TS_CATEGORY_COUNT; c++) {
        TS_TRY(summarise_length(scores, count, chosen, wanted, c, values, &out->lengths[c], err));
    }
out:
    free(values);
    free(right);
    return status;
}

static ts_status summarise(const ts_response *responses, const ts_score *scores, size_t count,
                           const bool *chosen, bool wanted, ts_summary *out, ts_error *err)
{
    uint32_t yes[TS_METRIC_COUNT] = {0}, of[TS_METRIC_COUNT] = {0};
    double nats = 0, tokens = 0;
    *out = (ts_summary){0};
    for (size_t i = 0; i < count; i++) {
        if (!is_in(chosen, wanted, i)) {
            continue;
        }
        out->prompts++;
        if (responses[i].reference_tokens > 0) {
            out->measured++;
            nats += responses[i].reference_loss * responses[i].reference_tokens;
            tokens += responses[i].reference_tokens;
        }
        for (int m = 0; m < TS_METRIC_COUNT; m++) {
            of[m] += scores[i].marks[m] != TS_MARK_NONE;
            yes[m] += scores[i].marks[m] == TS_MARK_YES;
        }
    }
    out->loss = tokens > 0 ? nats / tokens : NAN;
    out->perplexity = exp(out->loss);
    for (int m = 0; m < TS_METRIC_COUNT; m++) {
        out->rates[m] = ts_rate_make(yes[m], of[m]);
    }
    return summarise_estimates(responses, scores, count, chosen, wanted, out, err);
}

static void compare(const ts_score *base, const ts_score *tuned, size_t count, const bool *chosen,
                    bool wanted, ts_change changes[TS_METRIC_COUNT])
{
    for (int m = 0; m < TS_METRIC_COUNT; m++) {
        ts_change change = {0};
        for (size_t i = 0; i < count; i++) {
            ts_mark before = base[i].marks[m], after = tuned[i].marks[m];
            if (is_in(chosen, wanted, i)) {
                change.gained += before == TS_MARK_NO && after == TS_MARK_YES;
                change.lost += before == TS_MARK_YES && after == TS_MARK_NO;
            }
        }
        change.p = ts_mcnemar_p(change.gained, change.lost);
        changes[m] = change;
    }
}

// How much tuning changed the loss on one prompt's reference, in nats, and its tokens.
typedef struct difference {
    double nats, tokens;
} difference;

static ts_status bootstrap(const difference *differences, size_t count, ts_paired *out,
                           ts_error *err)
{
    enum { RESAMPLES = 10000, TAIL = RESAMPLES / 40, SEED = 42 };
    ts_status status = TS_OK;
    double *means = NULL;
    TS_TRY(ts_alloc(RESAMPLES, sizeof *means, &means, err));
    for (uint64_t r = 0; r < RESAMPLES; r++) {
        double nats = 0, tokens = 0;
        for (size_t i = 0; i < count; i++) {
            double uniform = ts_random_uniform(SEED, 0, r * count + i);
            const difference *drawn = &differences[(size_t)(uniform * (double)count)];
            nats += drawn->nats;
            tokens += drawn->tokens;
        }
        means[r] = nats / tokens;
    }
    qsort(means, RESAMPLES, sizeof *means, ts_compare_doubles);
    out->loss_low = means[TAIL];
    out->loss_high = means[RESAMPLES - 1 - TAIL];
out:
    free(means);
    return status;
}

static ts_status compare_losses(const ts_response *base, const ts_response *tuned, size_t count,
                                const bool *chosen, bool wanted, ts_paired *out, ts_error *err)
{
    ts_status status = TS_OK;
    difference *differences = NULL;
    size_t used = 0;
    double nats = 0, tokens = 0;
    out->loss_change = out->loss_low = out->loss_high = NAN;
    TS_TRY(ts_alloc(count + 1, sizeof *differences, &differences, err));
    for (size_t i = 0; i < count; i++) {
        uint32_t weight = base[i].reference_tokens;
        if (is_in(chosen, wanted, i) && weight > 0 && tuned[i].reference_tokens == weight) {
            double change = tuned[i].reference_loss - base[i].reference_loss;
            differences[used++] = (difference){change * weight, weight};
            nats += change * weight;
            tokens += weight;
            out->loss_lower += change < 0;
        }
    }
    out->loss_compared = (uint32_t)used;
    if (used > 0) {
        out->loss_change = nats / tokens;
    }
    if (used > 1) { // one prompt says nothing about others
        TS_TRY(bootstrap(differences, used, out, err));
    }
out:
    free(differences);
    return status;
}

ts_status ts_paired_make(const ts_response *base, const ts_score *base_scores,
                         const ts_response *tuned, const ts_score *tuned_scores, size_t count,
                         const bool *chosen, bool wanted, ts_paired *out, ts_error *err)
{
    ts_status status = TS_OK;
    *out = (ts_paired){.loss_change = NAN, .loss_low = NAN, .loss_high = NAN};
    TS_TRY(summarise(base, base_scores, count, chosen, wanted, &out->base, err));
    if (tuned != NULL) {
        TS_TRY(ts_paired_compare(base, base_scores, tuned, tuned_scores, count, chosen, wanted, out,
                                 err));
    }
out:
    return status;
}

ts_status ts_paired_compare(const ts_response *base, const ts_score *base_scores,
                            const ts_response *tuned, const ts_score *tuned_scores, size_t count,
                            const bool *chosen, bool wanted, ts_paired *out, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(summarise(tuned, tuned_scores, count, chosen, wanted, &out->tuned, err));
    compare(base_scores, tuned_scores, count, chosen, wanted, out->changes);
    TS_TRY(compare_losses(base, tuned, count, chosen, wanted, out, err));
out:
    return status;
}
