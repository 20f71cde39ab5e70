#include "eval/picture.h"

#include "base/file.h"
#include "eval/picture_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const ts_colour page_colour = {243, 245, 249}, card_colour = {255, 255, 255},
                edge_colour = {224, 229, 237}, night_colour = {24, 33, 52},
                ink_colour = {28, 36, 52}, soft_colour = {88, 101, 122},
                faint_colour = {134, 145, 163}, track_colour = {237, 240, 245},
                base_colour = {148, 163, 184}, base_dark_colour = {88, 104, 128},
                tuned_colour = {79, 110, 222}, tuned_dark_colour = {44, 68, 160},
                good_colour = {22, 128, 76}, good_tint = {222, 244, 230},
                bad_colour = {196, 52, 52}, bad_tint = {253, 229, 228},
                neutral_tint = {236, 239, 244}, white_colour = {255, 255, 255};

const ts_colour adapter_colours[TS_MOST_ADAPTERS] = {
    {79, 110, 222}, {214, 126, 44}, {24, 148, 136}, {168, 85, 190}};
const ts_colour adapter_dark_colours[TS_MOST_ADAPTERS] = {
    {44, 68, 160}, {150, 78, 12}, {10, 98, 90}, {112, 44, 132}};

ts_style page_style(const page *p, ts_face face, double size_px, ts_colour colour)
{
    return (ts_style){p->fonts, face, size_px, colour};
}

double page_text(page *p, double x, double baseline, const ts_style *style, const char *text)
{
    return ts_canvas_text(p->canvas, x, baseline, style, text, strlen(text));
}

double page_text_width(const ts_style *style, const char *text)
{
    return ts_style_width(style, text, strlen(text));
}

ts_status page_paragraph(page *p, double x, double top, double width, const ts_style *style,
                         const char *text, size_t len, size_t max_lines, double *bottom)
{
    ts_status status = TS_OK;
    ts_text_clear(&p->clean);
    TS_TRY(ts_text_append_clean(&p->clean, text, len, p->err));
    while (p->clean.len > 0 && strchr(" \t\n", p->clean.bytes[p->clean.len - 1]) != NULL) {
        p->clean.bytes[--p->clean.len] = '\0';
    }
    TS_TRY(ts_lines_wrap(&p->lines, style, p->clean.bytes, p->clean.len, width, max_lines, p->err));
    *bottom = ts_canvas_lines(p->canvas, x, top, style, &p->lines, bad_colour);
out:
    return status;
}

double page_pill(page *p, double x, double top, const char *text, ts_colour box, ts_colour ink)
{
    ts_style style = page_style(p, TS_FACE_BOLD, 12.5, ink);
    double width = page_text_width(&style, text) + 20;
    ts_canvas_box(p->canvas, x, top, width, 24, 12, box);
    page_text(p, x + 10, top + 17, &style, text);
    return x + width;
}

void page_card(page *p, double x, double top, double width, double height)
{
    ts_canvas_box(p->canvas, x, top, width, height, 12, edge_colour);
    ts_canvas_box(p->canvas, x + 1, top + 1, width - 2, height - 2, 11, card_colour);
}

void page_short_name(const ts_evaluation *e, size_t adapter, char out[48])
{
    const char *name = ts_tuned_label(e, adapter);
    size_t len = strlen(name), most = 24;
    if (len <= most) {
        snprintf(out, 48, "%s", name);
        return;
    }
    const char *end = name + len - most; // the ends of paths differ
    while (ts_utf8_is_continuation(*end)) {
        end++;
    }
    snprintf(out, 48, TS_ELLIPSIS "%s", end);
}

static double legend(page *p, double right, double baseline, const char *text, ts_colour colour)
{
    ts_style style = page_style(p, TS_FACE_REGULAR, 15, (ts_colour){214, 221, 234});
    double left = right - page_text_width(&style, text) - 22;
    ts_canvas_box(p->canvas, left, baseline - 11, 13, 13, 4, colour);
    page_text(p, left + 21, baseline, &style, text);
    return left - 24;
}

