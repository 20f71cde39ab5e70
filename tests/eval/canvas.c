#include "eval/canvas.h"

#include "sample.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const ts_colour white = {255, 255, 255}, black = {0, 0, 0}, red = {255, 0, 0};

static ts_fonts *fonts;
static void open_fonts(void)
{
    ts_error err = {0};
    cr_assert_eq(ts_fonts_open(&fonts, &err), TS_OK, "%s", err.message);
}
static void close_fonts(void)
{
    ts_fonts_close(fonts);
}

static ts_style plain(void)
{
    return (ts_style){fonts, TS_FACE_REGULAR, 16, black};
}

static ts_canvas make(uint32_t width, uint32_t height)
{
    ts_canvas canvas = {0};
    ts_error err = {0};
    cr_assert_eq(ts_canvas_create(width, height, white, &canvas, &err), TS_OK, "%s", err.message);
    return canvas;
}

static const uint8_t *at(const ts_canvas *canvas, int x, int y)
{
    return canvas->pixels + 3 * (y * (int)canvas->width + x);
}

static size_t count_dark(const ts_canvas *canvas)
{
    size_t dark = 0;
    for (size_t i = 0; i < (size_t)canvas->width * canvas->height; i++) {
        dark += canvas->pixels[3 * i + 1] < 128;
    }
    return dark;
}

Test(canvas, sizes_refused)
{
    ts_canvas canvas = {0};
    ts_error err = {0};
    cr_assert_eq(ts_canvas_create(0, 5, white, &canvas, &err), TS_ERR_ARGUMENT);
    cr_assert_eq(ts_canvas_create(5, 40000, white, &canvas, &err), TS_ERR_ARGUMENT);
    cr_assert_eq(ts_canvas_create(32767, 32767, white, &canvas, &err), TS_ERR_ARGUMENT);
    ts_canvas_destroy(&canvas);
}

Test(canvas, box_to_the_pixel)
{
    ts_canvas canvas = make(10, 8);
    ts_canvas_box(&canvas, 2, 3, 4, 2, 0, black);
    for (int y = 0; y < 8; y++) {
        for (int x = 0; x < 10; x++) {
            bool inside = x >= 2 && x < 6 && y >= 3 && y < 5;
            cr_assert_eq(at(&canvas, x, y)[0], inside ? 0 : 255, "%d, %d", x, y);
        }
    }
    ts_canvas_destroy(&canvas);
}

Test(canvas, half_a_pixel_is_half_as_dark)
{
    ts_canvas canvas = make(4, 4);
    ts_canvas_box(&canvas, 1.5, 0, 2, 4, 0, black);
    cr_assert_eq(at(&canvas, 1, 2)[0], 128);
    cr_assert_eq(at(&canvas, 2, 2)[0], 0);
    ts_canvas_destroy(&canvas);
}

Test(canvas, everything_outside_is_clipped, .init = open_fonts, .fini = close_fonts)
{
    ts_canvas canvas = make(20, 20), nothing = {0};
    ts_style style = plain();
    ts_canvas *both[] = {&canvas, &nothing};
    for (int i = 0; i < 2; i++) {
        ts_canvas_box(both[i], -1e12, -1e12, 10, 10, 3, black);
        ts_canvas_box(both[i], 1e12, 5, 1e12, 10, 3, black);
        ts_canvas_line(both[i], -50, -50, -20, -60, 5, black);
        ts_canvas_text(both[i], -500, 10, &style, "left", 4);
        ts_canvas_text(both[i], 5, 5000, &style, "below", 5);
        ts_canvas_text(both[i], 500, 10, &style, "right", 5);
    }
    cr_assert_eq(count_dark(&canvas), 0);
    ts_canvas_text(&canvas, -3, 12, &style, "across", 6);
    cr_assert_gt(count_dark(&canvas), 0);
    ts_canvas_destroy(&canvas);
}

