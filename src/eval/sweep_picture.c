// sweep.png: above, a line for each configuration through the values of its settings to its loss
// (parallel coordinates); below, the configurations from best to worst with the losses of their
// seeds, their means and intervals.
#include "base/memory.h"
#include "eval/plot_parts.h"
#include "eval/sweep.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDTH = TS_PLOT_WIDTH,
    LEFT = 90,
    RIGHT = WIDTH - 130,
    TOP = 40,
    LINES = 4,      // of the verdict
    PARALLEL = 330, // height of the upper part's axes
    HEADS = 64,     // above and below them
    ROW = 27,       // height of a configuration below
    MOST_ROWS = 30, // more are in sweep.md alone
    NAMES = 520,    // width of their names
    FEET = 70,
    MOST_VALUES = 256, // of one setting
};

static const ts_colour grid = {232, 236, 242}, axis_colour = {148, 158, 176};

typedef struct sheet {
    ts_plot plot; // canvas and fonts
    const ts_sweep *sweep;
    double low, high; // of the losses that are shown
    bool logarithmic;
    ts_lines lines; // scratch
} sheet;

// From the best, dark blue, to the worst, pale orange; they differ in lightness too.
static ts_colour colour_of(const sheet *s, size_t place)
{
    static const ts_colour stops[] = {{28, 62, 170}, {60, 150, 170}, {236, 176, 96}};
    double at = s->sweep->configuration_count > 1
                    ? 2 * (double)place / (double)(s->sweep->configuration_count - 1)
                    : 0;
    size_t from = at >= 1 ? 1 : 0;
    double part = at - (double)from;
    const ts_colour *a = &stops[from], *b = &stops[from + 1];
    return (ts_colour){(uint8_t)lround(a->r + part * (b->r - a->r)),
                       (uint8_t)lround(a->g + part * (b->g - a->g)),
                       (uint8_t)lround(a->b + part * (b->b - a->b))};
}

// ---- The scale of losses

static void find_scale(sheet *s)
{
    const ts_sweep *sweep = s->sweep;
    bool any = false;
    s->low = 0, s->high = 1;
    for (size_t i = 0; i < sweep->run_count; i++) {
        any = ts_plot_find_range(&sweep->runs[i].loss, 1, &s->low, &s->high, any);
    }
    s->logarithmic = s->low > 0 && s->high > 15 * s->low;
    if (s->logarithmic) {
        s->low /= 1.2, s->high *= 1.2;
        return;
    }
    ts_frame f = {.low = s->low, .high = s->high};
    ts_plot_pad_losses(&f);
    s->low = f.low, s->high = f.high;
}

// Where a loss lies, 0 (least) to 1; what lies outside is moved to the edge.
static double part_of(const sheet *s, double loss)
{
    double part = s->logarithmic ? log(loss / s->low) / log(s->high / s->low)
                                 : (loss - s->low) / (s->high - s->low);
    return isfinite(part) ? fmin(fmax(part, 0), 1) : 0;
}

// The tick `index` of the scale; NaN after the last.
static double tick_of(const sheet *s, int index)
{
    static const double steps[] = {1, 2, 5};
    double first, step;
    if (!s->logarithmic) {
        ts_plot_ticks(s->low, s->high, 7, &first, &step);
        double tick = first + index * step;
        return tick <= s->high + 1e-9 * step ? tick : NAN;
    }
    for (int power = (int)floor(log10(s->low)); pow(10, power) <= s->high; power++) {
        for (size_t i = 0; i < TS_COUNT(steps); i++) {
            double tick = steps[i] * pow(10, power);
            if (tick >= s->low && tick <= s->high && index-- == 0) {
                return tick;
            }
        }
    }
    return NAN;
}

// ---- Text

static void put(sheet *s, double x, double y, ts_face face, double size, ts_colour colour,
                const char *text)
{
    ts_style style = ts_plot_style(&s->plot, face, size, colour);
    ts_canvas_text(&s->plot.canvas, x, y, &style, text, strlen(text));
}

// Text that may be long, wrapped to `width` and cut after `most` lines. *bottom may be NULL.
static ts_status put_lines(sheet *s, double x, double top, double width, size_t most,
                           const ts_style *style, const char *text, double *bottom, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text clean = {0};
    TS_TRY(ts_text_append_clean(&clean, text, strlen(text), err));
    TS_TRY(ts_lines_wrap(&s->lines, style, clean.bytes, clean.len, width, most, err));
    double end = ts_canvas_lines(&s->plot.canvas, x, top, style, &s->lines, ts_plot_soft);
    if (bottom != NULL) {
        *bottom = end;
    }
out:
    ts_text_free(&clean);
    return status;
}

