#include "data/row_file.h"

#include "base/file.h"
#include "base/memory.h"
#include "data/file_kind.h"
#include "data/rows.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// A place in the file, for messages.
typedef struct place {
    size_t at, line, line_start;
} place;

// The state of reading a file. Rows are parsed one at a time, so that each error can name its line
// and memory holds the JSON of one row only.
typedef struct walk {
    const char *path, *bytes;
    size_t len;
    place now;
    size_t last_newline; // 0 if there is none
    size_t rows;
    size_t most_row_bytes;
    ts_row_callback take;
    void *user;
    ts_text name; // of the current row
    ts_mistakes *mistakes;
    ts_error *err;
} walk;

static void advance(walk *w, size_t to)
{
    for (; w->now.at < to; w->now.at++) {
        if (w->bytes[w->now.at] == '\n') {
            w->now.line++;
            w->now.line_start = w->now.at + 1;
        }
    }
}

static size_t after_blanks(const walk *w, size_t at, size_t to)
{
    while (at < to && memchr(" \t\r\n", w->bytes[at], 4) != NULL) {
        at++;
    }
    return at;
}

static void skip_blank(walk *w)
{
    advance(w, after_blanks(w, w->now.at, w->len));
}

// Skips a UTF-8 byte order mark.
static void skip_mark(walk *w)
{
    static const char mark[] = "\xEF\xBB\xBF";
    if (w->len - w->now.at >= strlen(mark) &&
        memcmp(w->bytes + w->now.at, mark, strlen(mark)) == 0) {
        w->now.at = w->now.line_start = w->now.at + strlen(mark);
    }
}

static bool at_end(const walk *w)
{
    return w->now.at == w->len;
}

static char peek(const walk *w)
{
    return at_end(w) ? '\0' : w->bytes[w->now.at];
}

__attribute__((format(printf, 3, 4))) static ts_status mistake(walk *w, const place *where,
                                                               const char *format, ...)
{
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    ts_error found = {0};
    ts_error_set(&found, TS_ERR_FORMAT, "%s:%zu:%zu: %s", w->path, where->line,
                 where->at - where->line_start + 1, message);
    return ts_mistakes_note(w->mistakes, &found, w->err);
}

// Refuses rows inside an object: {"data": [{...}, ...]}, {"train": [...], ...}.
static ts_status refuse_wrapped(const walk *w, const cJSON *json, ts_error *err)
{
    if (!cJSON_IsObject(json) || ts_row_has_shape(json)) {
        return TS_OK;
    }
    for (const cJSON *member = json->child; member != NULL; member = member->next) {
        if (cJSON_IsArray(member) && cJSON_IsObject(member->child)) {
            return ts_error_set(err, TS_ERR_FORMAT,
                                "%s:%zu: the rows lie under the key '%.40s' of an object, and an "
                                "array alone is read; this writes it: python3 -c \"import json; "
                                "json.dump(json.load(open('FILE'))['%.40s'], open('rows.json', "
                                "'w'))\"",
                                w->path, w->now.line, member->string, member->string);
        }
    }
    return TS_OK;
}

// Parses the value that starts at the current place, within bytes[..to), and calls the callback
// with it. *end receives its end, or 0 if it is not JSON. Its errors start with "FILE:LINE", and
// with the row's number if that differs.
static ts_status take_row(walk *w, size_t to, size_t *end)
{
    ts_status status = TS_OK;
    ts_error found = {0}, *err = &found;
    cJSON *json = NULL;
    size_t len = 0;
    *end = 0;
    w->rows++;
    ts_text_clear(&w->name);
    TS_TRY(ts_text_format(&w->name, err, "%s:%zu", w->path, w->now.line));
    if (w->rows != w->now.line) {
        TS_TRY(ts_text_format(&w->name, err, ": row %zu", w->rows));
    }
    status = ts_json_parse_prefix(w->bytes + w->now.at, to - w->now.at, w->path, w->now.line,
                                  w->now.at - w->now.line_start + 1, w->most_row_bytes, &len, &json,
                                  err);
    *end = len > 0 ? w->now.at + len : 0;
    TS_TRY(status);
    TS_TRY(refuse_wrapped(w, json, err));
    status = w->take(w->user, json, (uint32_t)w->now.line, w->name.bytes, err);
out:
    cJSON_Delete(json);
    if (ts_mistakes_is_one(status)) {
        status = ts_mistakes_note(w->mistakes, &found, w->err);
    } else if (status != TS_OK) {
        *w->err = found;
    }
    return status;
}

