// Internal interfaces of the files that draw curves: frames, axes and lines (plot.c).
#ifndef TS_EVAL_PLOT_PARTS_H
#define TS_EVAL_PLOT_PARTS_H

#include "eval/canvas.h"
#include "eval/plot.h"

enum { TS_PLOT_WIDTH = 1400, TS_PLOT_LEFT = 100, TS_PLOT_RIGHT = TS_PLOT_WIDTH - 110 };

static const ts_colour ts_plot_paper = {255, 255, 255}, ts_plot_soft = {88, 101, 122},
                       ts_plot_ink = {28, 36, 52};

// A rectangle of the picture and the range of values that it shows.
typedef struct ts_frame {
    double top, bottom; // in pixels; left and right are TS_PLOT_LEFT and TS_PLOT_RIGHT
    double first, last; // the steps at the left and right side
    double low, high;   // the values at the bottom and the top
} ts_frame;

typedef struct ts_plot {
    ts_canvas canvas;
    ts_fonts *fonts;
    const ts_curve *curve;
} ts_plot;

ts_style ts_plot_style(const ts_plot *p, ts_face face, double size, ts_colour colour);
// Extends [*low, *high] to include the finite values. `any`: the range holds something already.
// Returns whether it does afterwards.
bool ts_plot_find_range(const double *values, size_t count, double *low, double *high, bool any);
// Adds space above and below the losses, but not below zero unless a loss is negative.
void ts_plot_pad_losses(ts_frame *f);
// Ticks of the values at the left side, or with `right` at the right side. `across`: with lines
// across the frame.
void ts_plot_value_ticks(ts_plot *p, const ts_frame *f, int wanted, bool right, bool across,
                         ts_colour colour);
void ts_plot_step_ticks(ts_plot *p, const ts_frame *f, bool labels);
// Draws these values at the steps of p->curve.
void ts_plot_line(ts_plot *p, const ts_frame *f, const double *values, double thickness,
                  ts_colour colour);
void ts_plot_axes(ts_plot *p, const ts_frame *f);
// The range of a curve's steps, with some space around it if there are fewer than two.
void ts_plot_find_steps(const ts_curve *curve, ts_frame *f);

#endif