static ts_status put_title(sheet *s, double *bottom, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text verdict = {0};
    ts_style bold = ts_plot_style(&s->plot, TS_FACE_BOLD, 26, ts_plot_ink);
    ts_style soft = ts_plot_style(&s->plot, TS_FACE_REGULAR, 17, ts_plot_soft);
    TS_TRY(put_lines(s, LEFT - 50, TOP - 16, RIGHT - LEFT + 100, 1, &bold, s->sweep->title, bottom,
                     err));
    TS_TRY(ts_sweep_verdict(s->sweep, &verdict, err));
    TS_TRY(put_lines(s, LEFT - 50, *bottom + 6, RIGHT - LEFT + 100, LINES, &soft, verdict.bytes,
                     bottom, err));
out:
    ts_text_free(&verdict);
    return status;
}

// ---- Parallel coordinates

static const char *value_of(const sheet *s, size_t configuration, size_t axis)
{
    return s->sweep->values[configuration * s->sweep->axis_count + axis];
}

// The different values of a setting, in the order in which they come; returns how many.
static size_t find_values(const sheet *s, size_t axis, const char *out[MOST_VALUES])
{
    size_t count = 0;
    for (size_t c = 0; c < s->sweep->configuration_count && count < MOST_VALUES; c++) {
        size_t i = 0;
        while (i < count && strcmp(out[i], value_of(s, c, axis)) != 0) {
            i++;
        }
        if (i == count) {
            out[count++] = value_of(s, c, axis);
        }
    }
    return count;
}

static double axis_x(const sheet *s, size_t axis)
{
    return LEFT + 40 + (RIGHT - LEFT - 40) * (double)axis / (double)s->sweep->axis_count;
}

// The first value of a setting is at the bottom, as the lowest number mostly is.
static double value_y(double top, size_t index, size_t count)
{
    return top + PARALLEL * (1 - (count > 1 ? (double)index / (double)(count - 1) : 0.5));
}

static void draw_axis(sheet *s, size_t axis, double top)
{
    const char *values[MOST_VALUES];
    double x = axis_x(s, axis);
    size_t count = find_values(s, axis, values);
    ts_style bold = ts_plot_style(&s->plot, TS_FACE_BOLD, 16, ts_plot_ink);
    const char *name = s->sweep->axes[axis];
    double width = ts_style_width(&bold, name, strlen(name));
    ts_canvas_box(&s->plot.canvas, x - 0.75, top - 8, 1.5, PARALLEL + 16, 0, axis_colour);
    ts_canvas_text(&s->plot.canvas, x - width / 2, top - 24, &bold, name, strlen(name));
    for (size_t i = 0; i < count; i++) {
        ts_style style = ts_plot_style(&s->plot, TS_FACE_REGULAR, 15, ts_plot_ink);
        double y = value_y(top, i, count), w = ts_style_width(&style, values[i], strlen(values[i]));
        ts_canvas_box(&s->plot.canvas, x + 6, y - 11, w + 8, 21, 4, ts_plot_paper);
        ts_canvas_text(&s->plot.canvas, x + 10, y + 5, &style, values[i], strlen(values[i]));
    }
}

static void draw_loss_axis(sheet *s, double top)
{
    double x = axis_x(s, s->sweep->axis_count), tick;
    put(s, x - 40, top - 24, TS_FACE_BOLD, 16, ts_plot_ink, "Loss");
    ts_canvas_box(&s->plot.canvas, x - 0.75, top - 8, 1.5, PARALLEL + 16, 0, axis_colour);
    for (int i = 0; i < 50 && !isnan(tick = tick_of(s, i)); i++) {
        char text[32];
        double y = top + PARALLEL * (1 - part_of(s, tick));
        snprintf(text, sizeof text, "%.4g", tick);
        ts_canvas_box(&s->plot.canvas, x, y - 0.75, 8, 1.5, 0, axis_colour);
        put(s, x + 14, y + 5, TS_FACE_REGULAR, 14, ts_plot_soft, text);
    }
}

// Lines through the same value keep a little apart, in the order of the places.
static void draw_path(sheet *s, size_t place, double top)
{
    const ts_sweep *sweep = s->sweep;
    const size_t configuration = sweep->order[place];
    const ts_sweep_configuration *c = &sweep->configurations[configuration];
    double x = 0, y = 0, count = (double)sweep->configuration_count;
    double apart = 20 * (((double)place + 0.5) / count - 0.5);
    for (size_t a = 0; a <= sweep->axis_count; a++) {
        const char *values[MOST_VALUES];
        double to_x = axis_x(s, a), to_y = top + PARALLEL * (1 - part_of(s, c->loss.mean));
        if (a < sweep->axis_count) {
            size_t number = find_values(s, a, values), i = 0;
            while (i + 1 < number && strcmp(values[i], value_of(s, configuration, a)) != 0) {
                i++;
            }
            to_y = value_y(top, i, number) + apart;
        }
        if (a > 0 && c->finished > 0) {
            ts_canvas_line(&s->plot.canvas, x, y, to_x, to_y, place == 0 ? 5 : 2.2,
                           colour_of(s, place));
        }
        x = to_x, y = to_y;
    }
}

static void draw_parallel(sheet *s, double top)
{
    for (size_t place = s->sweep->configuration_count; place-- > 0;) { // the best on top
        draw_path(s, place, top);
    }
    for (size_t a = 0; a < s->sweep->axis_count; a++) {
        draw_axis(s, a, top);
    }
    draw_loss_axis(s, top);
}