// ---- An array

// The end of the value at `from`, found by matching its brackets, or 0 if they do not match before
// `to`.
static size_t brackets_end(const walk *w, size_t from, size_t to)
{
    size_t depth = 0;
    bool string = false;
    for (size_t at = from; at < to; at++) {
        char c = w->bytes[at];
        if (string) {
            at += c == '\\';
            string = c != '"';
        } else if (c == '"') {
            string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (depth <= 1) {
                return depth == 1 ? at + 1 : 0;
            }
            depth--;
        }
    }
    return 0;
}

// Continues after a row at `from` that is not JSON: at the next line that starts like that row's
// line, with the same white space before its '{'. If several rows share a line, at the end that the
// brackets give. False if neither is clear.
static bool go_on_behind(walk *w, const place *from)
{
    const char *start = w->bytes + from->line_start;
    size_t indent = from->at - from->line_start;
    bool alone = after_blanks(w, from->line_start, from->at) == from->at;
    for (size_t at = from->at; alone && at < w->last_newline;) {
        const char *newline = memchr(w->bytes + at, '\n', w->len - at);
        at = (size_t)(newline - w->bytes) + 1;
        if (w->len - at > indent && memcmp(w->bytes + at, start, indent) == 0 &&
            w->bytes[at + indent] == '{') {
            advance(w, at + indent);
            return true;
        }
    }
    enum { FAR = 1 << 20 };
    size_t end = brackets_end(w, from->at, ts_min_u64(w->len, from->at + FAR));
    size_t comma = after_blanks(w, end, w->len);
    if (end > w->now.at && comma < w->len && w->bytes[comma] == ',') {
        advance(w, comma + 1);
        return true;
    }
    return false;
}

// Reads what follows the row that started at `from`: a comma, whose place goes to *comma, or the
// end of the array, which sets *done.
static ts_status read_separator(walk *w, const place *from, place *comma, bool *done)
{
    skip_blank(w);
    char c = peek(w);
    if (c == ',' || c == ']') {
        *comma = w->now;
        *done = c == ']';
        advance(w, w->now.at + 1);
        return TS_OK;
    }
    if (at_end(w)) {
        *done = true;
        return mistake(w, &w->now,
                       "expected ',' or ']' after row %zu, but the file ends: is it cut off?",
                       w->rows);
    }
    if (c == '{' || c == '[') {
        return mistake(w, &w->now, "a comma is missing between rows %zu and %zu", w->rows,
                       w->rows + 1);
    }
    ts_status status =
        mistake(w, &w->now, "expected ',' or ']' after row %zu, found '%c'", w->rows, c);
    *done = !go_on_behind(w, from);
    return status;
}

static ts_status read_array(walk *w)
{
    ts_status status = TS_OK;
    place comma = {0}; // the last
    bool done = false, after_comma = false;
    advance(w, w->now.at + 1);
    while (!done) {
        skip_blank(w);
        const place from = w->now;
        size_t end = 0;
        if (at_end(w)) {
            TS_TRY(mistake(w, &from, "expected a row or ']', but the file ends: is it cut off?"));
            break;
        }
        if (peek(w) == ']') {
            if (after_comma) {
                TS_TRY(mistake(w, &comma,
                               "nothing stands between this comma and the ']': take the comma "
                               "out"));
            }
            advance(w, from.at + 1);
            break;
        }
        if (peek(w) == ',') {
            TS_TRY(mistake(w, &from, "no row stands before this comma"));
            advance(w, from.at + 1);
            continue;
        }
        TS_TRY(take_row(w, w->len, &end));
        after_comma = false;
        if (end > 0) {
            advance(w, end);
            size_t before = w->mistakes->count;
            TS_TRY(read_separator(w, &from, &comma, &done));
            if (done && w->mistakes->count > before) {
                return TS_OK; // it is not clear where the next row starts
            }
            after_comma = !done;
        } else if (!go_on_behind(w, &from)) {
            return TS_OK; // it has been added to the mistakes
        }
    }
    skip_blank(w);
    if (!at_end(w)) {
        status =
            mistake(w, &w->now, "expected nothing after the array of rows, found '%c'", peek(w));
    }
out:
    return status;
}

// ---- JSON lines

