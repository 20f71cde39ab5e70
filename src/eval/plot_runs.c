// Draws the losses of several runs in one picture.
#include "base/file.h"
#include "base/memory.h"
#include "eval/plot_parts.h"

#include <math.h>
#include <string.h>

enum { LEGEND_TOP = 74, LEGEND_LINE = 24, LEGEND_COLUMNS = 2, BOTTOM = 780, HEIGHT = 860 };

// The colours differ in hue and in lightness, so that they can be told apart in grey too.
static const ts_colour colours[TS_PLOT_MOST_RUNS] = {
    {52, 86, 200},  {226, 132, 28},  {40, 140, 90},  {190, 50, 60},
    {130, 80, 180}, {20, 20, 20},    {80, 180, 220}, {220, 190, 40},
    {120, 200, 90}, {230, 140, 170}, {120, 90, 60},  {150, 160, 170},
};

static ts_status draw_name(ts_plot *p, size_t index, const char *name, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text clean = {0};
    ts_lines lines = {0};
    ts_style style = ts_plot_style(p, TS_FACE_REGULAR, 15, ts_plot_soft);
    double width = (double)(TS_PLOT_RIGHT - TS_PLOT_LEFT) / LEGEND_COLUMNS;
    double x = TS_PLOT_LEFT + width * (double)(index % LEGEND_COLUMNS);
    double y = LEGEND_TOP + LEGEND_LINE * (double)(index / LEGEND_COLUMNS);
    TS_TRY(ts_text_append_clean(&clean, name, strlen(name), err));
    TS_TRY(ts_lines_wrap(&lines, &style, clean.bytes, clean.len, width - 60, 1, err));
    ts_canvas_line(&p->canvas, x, y + 9, x + 26, y + 9, 3.2, colours[index]);
    ts_canvas_lines(&p->canvas, x + 36, y, &style, &lines, ts_plot_soft);
out:
    ts_text_free(&clean);
    ts_lines_free(&lines);
    return status;
}

// A frame below the legend that contains all curves.
static ts_frame frame_of(const ts_curve *curves, size_t count)
{
    size_t rows = (count + LEGEND_COLUMNS - 1) / LEGEND_COLUMNS;
    ts_frame f = {.top = LEGEND_TOP + 16 + LEGEND_LINE * (double)rows, .bottom = BOTTOM, .high = 1};
    bool any = false, steps = false;
    for (size_t i = 0; i < count; i++) {
        any = ts_plot_find_range(curves[i].loss, curves[i].count, &f.low, &f.high, any);
        if (curves[i].count > 0) {
            ts_frame own = {0};
            ts_plot_find_steps(&curves[i], &own);
            f.first = steps ? fmin(f.first, own.first) : own.first;
            f.last = steps ? fmax(f.last, own.last) : own.last;
            steps = true;
        }
    }
    f.last = steps ? f.last : 1;
    ts_plot_pad_losses(&f);
    return f;
}

static ts_status draw_runs(ts_plot *p, const ts_curve *curves, size_t count, ts_error *err)
{
    ts_status status = TS_OK;
    static const char title[] = "Mean loss over each interval of the log", below[] = "Step";
    ts_style bold = ts_plot_style(p, TS_FACE_BOLD, 26, ts_plot_ink);
    ts_style label = ts_plot_style(p, TS_FACE_REGULAR, 15, ts_plot_soft);
    ts_frame f = frame_of(curves, count);
    ts_canvas_text(&p->canvas, TS_PLOT_LEFT, 50, &bold, title, strlen(title));
    ts_plot_step_ticks(p, &f, true);
    ts_plot_value_ticks(p, &f, 10, false, true, ts_plot_soft);
    for (size_t i = 0; i < count; i++) {
        p->curve = &curves[i];
        ts_plot_line(p, &f, curves[i].loss, 3, colours[i]);
        TS_TRY(draw_name(p, i, curves[i].title, err));
    }
    ts_plot_axes(p, &f);
    ts_canvas_text(&p->canvas, (TS_PLOT_LEFT + TS_PLOT_RIGHT) / 2.0 - 20, HEIGHT - 26, &label,
                   below, strlen(below));
out:
    return status;
}

ts_status ts_plot_write_runs(const ts_curve *curves, size_t count, const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    ts_plot p = {0};
    ts_text png = {0};
    if (count > TS_PLOT_MOST_RUNS) {
        TS_FAIL(TS_ERR_ARGUMENT, "%zu runs: a picture holds at most %d", count, TS_PLOT_MOST_RUNS);
    }
    TS_TRY(ts_fonts_open(&p.fonts, err));
    TS_TRY(ts_canvas_create(TS_PLOT_WIDTH, HEIGHT, ts_plot_paper, &p.canvas, err));
    TS_TRY(draw_runs(&p, curves, count, err));
    TS_TRY(ts_canvas_png(&p.canvas, &png, err));
    TS_TRY(ts_file_write(path, png.bytes, png.len, err));
out:
    ts_text_free(&png);
    ts_canvas_destroy(&p.canvas);
    ts_fonts_close(p.fonts);
    return status;
}
