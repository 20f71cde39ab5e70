#include "eval/canvas.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wshadow"
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

enum { MAX_SIDE = 32767 }; // keeps the sizes in stb_image_write within an int

ts_status ts_canvas_create(uint32_t width, uint32_t height, ts_colour background, ts_canvas *out,
                           ts_error *err)
{
    ts_status status = TS_OK;
    uint64_t pixels = (uint64_t)width * height;
    if (width < 1 || height < 1 || width > MAX_SIDE || height > MAX_SIDE || pixels > 1u << 28) {
        TS_FAIL(TS_ERR_ARGUMENT, "canvas: %u x %u pixels, expected sides from 1 to %d", width,
                height, MAX_SIDE);
    }
    TS_TRY(ts_alloc(pixels, 3, &out->pixels, err));
    out->width = width;
    out->height = height;
    for (uint64_t i = 0; i < pixels; i++) {
        uint8_t *p = out->pixels + 3 * i;
        p[0] = background.r, p[1] = background.g, p[2] = background.b;
    }
out:
    return status;
}

void ts_canvas_destroy(ts_canvas *canvas)
{
    free(canvas->pixels);
    *canvas = (ts_canvas){0};
}

// Blends `colour` over the pixel with a coverage from 0 to 1.
static void blend(ts_canvas *canvas, int x, int y, double coverage, ts_colour colour)
{
    uint8_t *p = canvas->pixels + 3 * ((size_t)y * canvas->width + (size_t)x);
    const uint8_t over[3] = {colour.r, colour.g, colour.b};
    for (int c = 0; c < 3; c++) {
        p[c] = (uint8_t)lround(p[c] + (over[c] - p[c]) * coverage);
    }
}

// The range of pixels that a shape between two coordinates can touch, clipped to the canvas.
static void clip(double low, double high, uint32_t side, int *from, int *to)
{
    *from = low < 0 ? 0 : low > side ? (int)side : (int)floor(low);
    *to = high < 0 ? 0 : high > side ? (int)side : (int)ceil(high);
}

// The coverage of a pixel, from the signed distance between its centre and a shape's edge (negative
// inside).
static double coverage_at(double distance)
{
    return distance <= -0.5 ? 1 : distance >= 0.5 ? 0 : 0.5 - distance;
}

void ts_canvas_box(ts_canvas *canvas, double x, double y, double width, double height,
                   double radius, ts_colour colour)
{
    int x0, x1, y0, y1;
    clip(x, x + width, canvas->width, &x0, &x1);
    clip(y, y + height, canvas->height, &y0, &y1);
    double half_w = width / 2, half_h = height / 2;
    radius = fmin(radius, fmin(half_w, half_h));
    for (int row = y0; row < y1; row++) {
        double dy = fabs(row + 0.5 - y - half_h) - half_h + radius;
        for (int column = x0; column < x1; column++) {
            double dx = fabs(column + 0.5 - x - half_w) - half_w + radius;
            double outside = hypot(fmax(dx, 0), fmax(dy, 0)), inside = fmin(fmax(dx, dy), 0);
            double coverage = coverage_at(outside + inside - radius);
            if (coverage > 0) {
                blend(canvas, column, row, coverage, colour);
            }
        }
    }
}

void ts_canvas_line(ts_canvas *canvas, double x0, double y0, double x1, double y1, double thickness,
                    ts_colour colour)
{
    double half = thickness / 2, dx = x1 - x0, dy = y1 - y0, length2 = dx * dx + dy * dy;
    int left, right, top, bottom;
    clip(fmin(x0, x1) - half - 1, fmax(x0, x1) + half + 1, canvas->width, &left, &right);
    clip(fmin(y0, y1) - half - 1, fmax(y0, y1) + half + 1, canvas->height, &top, &bottom);
    for (int row = top; row < bottom; row++) {
        for (int column = left; column < right; column++) {
            double px = column + 0.5 - x0, py = row + 0.5 - y0;
            double along = length2 > 0 ? (px * dx + py * dy) / length2 : 0;
            along = fmin(fmax(along, 0), 1);
            double coverage = coverage_at(hypot(px - along * dx, py - along * dy) - half);
            if (coverage > 0) {
                blend(canvas, column, row, coverage, colour);
            }
        }
    }
}