Test(canvas, marks_differ)
{
    ts_canvas yes = make(20, 20), no = make(20, 20);
    ts_canvas_mark(&yes, 2, 2, 16, true, black);
    ts_canvas_mark(&no, 2, 2, 16, false, black);
    cr_assert_gt(count_dark(&yes), 15);
    cr_assert_gt(count_dark(&no), 15);
    cr_assert_neq(memcmp(yes.pixels, no.pixels, 20 * 20 * 3), 0);
    ts_canvas_destroy(&yes);
    ts_canvas_destroy(&no);
}

Test(canvas, png_reads_back)
{
    ts_canvas canvas = make(37, 11);
    ts_text png = {0};
    ts_canvas_box(&canvas, 5, 2, 20, 5, 2, red);
    cr_assert_eq(ts_canvas_png(&canvas, &png, NULL), TS_OK);
    decoded d = sample_decode(&png);
    cr_assert(d.width == 37 && d.height == 11);
    cr_assert_arr_eq(d.pixels, canvas.pixels, 37 * 11 * 3);
    sample_decoded_free(&d);
    ts_text_free(&png);
    ts_canvas_destroy(&canvas);
}

Test(font, glyphs_are_drawn_and_missing_ones_boxed, .init = open_fonts, .fini = close_fonts)
{
    static const char *const texts[] = {"A",    "\xC3\xA9",     "\xE2\x86\x92", "\xF0\x92\x80\x80",
                                        "\xFF", "\xEF\xBF\xBD", "\x07"};
    for (int face = 0; face < TS_FACE_COUNT; face++) {
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            ts_canvas canvas = make(40, 40);
            ts_style style = plain();
            style.face = (ts_face)face, style.size_px = 24;
            double end = ts_canvas_text(&canvas, 4, 30, &style, texts[i], strlen(texts[i]));
            double width = ts_style_width(&style, texts[i], strlen(texts[i]));
            cr_assert_gt(count_dark(&canvas), 8, "text %zu", i);
            cr_assert_float_eq(end, 4 + width, 1e-9);
            ts_canvas_destroy(&canvas);
        }
    }
    ts_style style = plain();
    cr_assert_eq(ts_style_glyph(&style, "\xF0\x92\x80\x80", 4).index, 0);
    cr_assert_eq(ts_style_width(&style, "\xE2\x80\x8D\xEF\xB8\x8F\n", 7), 0);
}

static ts_lines wrap(const ts_style *style, const char *text, double width, size_t max_lines)
{
    ts_lines lines = {0};
    ts_error err = {0};
    ts_status status = ts_lines_wrap(&lines, style, text, strlen(text), width, max_lines, &err);
    cr_assert_eq(status, TS_OK, "%s", err.message);
    return lines;
}

static void assert_lines(ts_lines lines, const char *const *expected, size_t count)
{
    cr_assert_eq(lines.count, count, "%zu lines, expected %zu", lines.count, count);
    for (size_t i = 0; i < count; i++) {
        const ts_line *line = &lines.items[i];
        cr_assert_eq(line->len, strlen(expected[i]), "line %zu: '%.*s'", i, (int)line->len,
                     line->bytes);
        cr_assert_eq(memcmp(line->bytes, expected[i], line->len), 0, "line %zu: '%.*s'", i,
                     (int)line->len, line->bytes);
    }
    ts_lines_free(&lines);
}
#define ASSERT_LINES(lines, ...)                                                                   \
    assert_lines((lines), (const char *[]){__VA_ARGS__},                                           \
                 sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *))