static ts_status draw_banner(page *p, double *bottom)
{
    ts_status status = TS_OK;
    const ts_evaluation *e = p->evaluation;
    char words[96] = "Greedy answers of the base model";
    ts_style title = page_style(p, TS_FACE_BOLD, 34, white_colour);
    ts_style subtitle = page_style(p, TS_FACE_REGULAR, 17, (ts_colour){170, 182, 204});
    double end, right = PAGE_WIDTH - PAGE_MARGIN;
    ts_canvas_box(p->canvas, 0, 0, PAGE_WIDTH, 132, 0, night_colour);
    ts_canvas_box(p->canvas, 0, 128, PAGE_WIDTH, 4, 0, tuned_colour);
    TS_TRY(page_paragraph(p, PAGE_MARGIN, 22, CONTENT_WIDTH, &title, e->title, strlen(e->title), 1,
                          &end));
    if (e->tuned_count == 1) {
        snprintf(words, sizeof words,
                 "Greedy answers of the same weights, adapter off and adapter on");
    } else if (e->tuned_count > 1) {
        snprintf(words, sizeof words, "Greedy answers of the same weights, with %zu adapters",
                 e->tuned_count);
    }
    page_text(p, PAGE_MARGIN, 101, &subtitle, words);
    for (size_t i = e->tuned_count; i > 0; i--) {
        char name[48];
        page_short_name(e, i - 1, name);
        right = legend(p, right, 101, name, adapter_colours[i - 1]);
    }
    legend(p, right, 101, "Base model", base_colour);
    *bottom = 132;
out:
    return status;
}

// Four settings beside each other, each with its key above its value.
static ts_status draw_settings(page *p, double top, double *bottom)
{
    enum { COLUMNS = 4 };
    ts_status status = TS_OK;
    const ts_evaluation *e = p->evaluation;
    ts_style key = page_style(p, TS_FACE_REGULAR, 13, faint_colour);
    ts_style value = page_style(p, TS_FACE_BOLD, 15, ink_colour);
    double width = (CONTENT_WIDTH - 2 * CARD_PADDING) / (double)COLUMNS;
    double y = top + CARD_PADDING - 4, next = y;
    for (size_t i = 0; i < e->setting_count; i++) {
        const ts_setting *setting = &e->settings[i];
        double x = PAGE_MARGIN + CARD_PADDING + (double)(i % COLUMNS) * width, end;
        if (i % COLUMNS == 0 && i > 0) {
            y = next + 10;
        }
        TS_TRY(
            page_paragraph(p, x, y, width - 24, &key, setting->key, strlen(setting->key), 1, &end));
        TS_TRY(page_paragraph(p, x, end, width - 24, &value, setting->value, strlen(setting->value),
                              2, &end));
        next = fmax(next, end);
    }
    *bottom = e->setting_count > 0 ? next + CARD_PADDING - 6 : top;
out:
    return status;
}

// Measures the section, draws its card, then the section.
static ts_status draw_in_card(page *p, ts_status (*section)(page *, double, double *), double top,
                              double *bottom)
{
    ts_canvas *canvas = p->canvas;
    p->canvas = &p->nothing;
    ts_status status = section(p, top, bottom);
    p->canvas = canvas;
    if (status != TS_OK || *bottom <= top) {
        return status;
    }
    page_card(p, PAGE_MARGIN, top, CONTENT_WIDTH, *bottom - top);
    status = section(p, top, bottom);
    *bottom += CARD_GAP;
    return status;
}

// The order of the rows: held-out prompts before seen ones, alternating between categories.
static ts_status order_rows(const ts_evaluation *e, size_t *order, ts_error *err)
{
    ts_status status = TS_OK;
    size_t count = e->prompts->count, placed = 0;
    bool *taken = NULL;
    TS_TRY(ts_alloc(count + 1, sizeof *taken, &taken, err));
    for (int seen = 0; seen < 2; seen++) {
        for (size_t before = placed + 1; before != placed;) {
            before = placed;
            for (int category = 0; category < TS_CATEGORY_COUNT; category++) {
                for (size_t i = 0; i < count; i++) {
                    bool was_seen = e->seen != NULL && e->seen[i];
                    if (!taken[i] && was_seen == seen &&
                        e->prompts->items[i].category == (ts_category)category) {
                        taken[i] = true;
                        order[placed++] = i;
                        break;
                    }
                }
            }
        }
    }
out:
    free(taken);
    return status;
}

