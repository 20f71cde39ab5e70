// Files of rows: arrays, JSON lines, and files that are neither. One run reports all mistakes.
#include "data/row_file.h"

#include "base/memory.h"
#include "data_test.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

typedef struct taken {
    size_t count;
    char names[256]; // "LINE(: row N)|" of each
} taken;

static ts_status take(void *user, const cJSON *row, uint32_t line, const char *name, ts_error *err)
{
    taken *t = user;
    size_t at = strlen(t->names);
    t->count++;
    snprintf(t->names + at, sizeof t->names - at, "%s|", strchr(name, ':') + 1);
    cr_expect_gt(line, 0);
    return ts_json_get(row, "bad") != NULL ? ts_error_set(err, TS_ERR_FORMAT, "%s: is bad", name)
                                           : TS_OK;
}

// Walks bytes as the file d.jsonl; the mistakes go to `mistakes`.
static void walk(const char *file, const char *bytes, size_t len, size_t most, taken *t,
                 ts_mistakes *mistakes)
{
    char *folder = make_folder(), path[512];
    ts_error err = {0};
    *t = (taken){0};
    write_bytes(folder, file, bytes, len);
    snprintf(path, sizeof path, "%s/%s", folder, file);
    cr_assert_eq(ts_row_file_read_limited(path, most, take, t, mistakes, &err), TS_OK, "%s",
                 err.message);
    remove_folder(folder);
}

#define ROW "{\"p\":1}"
#define BAD "{\"bad\":1}"

// Each file with the rows that are taken from it and its mistakes, in order, "..." between them.
Test(row_file, rows_and_mistakes)
{
    static const struct {
        const char *text, *rows, *mistakes[4];
    } cases[] = {
        {ROW "\n\n" ROW "\r\n", "1|3: row 2|", {NULL}},
        {"\xEF\xBB\xBF" ROW "\n\xEF\xBB\xBF" ROW, "1|2|", {NULL}},
        {"\xEF\xBB\xBF[" ROW ",\n" ROW "]", "1|2|", {NULL}},
        {"\xEF\xBB\xBF{\"p\":x}", "", {":1:6: expected a JSON value, found 'x'"}},
        // an array
        {"[\n" ROW ",\n" ROW ",\n]",
         "2: row 1|3: row 2|",
         {":3:8: nothing stands between this comma and the ']': take the comma out"}},
        {"[" ROW "\n" ROW "]", "1|2|", {":2:1: a comma is missing between rows 1 and 2"}},
        {"[" ROW ",," BAD "]",
         "1|1: row 2|",
         {":1:10: no row stands before this comma", ":1: row 2: is bad"}},
        {"[\n" BAD ",\n" BAD ",\n" ROW "\n",
         "2: row 1|3: row 2|4: row 3|",
         {":2: row 1: is bad", ":3: row 2: is bad",
          ":5:1: expected ',' or ']' after row 3, but the file ends: is it cut off?"}},
        // a row whose string is not closed: the message says where it starts; later rows are read
        {"[\n" ROW ",\n{\"p\":\"open},\n" BAD "\n]",
         "2: row 1|4: row 3|",
         {":3:6: this string has no closing quote on its line", ":4: row 3: is bad"}},
        {"[\n  {\n    \"p\": 01\n  },\n  {\n    \"q\": [{}],}\n  },\n  " BAD "\n]",
         "8: row 3|",
         {":3:10: a number may not start with 0", ":6:14: nothing stands between this comma and",
          ":8: row 3: is bad"}},
        {"[" ROW ",{\"p\":01}," BAD "]",
         "1|1: row 3|",
         {":1:15: a number may not", "row 3: is bad"}},
        {"[" ROW "]\n[" ROW "]",
         "1|",
         {":2:1: expected nothing after the array of rows, found '['"}},
        // JSON lines
        {"{\"p\":\n" BAD "\n{\"p\":1\n" ROW,
         "2|4|",
         {":1:6: expected a JSON value, but the text ends", ":2: is bad",
          ":3:7: expected ',' or '}'"}},
        {ROW ROW "\n" ROW "\n", "1|2|", {":1:8: several values stand on this line"}},
        {ROW ",\n" ROW "\n", "1|2|", {":1:8: a comma stands behind the row: JSON lines have none"}},
        {ROW " x\n", "1|", {":1:9: expected nothing after the row, found 'x'"}},
        // rows that are not where they should be
        {"{\n  \"prompt\": 1\n}\n{\n  \"prompt\": 2\n}\n",
         "",
         {":1: the first row is spread over lines 1 to 3 (pretty-printed)"}},
        {"{\"data\": [" ROW "]}", "", {":1: the rows lie under the key 'data' of an object"}},
        {"{\n\"version\": 1,\n\"train\": [\n" ROW "]}\n",
         "",
         {":1: the rows lie under the key 'train'"}},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        taken t;
        ts_mistakes mistakes = {0};
        size_t expected = 0;
        walk("d.jsonl", cases[i].text, strlen(cases[i].text), TS_ROW_MOST_BYTES, &t, &mistakes);
        cr_expect_str_eq(t.names, cases[i].rows, "%s: %s", cases[i].text, t.names);
        for (; expected < 4 && cases[i].mistakes[expected] != NULL; expected++) {
            const char *found =
                expected < mistakes.count ? mistakes.messages[expected].bytes : "nothing";
            cr_expect_not_null(strstr(found, cases[i].mistakes[expected]), "%s:\n%s", cases[i].text,
                               found);
        }
        cr_expect_eq(mistakes.count, expected, "%s", cases[i].text);
        ts_mistakes_free(&mistakes);
    }
}