// The first value spans several lines, so the file is not JSON lines. The message depends on its
// kind.
static ts_status refuse_spread(walk *w, bool *spread)
{
    ts_status status = TS_OK;
    ts_error found = {0}, *err = &found;
    cJSON *json = NULL;
    size_t end = 0, lines = 0;
    *spread = false;
    if (ts_json_parse_prefix(w->bytes + w->now.at, w->len - w->now.at, w->path, w->now.line, 1,
                             w->most_row_bytes, &end, &json, err) != TS_OK) {
        goto out; // then each line is reported on its own
    }
    for (size_t i = 0; i < end; i++) {
        lines += w->bytes[w->now.at + i] == '\n';
    }
    if (lines > 0) {
        *spread = true;
        TS_TRY(refuse_wrapped(w, json, err));
        TS_FAIL(
            TS_ERR_FORMAT,
            "%s:%zu: the first row is spread over lines %zu to %zu (pretty-printed): JSON lines "
            "have each row on a line of its own (jq -c . FILE > rows.jsonl makes them), or put "
            "all rows between [ and ] with commas between them",
            w->path, w->now.line, w->now.line, w->now.line + lines);
    }
out:
    cJSON_Delete(json);
    return *spread ? ts_mistakes_note(w->mistakes, &found, w->err) : TS_OK;
}

// Checks that only white space follows a row on its line, up to `to`.
static ts_status check_rest(walk *w, size_t to)
{
    char c = peek(w);
    if (w->now.at == to) {
        return TS_OK;
    }
    if (c == ',' && after_blanks(w, w->now.at + 1, to) == to) {
        return mistake(w, &w->now,
                       "a comma stands behind the row: JSON lines have none, and an array of rows "
                       "starts with [");
    }
    if (c == '{' || c == '[' || c == ',') {
        return mistake(w, &w->now,
                       "several values stand on this line: JSON lines have one row a line");
    }
    return mistake(w, &w->now, "expected nothing after the row, found '%c'", c);
}

static ts_status read_lines(walk *w)
{
    ts_status status = TS_OK;
    bool spread = false;
    TS_TRY(refuse_spread(w, &spread));
    while (!spread && !at_end(w)) {
        const char *newline = memchr(w->bytes + w->now.at, '\n', w->len - w->now.at);
        size_t line_end = newline != NULL ? (size_t)(newline - w->bytes) : w->len, end = 0;
        skip_mark(w); // concatenated files have one each
        advance(w, after_blanks(w, w->now.at, line_end));
        if (w->now.at < line_end) {
            TS_TRY(take_row(w, line_end, &end));
        }
        if (end > 0) {
            advance(w, after_blanks(w, end, line_end));
            TS_TRY(check_rest(w, line_end));
        }
        advance(w, newline != NULL ? line_end + 1 : line_end);
    }
out:
    return status;
}

// Reads the rows from the file's bytes.
static ts_status walk_bytes(walk *w)
{
    ts_error found = {0};
    ts_status status = ts_file_kind_check(w->path, w->bytes, w->len, &found);
    if (status != TS_OK) {
        return ts_mistakes_note(w->mistakes, &found, w->err);
    }
    for (size_t at = w->len; at > 0 && w->last_newline == 0; at--) {
        w->last_newline = w->bytes[at - 1] == '\n' ? at - 1 : 0;
    }
    skip_mark(w);
    skip_blank(w);
    status = peek(w) == '[' ? read_array(w) : read_lines(w);
    if (status == TS_OK && w->rows == 0 && w->mistakes->count == 0) {
        ts_error_set(&found, TS_ERR_FORMAT, "%s:1: holds no rows", w->path);
        status = ts_mistakes_note(w->mistakes, &found, w->err);
    }
    return status;
}

ts_status ts_row_file_read_limited(const char *path, size_t most_row_bytes, ts_row_callback take,
                                   void *user, ts_mistakes *mistakes, ts_error *err)
{
    ts_status status = TS_OK;
    ts_map map = {0};
    walk w = {0};
    TS_TRY(ts_map_open(path, &map, err));
    w = (walk){.path = path,
               .bytes = map.len > 0 ? (const char *)map.bytes : "",
               .len = map.len,
               .now = {.line = 1},
               .most_row_bytes = most_row_bytes,
               .take = take,
               .user = user,
               .mistakes = mistakes,
               .err = err};
    status = walk_bytes(&w);
out:
    ts_text_free(&w.name);
    ts_map_close(&map);
    return status;
}

ts_status ts_row_file_read(const char *path, ts_row_callback take, void *user,
                           ts_mistakes *mistakes, ts_error *err)
{
    return ts_row_file_read_limited(path, TS_ROW_MOST_BYTES, take, user, mistakes, err);
}
