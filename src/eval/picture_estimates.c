// Small tables below the losses: how well the first token's probability is calibrated, and how many
// words the answers have. A row for each figure, a column for each model.
#include "eval/picture_parts.h"

#include <math.h>
#include <stdio.h>

enum { NAME_WIDTH = 116, TABLE_WIDTH = 372, LINE = 22, LINE_WITH_INTERVAL = 38 };

// The right edge of a model's column.
static double column_right(double x, size_t column, size_t columns)
{
    double width = (TABLE_WIDTH - NAME_WIDTH) / (double)columns;
    return x + NAME_WIDTH + (double)(column + 1) * width;
}

static void text_to(page *p, double right, double baseline, const ts_style *style, const char *text)
{
    page_text(p, right - page_text_width(style, text), baseline, style, text);
}

// A figure and, below it, its interval, which several models have no room for.
static void draw_cell(page *p, double right, double top, const ts_estimate *e, int decimals,
                      ts_colour colour, bool interval)
{
    char text[48];
    ts_style figure = page_style(p, TS_FACE_BOLD, 14, colour);
    ts_style small = page_style(p, TS_FACE_REGULAR, 11.5, faint_colour);
    if (!isfinite(e->value)) {
        return;
    }
    snprintf(text, sizeof text, "%.*f", decimals, e->value);
    text_to(p, right, top + 15, &figure, text);
    if (interval && isfinite(e->low)) {
        snprintf(text, sizeof text, "%.*f to %.*f", decimals, e->low, decimals, e->high);
        text_to(p, right, top + 30, &small, text);
    }
}

static double draw_row(page *p, double x, double top, const char *name,
                       const ts_estimate *const *cells, size_t count, size_t columns, int decimals)
{
    ts_style label = page_style(p, TS_FACE_REGULAR, 13.5, ink_colour);
    bool interval = count <= 2;
    page_text(p, x, top + 15, &label, name);
    for (size_t i = 0; i < count; i++) {
        draw_cell(p, column_right(x, i, columns), top, cells[i], decimals, page_model_colour(i),
                  interval);
    }
    return top + (interval ? LINE_WITH_INTERVAL : LINE);
}

static double draw_calibration(page *p, double x, double top, const ts_summary *const *models,
                               size_t count)
{
    const ts_estimate *cells[TS_MOST_MODELS] = {NULL};
    char text[64];
    ts_style label = page_style(p, TS_FACE_BOLD, 15, ink_colour);
    ts_style small = page_style(p, TS_FACE_REGULAR, 13, faint_colour);
    page_text(p, x, top + 18, &label, "Calibration of the first token");
    snprintf(text, sizeof text, "lower is better; %u prompts", models[0]->calibration.prompts);
    page_text(p, x, top + 38, &small, text);
    top += 50;
    for (size_t i = 0; i < count; i++) {
        cells[i] = &models[i]->calibration.error;
    }
    top = draw_row(p, x, top, "expected error", cells, count, count + 1, 2);
    for (size_t i = 0; i < count; i++) {
        cells[i] = &models[i]->calibration.brier;
    }
    return draw_row(p, x, top, "Brier score", cells, count, count + 1, 2);
}

static double draw_lengths(page *p, double x, double top, const ts_summary *const *models,
                           size_t count)
{
    const ts_estimate *cells[TS_MOST_MODELS] = {NULL};
    ts_style label = page_style(p, TS_FACE_BOLD, 15, ink_colour);
    ts_style small = page_style(p, TS_FACE_REGULAR, 13, faint_colour);
    page_text(p, x, top + 18, &label, "Words of an answer");
    text_to(p, column_right(x, count, count + 1), top + 18, &small, "reference");
    top += 30;
    for (ts_category c = 0; c < TS_CATEGORY_COUNT; c++) {
        if (models[0]->lengths[c].prompts == 0) {
            continue;
        }
        for (size_t i = 0; i < count; i++) {
            cells[i] = &models[i]->lengths[c].words;
        }
        double reference = models[0]->lengths[c].reference_words;
        const ts_estimate target = {reference, NAN, NAN};
        draw_cell(p, column_right(x, count, count + 1), top, &target, 1, soft_colour, false);
        top = draw_row(p, x, top, ts_category_name(c), cells, count, count + 1, 1);
    }
    return top;
}

double page_estimates(page *p, double x, double top, const ts_summary *const *models, size_t count)
{
    if (models[0]->calibration.prompts > 0) {
        top = draw_calibration(p, x, top, models, count) + 6;
    }
    return draw_lengths(p, x, top, models, count);
}
