// Internal interfaces of the files that draw the picture (picture*.c).
//
// Each section draws itself from `top` down and returns its bottom. On an empty canvas it draws
// nothing, which gives the height of a section before its background is drawn.
#ifndef TS_EVAL_PICTURE_PARTS_H
#define TS_EVAL_PICTURE_PARTS_H

#include "eval/canvas.h"
#include "eval/report.h"

enum {
    PAGE_WIDTH = 1600,
    PAGE_MAX_HEIGHT = 12000,
    PAGE_MARGIN = 48,
    CONTENT_WIDTH = PAGE_WIDTH - 2 * PAGE_MARGIN,
    CARD_PADDING = 22,
    CARD_GAP = 14,
};

typedef struct page {
    const ts_evaluation *evaluation;
    const ts_results *results;
    ts_canvas *canvas; // the empty one while measuring
    ts_canvas nothing; // the empty canvas
    ts_fonts *fonts;
    ts_lines lines; // scratch
    ts_text clean;  // scratch
    ts_error *err;
} page;

// The palette.
extern const ts_colour page_colour, card_colour, edge_colour, night_colour, ink_colour, soft_colour,
    faint_colour, track_colour, base_colour, base_dark_colour, tuned_colour, tuned_dark_colour,
    good_colour, good_tint, bad_colour, bad_tint, neutral_tint, white_colour;
// Of each adapter; those of the first are tuned_colour and tuned_dark_colour.
extern const ts_colour adapter_colours[TS_MOST_ADAPTERS], adapter_dark_colours[TS_MOST_ADAPTERS];

ts_style page_style(const page *p, ts_face face, double size_px, ts_colour colour);
// Draws one line of the program's own text; returns the x of its end.
double page_text(page *p, double x, double baseline, const ts_style *style, const char *text);
double page_text_width(const ts_style *style, const char *text);
// Draws text from a model or a file, cleaned, wrapped and cut; *bottom is its bottom.
ts_status page_paragraph(page *p, double x, double top, double width, const ts_style *style,
                         const char *text, size_t len, size_t max_lines, double *bottom);
// Draws a word in a rounded box 24 pixels high; returns the x of the box's right side.
double page_pill(page *p, double x, double top, const char *text, ts_colour box, ts_colour ink);
// What an adapter is called where there is little room: long names are cut at their beginning.
void page_short_name(const ts_evaluation *evaluation, size_t adapter, char out[48]);
void page_card(page *p, double x, double top, double width, double height);

// Draws the figures that are no counts, of the base and `count` - 1 tuned models; returns the
// bottom.
double page_estimates(page *p, double x, double top, const ts_summary *const *models, size_t count);
// The dark colour of a model: 0 is the base.
ts_colour page_model_colour(size_t model);

ts_status page_metrics(page *p, double top, double *bottom);
void page_row_heads(page *p, double top, double *bottom);
ts_status page_row(page *p, size_t index, double top, double *bottom);

#endif
