#include "eval/plot.h"

#include "base/file.h"
#include "base/memory.h"
#include "eval/plot_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEIGHT = 860,
    // More points than this are drawn by columns of pixels.
    MANY_POINTS = 4 * (TS_PLOT_RIGHT - TS_PLOT_LEFT)
};

static const ts_colour grid = {232, 236, 242}, axis = {148, 158, 176}, raw_loss = {178, 196, 240},
                       smooth_loss = {52, 86, 200}, rate_colour = {226, 132, 28},
                       norm_colour = {98, 160, 142}, held_out_colour = {190, 48, 92};

void ts_plot_smooth(const double *values, size_t count, size_t reach, double *out)
{
    for (size_t i = 0; i < count; i++) {
        size_t from = i > reach ? i - reach : 0, to = count - i > reach ? i + reach : count - 1;
        double sum = 0, weights = 0;
        for (size_t j = from; j <= to; j++) {
            double weight = (double)(reach + 1) - fabs((double)j - (double)i);
            if (isfinite(values[j])) {
                sum += weight * values[j];
                weights += weight;
            }
        }
        out[i] = weights > 0 ? sum / weights : NAN;
    }
}

size_t ts_plot_means(const double *values, size_t count, size_t width, double *place, double *mean)
{
    size_t stretches = 0;
    for (size_t from = 0; from < count; from += width) {
        size_t to = count - from > width ? from + width : count, finite = 0;
        double sum = 0;
        for (size_t i = from; i < to; i++) {
            if (isfinite(values[i])) {
                sum += values[i];
                finite++;
            }
        }
        place[stretches] = ((double)from + 1 + (double)to) / 2;
        mean[stretches++] = finite > 0 ? sum / (double)finite : NAN;
    }
    return stretches;
}

void ts_plot_ticks(double low, double high, int wanted, double *first, double *step)
{
    static const double nice[] = {1, 2, 2.5, 5, 10};
    double rough = (high - low) / wanted, power = pow(10, floor(log10(rough)));
    size_t i = 0;
    while (i + 1 < TS_COUNT(nice) && nice[i] * power < rough * (1 - 1e-9)) {
        i++;
    }
    *step = nice[i] * power;
    *first = ceil(low / *step - 1e-9) * *step;
}

static double step_at(const ts_curve *curve, size_t i)
{
    return curve->step != NULL ? curve->step[i] : (double)i + 1;
}

static bool is_shown(double value)
{
    return fabs(value) < 1e30; // false for NaN; larger values overflow the arithmetic of ticks
}

bool ts_plot_find_range(const double *values, size_t count, double *low, double *high, bool any)
{
    for (size_t i = 0; values != NULL && i < count; i++) {
        if (is_shown(values[i])) {
            *low = any ? fmin(*low, values[i]) : values[i];
            *high = any ? fmax(*high, values[i]) : values[i];
            any = true;
        }
    }
    return any;
}

// The range with some space around it, never empty.
static void pad_range(double *low, double *high, bool from_zero)
{
    double span = *high - *low, least = 1e-6 * fmax(fabs(*high), fabs(*low));
    if (span <= least) {
        span = *high != 0 ? fabs(*high) : 1;
    }
    *low = from_zero && *low >= 0 ? 0 : *low - 0.06 * span;
    *high += 0.08 * span;
}

void ts_plot_pad_losses(ts_frame *f)
{
    double low = f->low;
    pad_range(&f->low, &f->high, false);
    if (f->low < 0 && low >= 0) { // no space below zero: a loss is not negative
        f->low = 0;
    }
}

static double x_of(const ts_frame *f, double step)
{
    return TS_PLOT_LEFT + (TS_PLOT_RIGHT - TS_PLOT_LEFT) * (step - f->first) / (f->last - f->first);
}

static double y_of(const ts_frame *f, double value)
{
    return f->bottom - (f->bottom - f->top) * (value - f->low) / (f->high - f->low);
}

ts_style ts_plot_style(const ts_plot *p, ts_face face, double size, ts_colour colour)
{
    return (ts_style){p->fonts, face, size, colour};
}

