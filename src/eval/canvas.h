// Pictures drawn on the CPU, without a display: an RGB canvas with shapes and text, written as PNG.
// The same calls give the same bytes. Whatever lies outside the canvas is clipped. So the drawing
// calls on an empty canvas draw nothing but still return positions, which measures a layout.
#ifndef TS_EVAL_CANVAS_H
#define TS_EVAL_CANVAS_H

#include "base/text.h"
#include "eval/font.h"

typedef struct ts_canvas {
    uint32_t width, height; // in pixels
    uint8_t *pixels;        // [height, width, 3]: red, green, blue
} ts_canvas;

// Starts zeroed, which is an empty canvas. Width and height are from 1 to 32,767.
ts_status ts_canvas_create(uint32_t width, uint32_t height, ts_colour background, ts_canvas *out,
                           ts_error *err);
void ts_canvas_destroy(ts_canvas *canvas);

// All coordinates are in pixels from the top left corner; edges are anti-aliased.
void ts_canvas_box(ts_canvas *canvas, double x, double y, double width, double height,
                   double radius, ts_colour colour);
void ts_canvas_line(ts_canvas *canvas, double x0, double y0, double x1, double y1, double thickness,
                    ts_colour colour);
// A tick (yes) or a cross in a square of side `size`.
void ts_canvas_mark(ts_canvas *canvas, double x, double y, double size, bool yes, ts_colour colour);

// Draws one line of text with its baseline at y. Invalid UTF-8 is drawn as U+FFFD, a character that
// the font lacks as a box. Returns the x of the text's end.
double ts_canvas_text(ts_canvas *canvas, double x, double y, const ts_style *style,
                      const char *bytes, size_t len);
// Draws wrapped lines, the first baseline one ascent below `top`. A line that was cut ends in an
// ellipsis of colour `cut`. Returns the y of the bottom.
double ts_canvas_lines(ts_canvas *canvas, double x, double top, const ts_style *style,
                       const ts_lines *lines, ts_colour cut);

// Appends the picture as a PNG file to *out.
ts_status ts_canvas_png(const ts_canvas *canvas, ts_text *out, ts_error *err);

#endif
