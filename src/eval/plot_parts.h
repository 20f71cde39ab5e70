// What the pictures of curves share: frames, axes and lines (plot.c).
#ifndef TS_EVAL_PLOT_PARTS_H
#define TS_EVAL_PLOT_PARTS_H

#include "eval/canvas.h"
#include "eval/plot.h"

enum { TS_PLOT_WIDTH = 1400, TS_PLOT_LEFT = 100, TS_PLOT_RIGHT = TS_PLOT_WIDTH - 110 };

static const ts_colour ts_plot_paper = {255, 255, 255}, ts_plot_soft = {88, 101, 122},
                       ts_plot_ink = {28, 36, 52};

// A rectangle of the picture and the values at its edges.
typedef struct ts_frame {
    double top, bottom; // pixels; the sides are TS_PLOT_LEFT and TS_PLOT_RIGHT
    double first, last; // steps at the sides
    double low, high;   // values at the bottom and the top
} ts_frame;

typedef struct ts_plot {
    ts_canvas canvas;
    ts_fonts *fonts;
    const ts_curve *curve;
} ts_plot;

ts_style ts_plot_style(const ts_plot *p, ts_face face, double size, ts_colour colour);
// Widens [*low, *high] to what the values need, from nothing where `any` is false; true when there
// is any.
bool ts_plot_find_range(const double *values, size_t count, double *low, double *high, bool any);
// Room around the losses; none below zero unless a value needs it.
void ts_plot_pad_losses(ts_frame *f);
// Ticks of the values on the left, or on the right; with lines across where `across`.
void ts_plot_value_ticks(ts_plot *p, const ts_frame *f, int wanted, bool right, bool across,
                         ts_colour colour);
void ts_plot_step_ticks(ts_plot *p, const ts_frame *f, bool labels);
// p->curve's steps and these values.
void ts_plot_line(ts_plot *p, const ts_frame *f, const double *values, double thickness,
                  ts_colour colour);
void ts_plot_axes(ts_plot *p, const ts_frame *f);
// The steps of a curve; where there are none or one, some room around it.
void ts_plot_find_steps(const ts_curve *curve, ts_frame *f);

#endif