Test(lines, wrapped_at_words, .init = open_fonts, .fini = close_fonts)
{
    ts_style style = plain();
    double width = ts_style_width(&style, "one two", 7) + 0.5;
    ASSERT_LINES(wrap(&style, "one two one two", width, 9), "one two", "one two");
    ASSERT_LINES(wrap(&style, "one two   one", width, 9), "one two", "one");
    ASSERT_LINES(wrap(&style, "one\n\ntwo\n", width, 9), "one", "", "two");
    ASSERT_LINES(wrap(&style, "  one two", width, 9), "  one", "two");
    ASSERT_LINES(wrap(&style, "one  ", width, 9), "one");
    ASSERT_LINES(wrap(&style, "  \n                            one", width, 9), "", "", "one");
    ASSERT_LINES(wrap(&style, "oneoneoneone", ts_style_width(&style, "oneo", 4) + 0.5, 9), "oneo",
                 "neon", "eone");
    ASSERT_LINES(wrap(&style, "\xC3\xA9\xC3\xA9", 1, 9), "\xC3\xA9", "\xC3\xA9");
    cr_assert_eq(wrap(&style, "", width, 9).count, 0);
}

Test(lines, cut_with_a_mark, .init = open_fonts, .fini = close_fonts)
{
    ts_style style = plain();
    double width = ts_style_width(&style, "one two", 7) + 0.5;
    ts_lines whole = wrap(&style, "one two one two", width, 2);
    cr_assert_not(whole.items[1].cut);
    ts_lines cut = wrap(&style, "one two one two three", width, 2);
    cr_assert_eq(cut.count, 2);
    cr_assert(!cut.items[0].cut && cut.items[1].cut);
    double mark = ts_style_width(&style, TS_ELLIPSIS, strlen(TS_ELLIPSIS));
    cr_assert_leq(cut.items[1].width_px + mark, width);
    ts_lines blank = wrap(&style, "one\n\n\nfour", width, 3);
    cr_assert(blank.count == 1 && blank.items[0].cut);

    ts_canvas marked = make(120, 60), unmarked = make(120, 60);
    ts_canvas_lines(&marked, 2, 2, &style, &cut, red);
    ts_canvas_lines(&unmarked, 2, 2, &style, &whole, red);
    size_t reds[2] = {0};
    for (int i = 0; i < 120 * 60; i++) {
        reds[0] += marked.pixels[3 * i] > 200 && marked.pixels[3 * i + 1] < 100;
        reds[1] += unmarked.pixels[3 * i] > 200 && unmarked.pixels[3 * i + 1] < 100;
    }
    cr_assert_gt(reds[0], 3);
    cr_assert_eq(reds[1], 0);
    ts_canvas_destroy(&marked);
    ts_canvas_destroy(&unmarked);
    ts_lines_free(&whole);
    ts_lines_free(&cut);
    ts_lines_free(&blank);
}

// Whatever the text: the lines fit, are in order, hold every byte but the white space between them,
// and begin where a code point begins.
Test(lines, hostile_texts, .init = open_fonts, .fini = close_fonts)
{
    const hostile *texts;
    size_t count = sample_hostile(&texts);
    ts_style style = plain();
    for (size_t t = 0; t < count; t++) {
        ts_lines lines = {0};
        const char *from = texts[t].text, *end = from + texts[t].len;
        cr_assert_eq(ts_lines_wrap(&lines, &style, from, texts[t].len, 90, SIZE_MAX, NULL), TS_OK);
        for (size_t i = 0; i < lines.count; i++) {
            const ts_line *line = &lines.items[i];
            cr_assert_leq(line->width_px, 90 + 1e-9, "text %zu, line %zu", t, i);
            cr_assert_float_eq(line->width_px, ts_style_width(&style, line->bytes, line->len), 1e-6,
                               "text %zu, line %zu", t, i);
            for (; from < line->bytes; from++) {
                cr_assert_not_null(memchr(" \t\n", *from, 3), "text %zu, line %zu", t, i);
            }
            from = line->bytes + line->len;
            cr_assert_leq(from, end);
        }
        for (; from < end; from++) {
            cr_assert_not_null(memchr(" \t\n", *from, 3), "text %zu: lost its end", t);
        }
        ts_lines_free(&lines);
    }
}
