#include "base/terminal.h"

#include "base_test.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static size_t letters(const ts_text *text)
{
    size_t count = 0;
    for (size_t i = 0; i < text->len; i++) {
        count += ((unsigned char)text->bytes[i] & 0xC0) != 0x80;
    }
    return count;
}

// What is shown of a text of `len` bytes. Writing to a text and to a stream must agree.
static char *shown(const char *bytes, size_t len)
{
    ts_text text = {0};
    ts_error err = {0};
    char *written = NULL;
    size_t written_len = 0;
    FILE *stream = open_memstream(&written, &written_len);
    cr_assert_not_null(stream);
    ts_terminal_write(stream, bytes, len);
    cr_assert_eq(fclose(stream), 0);
    cr_assert_eq(ts_text_append_printable(&text, bytes, len, &err), TS_OK, "%s", err.message);
    cr_expect_str_eq(text.bytes, written);
    cr_expect_eq(text.len, written_len);
    cr_expect(strpbrk(bytes, "\t\n") != NULL ||
              (size_t)ts_terminal_width(bytes, len) == letters(&text));
    ts_text_free(&text);
    return written;
}

Test(terminal, what_a_terminal_obeys_becomes_visible)
{
    static const struct {
        const char *bytes, *expected;
    } cases[] = {
        {"", ""},
        {"plain\ttext\n", "plain\ttext\n"},
        {"caf\xC3\xA9 \xE2\x96\x81", "caf\xC3\xA9 \xE2\x96\x81"},
        {"\033[31mred\033[0m", "\\x1b[31mred\\x1b[0m"},
        {"\033]0;title\a", "\\x1b]0;title\\x07"},
        {"over\rwritten\b\x7F", "over\\x0dwritten\\x08\\x7f"},
        {"\xC2\x9B"
         "31m",
         "\\u009b31m"}, // CSI as one character
        {"\x9B"
         "31m",
         "\\x9b31m"},                              // and as a byte of Latin-1
        {"\xE2\x80\xAEtxt.exe", "\\u202etxt.exe"}, // right-to-left override
        {"a\xE2\x81\xA6"
         "b\xE2\x81\xA9",
         "a\\u2066b\\u2069"},
        {"a\xE2\x80\x8B"
         "b\xEF\xBB\xBF",
         "a\\u200bb\\ufeff"},
        {"\xF3\xA0\x81\xA1", "\\ue0061"}, // a tag
        {"\xE2\x96", "\\xe2\\x96"},       // cut within a character
        {"\xFF\xC0\x80", "\\xff\\xc0\\x80"},
        {"\xE2\x80\x8D", "\xE2\x80\x8D"}, // a joiner, as emoji have it
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = shown(cases[i].bytes, strlen(cases[i].bytes));
        cr_expect_str_eq(text, cases[i].expected, "case %zu: %s", i, text);
        free(text);
    }
    char *text = shown("a\0b", 3);
    cr_expect_str_eq(text, "a\\x00b");
    free(text);
}

Test(terminal, no_byte_gets_through_that_may_not)
{
    char bytes[3 * 256 + 1];
    for (int i = 0; i < 256; i++) { // each byte alone, between letters
        bytes[3 * i] = 'a', bytes[3 * i + 1] = (char)i, bytes[3 * i + 2] = 'b';
    }
    char *text = shown(bytes, 3 * 256);
    for (const char *c = text; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;
        cr_assert((byte >= 0x20 && byte < 0x7F) || byte == '\n' || byte == '\t', "0x%02X", byte);
    }
    free(text);
}

Test(terminal, who_obeys_escapes)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    cr_assert_geq(master, 0);
    cr_assert_eq(grantpt(master), 0);
    cr_assert_eq(unlockpt(master), 0);
    FILE *terminal = fdopen(open(ptsname(master), O_RDWR | O_NOCTTY), "r+"), *file = tmpfile();
    cr_assert_not_null(terminal);
    unsetenv("NO_COLOR");
    setenv("TERM", "xterm-256color", 1);
    cr_expect(ts_terminal_takes_escapes(terminal));
    cr_expect(ts_terminal_takes_colour(terminal));
    cr_expect_not(ts_terminal_takes_escapes(file));
    cr_expect_not(ts_terminal_takes_colour(file));
    setenv("NO_COLOR", "1", 1);
    cr_expect(ts_terminal_takes_escapes(terminal));
    cr_expect_not(ts_terminal_takes_colour(terminal));
    setenv("NO_COLOR", "", 1);
    cr_expect(ts_terminal_takes_colour(terminal));
    setenv("TERM", "dumb", 1);
    cr_expect_not(ts_terminal_takes_escapes(terminal));
    cr_expect_not(ts_terminal_takes_colour(terminal));
    unsetenv("TERM");
    cr_expect_not(ts_terminal_takes_escapes(terminal));
    fclose(terminal);
    fclose(file);
    close(master);
}