// "2e-5" instead of printf's "2e-05"; values of common sizes without an exponent.
static void format_tick(double value, double step, char out[32])
{
    double large = fabs(value);
    if (fabs(value) < step / 1000) {
        snprintf(out, 32, "0");
    } else if (large < 1e-3 || large >= 1e6) {
        char number[32];
        snprintf(number, sizeof number, "%.3g", value);
        char *e = strchr(number, 'e');
        int exponent = e != NULL ? atoi(e + 1) : 0;
        if (e != NULL) {
            *e = '\0';
        }
        snprintf(out, 32, e != NULL ? "%.12se%d" : "%.12s", number, exponent);
    } else {
        snprintf(out, 32, "%.6g", value);
    }
}

// Ticks of the values at one side of the frame. `across`: with lines across the frame.
void ts_plot_value_ticks(ts_plot *p, const ts_frame *f, int wanted, bool right, bool across,
                         ts_colour colour)
{
    double first, step;
    ts_style style = ts_plot_style(p, TS_FACE_REGULAR, 14, colour);
    ts_plot_ticks(f->low, f->high, wanted, &first, &step);
    for (int i = 0; i < 50 && first + i * step <= f->high + 1e-9 * step; i++) {
        char text[32];
        double value = first + i * step, y = y_of(f, value);
        format_tick(value, step, text);
        double width = ts_style_width(&style, text, strlen(text));
        if (across) {
            ts_canvas_box(&p->canvas, TS_PLOT_LEFT, y - 0.5, TS_PLOT_RIGHT - TS_PLOT_LEFT, 1, 0,
                          grid);
        }
        ts_canvas_text(&p->canvas, right ? TS_PLOT_RIGHT + 12 : TS_PLOT_LEFT - 12 - width, y + 5,
                       &style, text, strlen(text));
    }
}

void ts_plot_step_ticks(ts_plot *p, const ts_frame *f, bool labels)
{
    double first, step;
    ts_style style = ts_plot_style(p, TS_FACE_REGULAR, 14, ts_plot_soft);
    ts_plot_ticks(f->first, f->last, 10, &first, &step);
    if (step < 1) { // a step number is whole
        first = ceil(f->first), step = 1;
    }
    for (int i = 0; i < 50 && first + i * step <= f->last; i++) {
        char text[32];
        double x = x_of(f, first + i * step);
        format_tick(first + i * step, step, text);
        ts_canvas_box(&p->canvas, x - 0.5, f->top, 1, f->bottom - f->top, 0, grid);
        if (labels) {
            double width = ts_style_width(&style, text, strlen(text));
            ts_canvas_text(&p->canvas, x - width / 2, f->bottom + 24, &style, text, strlen(text));
        }
    }
}

// Draws a line through very many points. In each column of pixels it draws a vertical stroke from
// the lowest to the highest value, and a stroke from the last value to the first of the next
// column.
static void draw_columns(ts_plot *p, const ts_frame *f, const double *values, double thickness,
                         ts_colour colour)
{
    double low = 0, high = 0, last_x = 0, last_y = 0, column = -1;
    for (size_t i = 0; i < p->curve->count; i++) {
        double step = step_at(p->curve, i);
        if (!is_shown(values[i]) || !is_shown(step)) {
            continue; // a gap narrower than a column
        }
        double x = floor(x_of(f, step)), y = y_of(f, values[i]);
        if (x != column) {
            if (column >= 0) {
                ts_canvas_line(&p->canvas, last_x, low, last_x, high, thickness, colour);
                ts_canvas_line(&p->canvas, last_x, last_y, x, y, thickness, colour);
            }
            column = x;
            low = high = y;
        }
        low = fmin(low, y);
        high = fmax(high, y);
        last_x = x;
        last_y = y;
    }
    if (column >= 0) {
        ts_canvas_line(&p->canvas, last_x, low, last_x, high, thickness, colour);
    }
}

void ts_plot_line(ts_plot *p, const ts_frame *f, const double *values, double thickness,
                  ts_colour colour)
{
    size_t last = SIZE_MAX; // the last value that was drawn
    if (p->curve->count > MANY_POINTS) {
        draw_columns(p, f, values, thickness, colour);
        return;
    }
    for (size_t i = 0; i < p->curve->count; i++) {
        double step = step_at(p->curve, i);
        if (!is_shown(values[i]) || !is_shown(step)) {
            last = SIZE_MAX;
            continue;
        }
        size_t from = last != SIZE_MAX ? last : i;
        ts_canvas_line(&p->canvas, x_of(f, step_at(p->curve, from)), y_of(f, values[from]),
                       x_of(f, step), y_of(f, values[i]),
                       p->curve->count == 1 ? 3 * thickness : thickness, colour);
        last = i;
    }
}

