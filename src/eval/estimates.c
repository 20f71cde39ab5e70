#include "eval/estimates.h"

#include "base/memory.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>

enum { RESAMPLES = 2000, TAIL = RESAMPLES / 40, SEED = 42, BINS = 10 };

// A measurement, and for probabilities whether it came true, 1 or 0.
typedef struct observation {
    double value, happened;
} observation;

typedef double (*statistic)(const observation *all, size_t count);

static double mean(const observation *all, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += all[i].value;
    }
    return sum / (double)count;
}

static double brier(const observation *all, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (all[i].value - all[i].happened) * (all[i].value - all[i].happened);
    }
    return sum / (double)count;
}

static double calibration_error(const observation *all, size_t count)
{
    double gap[BINS] = {0}, sum = 0;
    for (size_t i = 0; i < count; i++) {
        double at = fmin(all[i].value * BINS, BINS - 1);
        gap[(int)at] += all[i].happened - all[i].value;
    }
    for (int b = 0; b < BINS; b++) {
        sum += fabs(gap[b]);
    }
    return sum / (double)count;
}

int ts_compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static ts_status estimate(statistic of, const observation *all, size_t count, ts_estimate *out,
                          ts_error *err)
{
    ts_status status = TS_OK;
    observation *drawn = NULL;
    double found[RESAMPLES];
    *out = (ts_estimate){NAN, NAN, NAN};
    if (count == 0) {
        return TS_OK;
    }
    out->value = of(all, count);
    if (count == 1) { // one prompt says nothing about others
        return TS_OK;
    }
    TS_TRY(ts_alloc(count, sizeof *drawn, &drawn, err));
    for (uint64_t r = 0; r < RESAMPLES; r++) {
        for (size_t i = 0; i < count; i++) {
            double uniform = ts_random_uniform(SEED, 0, r * count + i);
            drawn[i] = all[(size_t)(uniform * (double)count)];
        }
        found[r] = of(drawn, count);
    }
    qsort(found, RESAMPLES, sizeof *found, ts_compare_doubles);
    out->low = found[TAIL];
    out->high = found[RESAMPLES - 1 - TAIL];
out:
    free(drawn);
    return status;
}

static ts_status observe(const double *values, const bool *happened, size_t count,
                         observation **out, ts_error *err)
{
    ts_status status = ts_alloc(count + 1, sizeof **out, out, err);
    for (size_t i = 0; i < count && status == TS_OK; i++) {
        (*out)[i] = (observation){values[i], happened != NULL && happened[i]};
    }
    return status;
}

ts_status ts_estimate_mean(const double *values, size_t count, ts_estimate *out, ts_error *err)
{
    ts_status status = TS_OK;
    observation *all = NULL;
    TS_TRY(observe(values, NULL, count, &all, err));
    TS_TRY(estimate(mean, all, count, out, err));
out:
    free(all);
    return status;
}

ts_status ts_calibration_make(const double *probabilities, const bool *right, size_t count,
                              ts_calibration *out, ts_error *err)
{
    ts_status status = TS_OK;
    observation *all = NULL;
    *out = (ts_calibration){.prompts = (uint32_t)count, .confidence = NAN};
    TS_TRY(observe(probabilities, right, count, &all, err));
    TS_TRY(estimate(calibration_error, all, count, &out->error, err));
    TS_TRY(estimate(brier, all, count, &out->brier, err));
    for (size_t i = 0; i < count; i++) {
        out->right += right[i];
    }
    out->confidence = count > 0 ? mean(all, count) : NAN;
out:
    free(all);
    return status;
}