// ---- Configurations from best to worst

static double loss_x(const sheet *s, double loss)
{
    return NAMES + (RIGHT - NAMES) * part_of(s, loss);
}

static void dot(sheet *s, double x, double y, double size, ts_colour colour)
{
    ts_canvas_box(&s->plot.canvas, x - size / 2, y - size / 2, size, size, size / 2, colour);
}

static ts_status draw_row(sheet *s, size_t place, double y, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_sweep *sweep = s->sweep;
    const size_t index = sweep->order[place];
    const ts_sweep_configuration *c = &sweep->configurations[index];
    const ts_colour colour = colour_of(s, place), seed = {170, 178, 194};
    ts_style style =
        ts_plot_style(&s->plot, place == 0 ? TS_FACE_BOLD : TS_FACE_REGULAR, 15, ts_plot_ink);
    ts_text name = {0};
    char mean[64];
    TS_TRY(ts_sweep_name(sweep, index, &name, err));
    TS_TRY(put_lines(s, LEFT - 50, y - 10, NAMES - LEFT + 30, 1, &style, name.bytes, NULL, err));
    ts_canvas_box(&s->plot.canvas, NAMES, y - 0.5, RIGHT - NAMES, 1, 0, grid);
    for (size_t i = 0; i < sweep->run_count; i++) {
        if (sweep->runs[i].configuration == index && isfinite(sweep->runs[i].loss)) {
            dot(s, loss_x(s, sweep->runs[i].loss), y, 7, seed);
        }
    }
    if (!isnan(c->loss.low)) {
        ts_canvas_line(&s->plot.canvas, loss_x(s, c->loss.low), y, loss_x(s, c->loss.high), y, 2.4,
                       colour);
    }
    if (c->finished > 0) {
        dot(s, loss_x(s, c->loss.mean), y, 12, colour);
    }
    snprintf(mean, sizeof mean, c->failed == 0 ? "%.4f" : "%.4f, %zu failed", c->loss.mean,
             c->failed);
    put(s, RIGHT + 12, y + 5, TS_FACE_REGULAR, 15, ts_plot_ink, c->finished > 0 ? mean : "failed");
out:
    ts_text_free(&name);
    return status;
}

static ts_status draw_rows(sheet *s, double top, size_t rows, ts_error *err)
{
    ts_status status = TS_OK;
    double bottom = top + (double)(rows * ROW), tick;
    char text[160];
    for (int i = 0; i < 50 && !isnan(tick = tick_of(s, i)); i++) {
        double x = loss_x(s, tick);
        snprintf(text, sizeof text, "%.4g", tick);
        ts_canvas_box(&s->plot.canvas, x - 0.5, top, 1, bottom - top, 0, grid);
        put(s, x - 12, bottom + 20, TS_FACE_REGULAR, 14, ts_plot_soft, text);
    }
    for (size_t i = 0; i < rows; i++) {
        TS_TRY(draw_row(s, i, top + ROW * ((double)i + 0.5), err));
    }
    int len = snprintf(
        text, sizeof text, "%c%s%s", 'L', s->sweep->measure + 1,
        s->sweep->seeds > 1 ? ": mean over seeds, its 95 % interval, each seed in grey" : "");
    if (rows < s->sweep->configuration_count) {
        snprintf(text + len, sizeof text - (size_t)len, "; %zu more are in sweep.md",
                 s->sweep->configuration_count - rows);
    }
    put(s, NAMES, bottom + 46, TS_FACE_REGULAR, 15, ts_plot_soft, text);
out:
    return status;
}

static ts_status draw(sheet *s, ts_error *err)
{
    ts_status status = TS_OK;
    const bool parallel = s->sweep->axis_count > 0;
    size_t rows = ts_min_u64(s->sweep->configuration_count, MOST_ROWS);
    double top = 0;
    TS_TRY(ts_fonts_open(&s->plot.fonts, err));
    TS_TRY(put_title(s, &top, err)); // on an empty canvas it draws nothing, which measures it
    double below = top + 40 + (parallel ? PARALLEL + 2 * HEADS - 20 : 0);
    TS_TRY(ts_canvas_create(WIDTH, (uint32_t)(below + (double)(rows * ROW) + FEET), ts_plot_paper,
                            &s->plot.canvas, err));
    TS_TRY(put_title(s, &top, err));
    find_scale(s);
    if (parallel) {
        draw_parallel(s, top + 40 + 36);
    }
    TS_TRY(draw_rows(s, below, rows, err));
out:
    return status;
}

ts_status ts_sweep_png(const ts_sweep *sweep, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    sheet s = {.sweep = sweep};
    TS_TRY(draw(&s, err));
    TS_TRY(ts_canvas_png(&s.plot.canvas, out, err));
out:
    ts_lines_free(&s.lines);
    ts_canvas_destroy(&s.plot.canvas);
    ts_fonts_close(s.plot.fonts);
    return status;
}
