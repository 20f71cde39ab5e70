#include "base/text.h"

#include "base/memory.h"
#include "base_test.h"

#include <criterion/criterion.h>
#include <string.h>

Test(utf8, every_code_point_survives_a_round_trip)
{
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        char bytes[4];
        size_t len, taken;
        if (cp == 0xD800) {
            cp = 0xE000; // surrogates are no characters
        }
        len = ts_utf8_encode(cp, bytes);
        cr_assert_eq(ts_utf8_decode(bytes, len, &taken), (int32_t)cp);
        cr_assert_eq(taken, len);
        cr_assert_eq(ts_utf8_decode(bytes, len - 1, &taken), -1);
    }
}

Test(utf8, refuses_what_is_not)
{
    static const char *const cases[] = {
        "\x80",
        "\xBF",
        "\xC0\x80",
        "\xC1\xBF",
        "\xC3",
        "\xC3(",
        "\xE0\x9F\xBF",
        "\xE2\x96",
        "\xED\xA0\x80",
        "\xED\xBF\xBF",
        "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80",
        "\xF5\x80\x80\x80",
        "\xFE",
        "\xFF",
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        size_t taken;
        cr_expect_eq(ts_utf8_decode(cases[i], strlen(cases[i]), &taken), -1, "case %zu", i);
        cr_expect_eq(taken, 1);
    }
    cr_expect_eq(ts_utf8_valid_prefix("ab\xC3\xA9\xFFz", 6), 4);
    cr_expect_eq(ts_utf8_valid_prefix("ab", 2), 2);
    cr_expect_eq(ts_utf8_valid_prefix(NULL, 0), 0);
}

Test(text, grows_and_formats)
{
    ts_text text = {0};
    ts_error err = {0};
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(ts_text_format(&text, &err, "%03d", i), TS_OK);
    }
    cr_expect_eq(text.len, 3000);
    cr_expect_eq(strlen(text.bytes), 3000);
    cr_expect_str_eq(text.bytes + 2997, "999");
    ts_text_clear(&text);
    cr_assert_eq(ts_text_append(&text, "a\0b", 3, &err), TS_OK);
    cr_expect_eq(text.len, 3);
    cr_expect_eq(text.bytes[3], '\0');
    ts_text_free(&text);
    cr_expect_null(text.bytes);
}

Test(memory, refuses_sizes_that_overflow)
{
    ts_error err = {0};
    ts_arena arena = {0};
    void *p = NULL;
    size_t capacity = 0;
    cr_expect_eq(ts_alloc(SIZE_MAX / 4, 8, &p, &err), TS_ERR_MEMORY);
    cr_expect_eq(ts_grow(&p, &capacity, SIZE_MAX / 4, 8, &err), TS_ERR_MEMORY);
    cr_expect_eq(ts_arena_alloc(&arena, SIZE_MAX / 4, 8, &p, &err), TS_ERR_MEMORY);
    cr_expect_eq(ts_arena_alloc(&arena, SIZE_MAX - 20, 1, &p, &err), TS_ERR_MEMORY);
    cr_expect_eq(capacity, 0);
    ts_arena_free(&arena);
}

Test(memory, arena_memory_is_zero_aligned_and_apart)
{
    ts_error err = {0};
    ts_arena arena = {0};
    unsigned char *last = NULL;
    for (size_t size = 1; size < 200000; size = size * 3 + 1) {
        unsigned char *p = NULL;
        cr_assert_eq(ts_arena_alloc(&arena, size, 1, &p, &err), TS_OK);
        cr_assert_eq((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < size; i++) {
            cr_assert_eq(p[i], 0);
            p[i] = 0xAA;
        }
        cr_assert_neq(p, last);
        last = p;
    }
    ts_arena_free(&arena);
}

Test(error, context_goes_before)
{
    ts_error err = {0};
    cr_expect_eq(ts_error_set(&err, TS_ERR_IO, "disk %d", 7), TS_ERR_IO);
    cr_expect_eq(ts_error_context(&err, "resume"), TS_ERR_IO);
    cr_expect_str_eq(err.message, "resume: disk 7");
    for (int i = 0; i < 300; i++) {
        ts_error_context(&err, "again %d", i);
    }
    cr_expect_eq(strlen(err.message), sizeof err.message - 1);
    cr_expect_eq(ts_error_set(NULL, TS_ERR_IO, "nobody listens"), TS_ERR_IO);
}

Test(error, a_message_too_long_ends_in_a_whole_character)
{
    for (size_t shift = 0; shift < 4; shift++) {
        char longer[2000] = "aaaa";
        ts_error err = {0};
        for (size_t at = shift; at + 4 < sizeof longer; at += 4) {
            memcpy(longer + at, "\xF0\x9F\x98\x80", 5);
        }
        ts_error_set(&err, TS_ERR_IO, "%s", longer);
        size_t len = strlen(err.message);
        cr_expect_eq(ts_utf8_valid_prefix(err.message, len), len, "set, shifted by %zu", shift);
        cr_expect_geq(len, sizeof err.message - 4);
        ts_error_context(&err, "x");
        len = strlen(err.message);
        cr_expect_eq(ts_utf8_valid_prefix(err.message, len), len, "context, shifted by %zu", shift);
    }
}

Test(text, numbers_in_few_digits)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {3, "3"},
                 {1000, "1000"},
                 {-20, "-20"},
                 {0.1, "0.1"},
                 {5e-5, "5e-05"},
                 {1e15, "1e+15"},
                 {1.5e300, "1.5e+300"},
                 {1.0 / 3, "0.3333333333333333"},
                 {0.1 + 0.2, "0.30000000000000004"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[TS_NUMBER_BYTES];
        ts_text_number(cases[i].value, text);
        cr_expect_str_eq(text, cases[i].text);
    }
}

Test(text, lists)
{
    static const char *const items[] = {"a", "b", "c"};
    for (size_t count = 1; count <= 3; count++) {
        ts_text list = {0};
        ts_error err = {0};
        for (size_t i = 0; i < count; i++) {
            cr_assert_eq(ts_text_list(&list, i + 1 == count ? " or " : ", ", items[i], &err),
                         TS_OK);
        }
        cr_assert_str_eq(list.bytes, count == 1 ? "a" : count == 2 ? "a or b" : "a, b or c");
        ts_text_free(&list);
    }
}

Test(text, cleaned)
{
    ts_text out = {0};
    cr_assert_eq(ts_text_append_clean(&out, "a\r\nb\rc\x1B[0m\xFF\t\xE2\x80\xAE\0z", 17, NULL),
                 TS_OK);
    cr_assert_str_eq(out.bytes, "a\nb\nc\uFFFD[0m\uFFFD\t\uFFFD\uFFFDz");
    ts_text_free(&out);
}
