// Text in pixels: the embedded font, its measures, and text wrapped to a width.
#ifndef TS_EVAL_FONT_H
#define TS_EVAL_FONT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ts_colour {
    uint8_t r, g, b;
} ts_colour;

typedef enum ts_face { TS_FACE_REGULAR, TS_FACE_BOLD, TS_FACE_COUNT } ts_face;

typedef struct ts_fonts ts_fonts;
ts_status ts_fonts_open(ts_fonts **out, ts_error *err);
void ts_fonts_close(ts_fonts *fonts); // NULL is fine

typedef struct ts_style {
    const ts_fonts *fonts;
    ts_face face;
    double size_px; // of the em square
    ts_colour colour;
} ts_style;

double ts_style_ascent(const ts_style *style);      // from a line's top down to its baseline
double ts_style_line_height(const ts_style *style); // whole pixels
double ts_style_width(const ts_style *style, const char *bytes, size_t len);

// One line of wrapped text: a part of the caller's bytes, which must outlive it.
typedef struct ts_line {
    const char *bytes;
    size_t len;
    double width_px;
    bool cut; // ends in an ellipsis, since the text after this line is left out
} ts_line;

// Starts zeroed.
typedef struct ts_lines {
    ts_line *items;
    size_t count, capacity;
} ts_lines;

// Replaces *lines by text[0..len) wrapped to `width_px`. Lines are broken at spaces, inside a word
// only if the word alone is too wide, and never inside a code point. Newlines are kept. Text that
// needs more than `max_lines` is cut, and its last line is shortened to make room for an ellipsis.
ts_status ts_lines_wrap(ts_lines *lines, const ts_style *style, const char *text, size_t len,
                        double width_px, size_t max_lines, ts_error *err);
void ts_lines_free(ts_lines *lines);

// The first character of a text, for drawing.
typedef struct ts_glyph {
    int index;          // in the font; 0: the font lacks it, and a box is drawn
    double advance_px;  // 0 if it takes no room
    size_t bytes_taken; // how many bytes of the text it is
    bool visible;       // false: white space or an invisible code point
} ts_glyph;
ts_glyph ts_style_glyph(const ts_style *style, const char *bytes, size_t len);

// The coverage of a glyph, 0 to 255, [height, width], shifted right by shift_px (0 to 1). (x, y) is
// its top left corner relative to the start of the glyph on the baseline. NULL if nothing is drawn.
// Release it with ts_style_free_bitmap.
uint8_t *ts_style_bitmap(const ts_style *style, int index, double shift_px, int *width, int *height,
                         int *x, int *y);
void ts_style_free_bitmap(uint8_t *bitmap);

#define TS_ELLIPSIS "\xE2\x80\xA6" // UTF-8

#endif