void ts_plot_axes(ts_plot *p, const ts_frame *f)
{
    ts_canvas_box(&p->canvas, TS_PLOT_LEFT, f->bottom - 0.5, TS_PLOT_RIGHT - TS_PLOT_LEFT, 1, 0,
                  axis);
    ts_canvas_box(&p->canvas, TS_PLOT_LEFT - 0.5, f->top, 1, f->bottom - f->top, 0, axis);
    ts_canvas_box(&p->canvas, TS_PLOT_RIGHT - 0.5, f->top, 1, f->bottom - f->top, 0, axis);
}

static double draw_legend(ts_plot *p, double x, const char *text, double thickness,
                          ts_colour colour)
{
    ts_style style = ts_plot_style(p, TS_FACE_REGULAR, 15, ts_plot_soft);
    ts_canvas_line(&p->canvas, x, 91, x + 26, 91, thickness, colour);
    return ts_canvas_text(&p->canvas, x + 36, 96, &style, text, strlen(text)) + 32;
}

static ts_status draw_title(ts_plot *p, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text clean = {0};
    ts_lines lines = {0};
    const char *title = p->curve->title != NULL ? p->curve->title : "Training";
    ts_style style = ts_plot_style(p, TS_FACE_BOLD, 26, ts_plot_ink);
    TS_TRY(ts_text_append_clean(&clean, title, strlen(title), err));
    TS_TRY(ts_lines_wrap(&lines, &style, clean.bytes, clean.len, TS_PLOT_RIGHT - TS_PLOT_LEFT, 1,
                         err));
    ts_canvas_lines(&p->canvas, TS_PLOT_LEFT, 26, &style, &lines, ts_plot_soft);
    char loss[64] = "Loss, smoothed";
    if (p->curve->interval > 1) {
        snprintf(loss, sizeof loss, "Loss, mean of each %zu steps", p->curve->interval);
    }
    double x = draw_legend(p, TS_PLOT_LEFT, loss, 3.5, smooth_loss);
    x = draw_legend(p, x, "Loss of each step", 2, raw_loss);
    if (p->curve->held_out_count > 0) {
        x = draw_legend(p, x, "Loss on held-out rows", 3, held_out_colour);
    }
    if (p->curve->learning_rate != NULL) {
        x = draw_legend(p, x, "Learning rate (right axis)", 2.5, rate_colour);
    }
    if (p->curve->grad_norm != NULL) {
        draw_legend(p, x, "Gradient norm (strip below)", 1.5, norm_colour);
    }
out:
    ts_text_free(&clean);
    ts_lines_free(&lines);
    return status;
}

// The bold line: the means of intervals at their middles, or the smoothed curve.
static ts_status find_trend(const ts_curve *curve, ts_curve *out, ts_error *err)
{
    ts_status status = TS_OK;
    double *places = NULL, *means = NULL, *smoothed = NULL;
    size_t width = curve->interval > 1 ? curve->interval : 1, count;
    bool thin = width == 1 && curve->count > MANY_POINTS;
    width = thin ? curve->count / MANY_POINTS + 1 : width;
    TS_TRY(ts_alloc(curve->count / width + 2, sizeof *places, &places, err));
    TS_TRY(ts_alloc(curve->count / width + 2, sizeof *means, &means, err));
    count = ts_plot_means(curve->loss, curve->count, width, places, means);
    for (size_t i = 0; curve->step != NULL && i < count; i++) {
        places[i] = step_at(curve, (size_t)places[i] - 1);
    }
    *out = (ts_curve){.count = count, .step = places, .loss = means};
    if (curve->interval <= 1) {
        TS_TRY(ts_alloc(count + 1, sizeof *smoothed, &smoothed, err));
        ts_plot_smooth(means, count, count / 25 + 1, smoothed);
        out->loss = smoothed;
        free(means);
    }
    return TS_OK;
out:
    free(places);
    free(means);
    return status;
}

// A line through the measurements, each of them a dot.
static void draw_held_out(ts_plot *p, const ts_frame *f)
{
    const ts_curve *curve = p->curve;
    const ts_curve line = {.count = curve->held_out_count, .step = curve->held_out_step};
    p->curve = &line;
    ts_plot_line(p, f, curve->held_out_loss, 3, held_out_colour);
    for (size_t i = 0; i < line.count; i++) {
        const ts_curve dot = {.count = 1, .step = line.step + i};
        p->curve = &dot;
        ts_plot_line(p, f, curve->held_out_loss + i, 3, held_out_colour);
    }
    p->curve = curve;
}

