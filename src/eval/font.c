#include "eval/font.h"

#include "base/memory.h"
#include "base/text.h"

#include <math.h>
#include <stdlib.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wsign-compare"
#define STBTT_STATIC
#define STB_TRUETYPE_IMPLEMENTATION
#include <stb/stb_truetype.h>
#pragma GCC diagnostic pop

// The bytes of the font files, embedded by embedded.S.
extern const unsigned char ts_font_regular[], ts_font_bold[];

struct ts_fonts {
    stbtt_fontinfo faces[TS_FACE_COUNT];
};

ts_status ts_fonts_open(ts_fonts **out, ts_error *err)
{
    static const unsigned char *const files[TS_FACE_COUNT] = {ts_font_regular, ts_font_bold};
    ts_status status = TS_OK;
    ts_fonts *fonts = NULL;
    TS_TRY(ts_alloc(1, sizeof *fonts, &fonts, err));
    for (int face = 0; face < TS_FACE_COUNT; face++) {
        if (!stbtt_InitFont(&fonts->faces[face], files[face], 0)) {
            TS_FAIL(TS_ERR_FORMAT, "embedded font %d: not a TrueType file", face);
        }
    }
    *out = fonts;
    fonts = NULL;
out:
    ts_fonts_close(fonts);
    return status;
}

void ts_fonts_close(ts_fonts *fonts)
{
    free(fonts);
}

static const stbtt_fontinfo *face_of(const ts_style *style)
{
    return &style->fonts->faces[style->face];
}

static double scale_of(const ts_style *style)
{
    return stbtt_ScaleForMappingEmToPixels(face_of(style), (float)style->size_px);
}

double ts_style_ascent(const ts_style *style)
{
    int ascent, descent, gap;
    stbtt_GetFontVMetrics(face_of(style), &ascent, &descent, &gap);
    return round(ascent * scale_of(style) + 0.1 * style->size_px);
}

double ts_style_line_height(const ts_style *style)
{
    // More than the font's own 1.16, so that long answers are easier to read.
    return round(1.42 * style->size_px);
}

// Code points that take no room and show nothing: joiners, direction marks, variation selectors,
// the byte order mark.
static bool is_invisible(int32_t cp)
{
    return cp == 0xAD || (cp >= 0x200B && cp <= 0x200F) || (cp >= 0x202A && cp <= 0x202E) ||
           (cp >= 0x2060 && cp <= 0x2069) || (cp >= 0xFE00 && cp <= 0xFE0F) || cp == 0xFEFF ||
           (cp >= 0xE0000 && cp <= 0xE0FFF);
}

ts_glyph ts_style_glyph(const ts_style *style, const char *bytes, size_t len)
{
    ts_glyph glyph = {0};
    int32_t cp = ts_utf8_decode(bytes, len, &glyph.bytes_taken);
    if (cp == '\n' || cp == '\r' || is_invisible(cp)) {
        return glyph;
    }
    bool tab = cp == '\t', space = tab || cp == ' ' || cp == 0xA0;
    if (cp < 0x20 || (cp >= 0x7F && cp < 0xA0)) {
        cp = tab ? ' ' : 0xFFFD;
    }
    int advance = 0, bearing = 0;
    glyph.index = stbtt_FindGlyphIndex(face_of(style), cp);
    stbtt_GetGlyphHMetrics(face_of(style), glyph.index, &advance, &bearing);
    glyph.advance_px = advance * scale_of(style) * (tab ? 4 : 1);
    glyph.visible = !space;
    return glyph;
}

double ts_style_width(const ts_style *style, const char *bytes, size_t len)
{
    double width = 0;
    for (size_t at = 0; at < len;) {
        ts_glyph glyph = ts_style_glyph(style, bytes + at, len - at);
        width += glyph.advance_px;
        at += glyph.bytes_taken;
    }
    return width;
}

uint8_t *ts_style_bitmap(const ts_style *style, int index, double shift_px, int *width, int *height,
                         int *x, int *y)
{
    float scale = (float)scale_of(style);
    return stbtt_GetGlyphBitmapSubpixel(face_of(style), scale, scale, (float)shift_px, 0, index,
                                        width, height, x, y);
}

void ts_style_free_bitmap(uint8_t *bitmap)
{
    stbtt_FreeBitmap(bitmap, NULL);
}

static bool is_break(char c)
{
    return c == ' ' || c == '\t';
}

// Finds the first line of text[0..len). *line is what to show; returns where the next line starts.
static size_t take_line(const ts_style *style, const char *text, size_t len, double width_px,
                        ts_line *line)
{
    size_t at = 0, end = 0, next = 0; // end, next: of the last place to break, if next > 0
    double width = 0, end_width = 0;
    bool blank = true; // the line has no word yet
    *line = (ts_line){.bytes = text};
    while (at < len && text[at] != '\n') {
        ts_glyph glyph = ts_style_glyph(style, text + at, len - at);
        if (is_break(text[at])) {
            if (!blank && next != at) {
                end = at, end_width = width;
            }
            next = blank ? 0 : at + 1;
        } else if (width + glyph.advance_px > width_px && at > 0) {
            if (next == 0 && !blank) { // break inside a word
                end = at, end_width = width;
            }
            line->len = end;
            line->width_px = end_width;
            return next > 0 ? next : at;
        } else {
            blank = false;
        }
        width += glyph.advance_px;
        at += glyph.bytes_taken;
    }
    bool hanging = blank || next == at; // spaces at the end of a line take no width
    line->len = hanging ? end : at;
    line->width_px = hanging ? end_width : width;
    return at < len ? at + 1 : at;
}

// Shortens a line so that an ellipsis fits after it.
static void cut_line(const ts_style *style, double width_px, ts_line *line)
{
    double room = width_px - ts_style_width(style, TS_ELLIPSIS, sizeof TS_ELLIPSIS - 1), width = 0;
    size_t at = 0;
    while (at < line->len) {
        ts_glyph glyph = ts_style_glyph(style, line->bytes + at, line->len - at);
        if (width + glyph.advance_px > room) {
            break;
        }
        width += glyph.advance_px;
        at += glyph.bytes_taken;
    }
    while (at > 0 && is_break(line->bytes[at - 1])) {
        at--;
    }
    line->len = at;
    line->width_px = ts_style_width(style, line->bytes, at);
    line->cut = true;
}

ts_status ts_lines_wrap(ts_lines *lines, const ts_style *style, const char *text, size_t len,
                        double width_px, size_t max_lines, ts_error *err)
{
    lines->count = 0;
    for (size_t at = 0; at < len;) {
        if (lines->count == max_lines) {
            while (lines->count > 1 && lines->items[lines->count - 1].len == 0) {
                lines->count--; // the ellipsis follows a word, not an empty line
            }
            if (lines->count > 0) {
                cut_line(style, width_px, &lines->items[lines->count - 1]);
            }
            break;
        }
        ts_status status =
            ts_grow(&lines->items, &lines->capacity, lines->count + 1, sizeof *lines->items, err);
        if (status != TS_OK) {
            return status;
        }
        at += take_line(style, text + at, len - at, width_px, &lines->items[lines->count++]);
    }
    return TS_OK;
}

void ts_lines_free(ts_lines *lines)
{
    free(lines->items);
    *lines = (ts_lines){0};
}
