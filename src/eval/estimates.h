// Means of measurements with their intervals, and how well probabilities agree with what happened.
#ifndef TS_EVAL_ESTIMATES_H
#define TS_EVAL_ESTIMATES_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A figure with its 95 % percentile interval from 2,000 resamples of the prompts (bootstrap, Efron
// 1979). The seed is fixed, so the figures are repeatable. NaN: not measured; low and high are NaN
// for fewer than two prompts.
typedef struct ts_estimate {
    double value, low, high;
} ts_estimate;

// The mean of values[0 .. count).
ts_status ts_estimate_mean(const double *values, size_t count, ts_estimate *out, ts_error *err);

// How far the probabilities that a model gives agree with how often it is right.
typedef struct ts_calibration {
    uint32_t prompts, right;
    double confidence; // the mean probability; NaN without prompts
    // The expected calibration error (Naeini et al. 2015) over ten bins of equal width: the mean
    // over all prompts of |share right - mean probability| of the prompt's bin.
    ts_estimate error;
    ts_estimate brier; // the mean of (probability - 1 if right, else 0)^2 (Brier 1950)
} ts_calibration;

// probabilities and right have `count` entries.
ts_status ts_calibration_make(const double *probabilities, const bool *right, size_t count,
                              ts_calibration *out, ts_error *err);

// Of two doubles, for qsort: ascending.
int ts_compare_doubles(const void *a, const void *b);

#endif