static void draw_losses(ts_plot *p, ts_frame f, const ts_curve *trend, bool labels)
{
    const ts_curve *curve = p->curve;
    ts_frame rates = f;
    f.low = rates.low = 0, f.high = rates.high = 1;
    bool any = ts_plot_find_range(curve->loss, curve->count, &f.low, &f.high, false);
    ts_plot_find_range(curve->held_out_loss, curve->held_out_count, &f.low, &f.high, any);
    ts_plot_pad_losses(&f);
    ts_plot_step_ticks(p, &f, labels);
    ts_plot_value_ticks(p, &f, 8, false, true, smooth_loss);
    if (ts_plot_find_range(curve->learning_rate, curve->count, &rates.low, &rates.high, false)) {
        pad_range(&rates.low, &rates.high, true);
        ts_plot_value_ticks(p, &rates, 6, true, false, rate_colour);
        ts_plot_line(p, &rates, curve->learning_rate, 2.5, rate_colour);
    }
    ts_plot_line(p, &f, curve->loss, 1.6, raw_loss);
    p->curve = trend;
    ts_plot_line(p, &f, trend->loss, 3.2, smooth_loss);
    p->curve = curve;
    draw_held_out(p, &f);
    ts_plot_axes(p, &f);
}

static void draw_norms(ts_plot *p, ts_frame f)
{
    const ts_curve *curve = p->curve;
    f.low = 0, f.high = 1;
    ts_plot_find_range(curve->grad_norm, curve->count, &f.low, &f.high, false);
    pad_range(&f.low, &f.high, true);
    ts_plot_step_ticks(p, &f, true);
    ts_plot_value_ticks(p, &f, 3, false, true, norm_colour);
    ts_plot_line(p, &f, curve->grad_norm, 1.3, norm_colour);
    ts_plot_axes(p, &f);
}

void ts_plot_find_steps(const ts_curve *curve, ts_frame *f)
{
    f->first = 0, f->last = 1;
    if (curve->count > 0) {
        f->first = step_at(curve, 0);
        f->last = step_at(curve, curve->count - 1);
    }
    if (!is_shown(f->first) || !is_shown(f->last) || f->last - f->first < 1e-9) {
        f->first = is_shown(f->first) ? f->first - 1 : 0; // a single step is in the middle
        f->last = f->first + 2;
    }
}

static ts_status draw_curve(ts_plot *p, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_curve *curve = p->curve;
    ts_style label = ts_plot_style(p, TS_FACE_REGULAR, 15, ts_plot_soft);
    bool norms = curve->grad_norm != NULL;
    ts_frame f = {.top = 122, .bottom = norms ? 600 : HEIGHT - 80};
    ts_curve trend = {0};
    TS_TRY(find_trend(curve, &trend, err));
    ts_plot_find_steps(curve, &f);
    TS_TRY(draw_title(p, err));
    draw_losses(p, f, &trend, !norms);
    if (norms) {
        f.top = 632, f.bottom = HEIGHT - 80;
        draw_norms(p, f);
    }
    ts_canvas_text(&p->canvas, (TS_PLOT_LEFT + TS_PLOT_RIGHT) / 2.0 - 20, HEIGHT - 26, &label,
                   "Step", 4);
out:
    free((void *)(uintptr_t)trend.step);
    free((void *)(uintptr_t)trend.loss);
    return status;
}

ts_status ts_plot_png(const ts_curve *curve, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_plot p = {.curve = curve};
    TS_TRY(ts_fonts_open(&p.fonts, err));
    TS_TRY(ts_canvas_create(TS_PLOT_WIDTH, HEIGHT, ts_plot_paper, &p.canvas, err));
    TS_TRY(draw_curve(&p, err));
    TS_TRY(ts_canvas_png(&p.canvas, out, err));
out:
    ts_canvas_destroy(&p.canvas);
    ts_fonts_close(p.fonts);
    return status;
}

ts_status ts_plot_write(const ts_curve *curve, const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text png = {0};
    TS_TRY(ts_plot_png(curve, &png, err));
    TS_TRY(ts_file_write(path, png.bytes, png.len, err));
out:
    ts_text_free(&png);
    return status;
}
