// training_curve.png: loss, learning rate and gradient norm of a training run.
#ifndef TS_EVAL_PLOT_H
#define TS_EVAL_PLOT_H

#include "base/text.h"

// Arrays of `count` values, one for each optimiser step. A value that is not finite leaves a gap.
typedef struct ts_curve {
    const char *title;           // NULL: "Training"
    size_t count;                // 0 draws empty axes
    const double *step;          // ascending; NULL: 1, 2, 3 ...
    const double *loss;          // nats per token
    const double *learning_rate; // NULL: not drawn
    const double *grad_norm;     // before clipping; NULL: not drawn
    // [held_out_count] the loss on held-out rows, and the steps after which it was measured
    const double *held_out_step, *held_out_loss;
    size_t held_out_count;
    size_t interval; // steps between two lines of the log. The bold line shows the mean loss of
                     // each interval; with 0 or 1, the loss smoothed by ts_plot_smooth
} ts_curve;

// Draws the loss, and its mean or smoothed line, on the left axis, the learning rate on the right
// axis, and the gradient norm in a strip below with a scale of its own. 1400 x 860 pixels. The same
// curve gives the same bytes.
ts_status ts_plot_png(const ts_curve *curve, ts_text *out, ts_error *err);
ts_status ts_plot_write(const ts_curve *curve, const char *path, ts_error *err);

// Draws the losses of several runs in one picture of the same size, with their titles in a legend.
// More than TS_PLOT_MOST_RUNS are TS_ERR_ARGUMENT.
enum { TS_PLOT_MOST_RUNS = 12 };
ts_status ts_plot_write_runs(const ts_curve *curves, size_t count, const char *path, ts_error *err);

// out[i] = weighted mean of the finite values around values[i]. The weights fall linearly to zero
// at distance `reach`. This triangle has no lag, unlike a running average. NaN if no value is
// finite.
void ts_plot_smooth(const double *values, size_t count, size_t reach, double *out);

// Means of intervals of `width` values; the last one may be shorter. Values that are not finite are
// left out. place[i] is the middle of interval i, counted from 1, and mean[i] its mean. Returns the
// number of intervals, ceil(count / width).
size_t ts_plot_means(const double *values, size_t count, size_t width, double *place, double *mean);

// Ticks at round numbers in [low, high]: multiples of 1, 2, 2.5 or 5 times a power of ten, about
// `wanted` of them. *first is the lowest tick that is not below `low`.
void ts_plot_ticks(double low, double high, int wanted, double *first, double *step);

#endif