static void draw_footer(page *p, double top, size_t left_out, double *bottom)
{
    ts_style style = page_style(p, TS_FACE_REGULAR, 14, soft_colour);
    char text[96] = "Every answer in full: before_after.md";
    if (left_out > 0) {
        style.face = TS_FACE_BOLD;
        snprintf(text, sizeof text, TS_ELLIPSIS " %zu more in before_after.md", left_out);
    }
    page_text(p, (PAGE_WIDTH - page_text_width(&style, text)) / 2, top + 20, &style, text);
    *bottom = top + 48;
}

static ts_status draw_page(page *p, const size_t *order, size_t *rows, double *bottom)
{
    ts_status status = TS_OK;
    enum { FOOTER_HEIGHT = 48 };
    size_t count = p->evaluation->prompts->count, shown = 0;
    uint32_t asked = p->evaluation->picture_height;
    uint32_t height = asked > 0 && asked < PAGE_MAX_HEIGHT ? asked : PAGE_MAX_HEIGHT;
    double y;
    TS_TRY(draw_banner(p, &y));
    y += 24;
    TS_TRY(draw_in_card(p, draw_settings, y, &y));
    TS_TRY(draw_in_card(p, page_metrics, y, &y));
    page_row_heads(p, y, &y);
    for (; shown < count; shown++) {
        double end;
        ts_canvas *canvas = p->canvas;
        p->canvas = &p->nothing;
        status = page_row(p, order[shown], y, &end);
        p->canvas = canvas;
        if (status != TS_OK || end + CARD_GAP + FOOTER_HEIGHT > height) {
            break;
        }
        if (p->canvas != &p->nothing) {
            page_card(p, PAGE_MARGIN, y, CONTENT_WIDTH, end - y);
            TS_TRY(page_row(p, order[shown], y, &end));
        }
        y = end + CARD_GAP;
    }
    draw_footer(p, y, count - shown, &y);
    *rows = shown;
    *bottom = y;
out:
    return status;
}

static ts_status paint(const ts_evaluation *evaluation, const ts_results *results,
                       ts_canvas *canvas, ts_error *err)
{
    ts_status status = TS_OK;
    page p = {.evaluation = evaluation, .results = results, .err = err};
    size_t *order = NULL, rows;
    double height;
    TS_TRY(ts_fonts_open(&p.fonts, err));
    TS_TRY(ts_alloc(evaluation->prompts->count + 1, sizeof *order, &order, err));
    TS_TRY(order_rows(evaluation, order, err));
    p.canvas = &p.nothing;
    TS_TRY(draw_page(&p, order, &rows, &height));
    TS_TRY(ts_canvas_create(PAGE_WIDTH, (uint32_t)ceil(height), page_colour, canvas, err));
    p.canvas = canvas;
    TS_TRY(draw_page(&p, order, &rows, &height));
out:
    ts_fonts_close(p.fonts);
    ts_lines_free(&p.lines);
    ts_text_free(&p.clean);
    free(order);
    return status;
}

ts_status ts_picture_png(const ts_evaluation *evaluation, const ts_results *results, ts_text *out,
                         ts_error *err)
{
    ts_status status = TS_OK;
    ts_canvas canvas = {0};
    TS_TRY(paint(evaluation, results, &canvas, err));
    TS_TRY(ts_canvas_png(&canvas, out, err));
out:
    ts_canvas_destroy(&canvas);
    return status;
}

ts_status ts_picture_write(const ts_evaluation *evaluation, const ts_results *results,
                           const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text png = {0};
    TS_TRY(ts_picture_png(evaluation, results, &png, err));
    TS_TRY(ts_file_write(path, png.bytes, png.len, err));
out:
    ts_text_free(&png);
    return status;
}