void ts_canvas_mark(ts_canvas *canvas, double x, double y, double size, bool yes, ts_colour colour)
{
    double s = size, thick = size / 6;
    if (yes) {
        ts_canvas_line(canvas, x + 0.12 * s, y + 0.55 * s, x + 0.38 * s, y + 0.82 * s, thick,
                       colour);
        ts_canvas_line(canvas, x + 0.38 * s, y + 0.82 * s, x + 0.90 * s, y + 0.20 * s, thick,
                       colour);
    } else {
        ts_canvas_line(canvas, x + 0.18 * s, y + 0.18 * s, x + 0.82 * s, y + 0.82 * s, thick,
                       colour);
        ts_canvas_line(canvas, x + 0.82 * s, y + 0.18 * s, x + 0.18 * s, y + 0.82 * s, thick,
                       colour);
    }
}

static void draw_glyph(ts_canvas *canvas, double x, double y, const ts_style *style, int index)
{
    // Rounded to a quarter pixel, which looks smooth enough.
    double whole = floor(x), shift = floor(4 * (x - whole)) / 4;
    int width, height, left, top;
    uint8_t *bitmap = ts_style_bitmap(style, index, shift, &width, &height, &left, &top);
    for (int row = 0; bitmap != NULL && row < height; row++) {
        for (int column = 0; column < width; column++) {
            double px = whole + left + column, py = y + top + row;
            uint8_t coverage = bitmap[row * width + column];
            if (coverage > 0 && px >= 0 && py >= 0 && px < canvas->width && py < canvas->height) {
                blend(canvas, (int)px, (int)py, coverage / 255.0, style->colour);
            }
        }
    }
    ts_style_free_bitmap(bitmap);
}

static void draw_missing(ts_canvas *canvas, double x, double y, const ts_style *style,
                         double advance)
{
    double left = x + 0.12 * advance, right = x + 0.88 * advance, top = y - 0.72 * style->size_px;
    ts_canvas_line(canvas, left, top, right, top, 1, style->colour);
    ts_canvas_line(canvas, right, top, right, y, 1, style->colour);
    ts_canvas_line(canvas, right, y, left, y, 1, style->colour);
    ts_canvas_line(canvas, left, y, left, top, 1, style->colour);
}

double ts_canvas_text(ts_canvas *canvas, double x, double y, const ts_style *style,
                      const char *bytes, size_t len)
{
    y = round(y);
    bool outside = y < -2 * style->size_px || y > canvas->height + 2 * style->size_px;
    for (size_t at = 0; at < len;) {
        ts_glyph glyph = ts_style_glyph(style, bytes + at, len - at);
        if (glyph.visible && !outside && x < canvas->width) {
            if (glyph.index == 0) {
                draw_missing(canvas, x, y, style, glyph.advance_px);
            } else {
                draw_glyph(canvas, x, y, style, glyph.index);
            }
        }
        x += glyph.advance_px;
        at += glyph.bytes_taken;
    }
    return x;
}

double ts_canvas_lines(ts_canvas *canvas, double x, double top, const ts_style *style,
                       const ts_lines *lines, ts_colour cut)
{
    double ascent = ts_style_ascent(style), line_height = ts_style_line_height(style);
    for (size_t i = 0; i < lines->count; i++) {
        const ts_line *line = &lines->items[i];
        double end = ts_canvas_text(canvas, x, top + ascent, style, line->bytes, line->len);
        if (line->cut) {
            ts_style mark = *style;
            mark.colour = cut;
            mark.face = TS_FACE_BOLD;
            ts_canvas_text(canvas, end, top + ascent, &mark, TS_ELLIPSIS, sizeof TS_ELLIPSIS - 1);
        }
        top += line_height;
    }
    return top;
}

// Where stb_image_write appends the bytes of the PNG file.
typedef struct png_sink {
    ts_text *out;
    ts_status status;
    ts_error *err;
} png_sink;

static void take_bytes(void *user, void *bytes, int len)
{
    png_sink *sink = user;
    sink->status = ts_text_append(sink->out, bytes, (size_t)len, sink->err);
}

ts_status ts_canvas_png(const ts_canvas *canvas, ts_text *out, ts_error *err)
{
    png_sink sink = {out, TS_OK, err};
    int width = (int)canvas->width, height = (int)canvas->height;
    if (!stbi_write_png_to_func(take_bytes, &sink, width, height, 3, canvas->pixels, 3 * width)) {
        return ts_error_set(err, TS_ERR_MEMORY, "png: no memory for %d x %d pixels", width, height);
    }
    return sink.status;
}
