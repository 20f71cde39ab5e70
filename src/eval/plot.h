// training_curve.png: how a training run went.
#ifndef TS_EVAL_PLOT_H
#define TS_EVAL_PLOT_H

#include "base/text.h"

// Arrays of `count` values each, by optimiser step. Values that are not finite leave a gap.
typedef struct ts_curve {
    const char *title;           // NULL: "Training"
    size_t count;                // 0 draws empty axes
    const double *step;          // rising; NULL: 1, 2, 3 ...
    const double *loss;          // nats per token
    const double *learning_rate; // NULL: not drawn
    const double *grad_norm;     // before clipping; NULL: not drawn
    size_t interval;             // how many steps the log's lines are apart: the strong line is the
                                 // mean loss of each such stretch; 0 or 1: smoothed by a triangle
} ts_curve;

// Loss as measured, and its mean or smoothed, on the left axis, the learning rate on the right, the
// gradient's norm thin on a scale of its own in a strip below. 1400 x 860 pixels, the same bytes
// each time.
ts_status ts_plot_png(const ts_curve *curve, ts_text *out, ts_error *err);
ts_status ts_plot_write(const ts_curve *curve, const char *path, ts_error *err);

// The losses of several runs in one picture of the same size, each by its title in a legend. At
// most TS_PLOT_MOST_RUNS; more are TS_ERR_ARGUMENT.
enum { TS_PLOT_MOST_RUNS = 12 };
ts_status ts_plot_write_runs(const ts_curve *curves, size_t count, const char *path, ts_error *err);

// out[i] = mean of the finite values around values[i] with weights that fall linearly to zero at
// `reach` from i (a triangle: no lag, unlike a running average); NaN where there is none.
void ts_plot_smooth(const double *values, size_t count, size_t reach, double *out);

// Means of each `width` values (the last of what is left), those that are not finite left out:
// place[i] and mean[i] of stretch i, its middle counted from 1. Returns how many there are:
// ceil(count / width).
size_t ts_plot_means(const double *values, size_t count, size_t width, double *place, double *mean);

// Round ticks for [low, high]: steps of 1, 2, 2.5 or 5 times a power of ten, about `wanted` of
// them. *first is the lowest tick that is not below `low`.
void ts_plot_ticks(double low, double high, int wanted, double *first, double *step);

#endif