Test(row_file, other_files_are_named)
{
    static const struct {
        const char *file, *bytes;
        size_t len;
        const char *message;
    } cases[] = {
        {"d.parquet", "PAR1\x15\x04", 6, "is a Parquet file"},
        {"d.json", "PK\x03\x04xx", 6, "is a zip archive"},
        {"d.jsonl.gz", "\x1F\x8B\x08\x00", 4,
         "is compressed by gzip, and JSON or JSON lines are read; "
         "unpack it: gunzip"},
        {"d.json", "\xFF\xFE{\0}\0", 6,
         "is text in UTF-16, and JSON or JSON lines are read; make UTF-8 "
         "of it: iconv -f UTF-16"},
        {"d.json", "\xFE\xFF\0{\0}", 6, "is text in UTF-16"},
        {"d.json", "{\0\"\0", 4, "is text in UTF-16"},
        {"d.csv", "prompt,completion\na,b\n", 22, "is a CSV table"},
        {"d.jsonl", "version https://git-lfs.github.com/spec/v1\n", 43, "is a git-lfs pointer"},
        {"d.jsonl", "<!DOCTYPE html><html>", 21, "is a web page"},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        taken t;
        ts_mistakes mistakes = {0};
        walk(cases[i].file, cases[i].bytes, cases[i].len, TS_ROW_MOST_BYTES, &t, &mistakes);
        cr_assert_eq(mistakes.count, 1);
        cr_expect_not_null(strstr(mistakes.messages[0].bytes, cases[i].message), "%s",
                           mistakes.messages[0].bytes);
        ts_mistakes_free(&mistakes);
    }
    taken t; // the content is JSON, so the name does not matter
    ts_mistakes mistakes = {0};
    walk("d.csv", ROW, strlen(ROW), TS_ROW_MOST_BYTES, &t, &mistakes);
    cr_expect_eq(mistakes.count, 0);
    cr_expect_eq(t.count, 1);
}

// The limit is 64 MiB; here it is made smaller.
Test(row_file, long_rows_are_refused)
{
    static const char rows[] = ROW "\n{\"instruction\":\"aaaaaaaaaaaaaaaaaaaa\"}\n" ROW "\n";
    taken t;
    ts_mistakes mistakes = {0};
    walk("d.jsonl", rows, strlen(rows), 20, &t, &mistakes);
    cr_expect_str_eq(t.names, "1|3|");
    cr_assert_eq(mistakes.count, 1);
    cr_expect_not_null(strstr(mistakes.messages[0].bytes,
                              ":2:1: this value is 38 bytes long; at most 20 are read"),
                       "%s", mistakes.messages[0].bytes);
    ts_mistakes_free(&mistakes);
}

// As many mistakes as rows: the time must not grow with their square.
Test(row_file, many_mistakes, .timeout = 20)
{
    ts_text text = {0};
    ts_error err = {0};
    taken t;
    cr_assert_eq(ts_text_append(&text, "[", 1, &err), TS_OK);
    for (int i = 0; i < 50000; i++) {
        cr_assert_eq(ts_text_format(&text, &err, "\n{\"p\":\"open %d},", i), TS_OK);
    }
    ts_mistakes mistakes = {0};
    walk("d.json", text.bytes, text.len, TS_ROW_MOST_BYTES, &t, &mistakes);
    cr_expect_eq(mistakes.count, 50000);
    cr_expect_eq(ts_mistakes_tell(&mistakes, "d.json", &err), TS_ERR_FORMAT);
    cr_expect_not_null(strstr(err.message, "d.json: 50000 mistakes, the first 20 of them above"),
                       "%s", err.message);
    ts_mistakes_free(&mistakes);
    ts_text_free(&text);
}
