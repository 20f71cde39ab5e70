#include "data/row_file.h"

#include "base/file.h"

#include <stdio.h>
#include <string.h>

// The file as it is walked: rows are cut out here and parsed one at a time.
typedef struct walk {
    const char *path, *bytes;
    size_t len, at;
    size_t line, line_start; // where `at` stands
    ts_row_taker take;
    void *user;
    ts_mistakes *mistakes;
    bool broken; // the last row's JSON could not be read
    ts_error *err;
} walk;

// Parses bytes[from..to), which start at the walk's current line, as one row.
static ts_status add_slice(walk *w, size_t from, size_t to)
{
    ts_status status = TS_OK;
    cJSON *json = NULL;
    ts_error mistake = {0};
    char name[512];
    snprintf(name, sizeof name, "%s:%zu", w->path, w->line);
    status = ts_json_parse_at(w->bytes + from, to - from, w->path, w->line,
                              from - w->line_start + 1, &json, &mistake);
    w->broken = status != TS_OK;
    if (status == TS_OK) {
        status = w->take(w->user, json, (uint32_t)w->line, name, &mistake);
    }
    if (ts_mistakes_is_one(status)) {
        status = ts_mistakes_note(w->mistakes, &mistake, w->err);
    } else if (status != TS_OK) {
        *w->err = mistake;
    }
    cJSON_Delete(json);
    return status;
}

static void advance(walk *w, size_t to)
{
    for (; w->at < to; w->at++) {
        if (w->bytes[w->at] == '\n') {
            w->line++;
            w->line_start = w->at + 1;
        }
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blank(walk *w)
{
    size_t to = w->at;
    while (to < w->len && is_blank(w->bytes[to])) {
        to++;
    }
    advance(w, to);
}

// Where the array's element that starts at w->at ends: at the next comma or bracket outside of
// strings and nesting. Only a cut; ts_json_parse_at judges what is inside.
static size_t element_end(const walk *w)
{
    size_t depth = 0, at = w->at;
    for (bool string = false; at < w->len; at++) {
        char c = w->bytes[at];
        if (string) {
            at += c == '\\';
            string = c != '"';
        } else if (c == '"') {
            string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (depth == 0 && (c == ',' || c == ']' || c == '}')) {
            break;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return at < w->len ? at : w->len;
}

static ts_status misplaced(walk *w, const char *expected)
{
    ts_error mistake = {0};
    ts_error_set(&mistake, TS_ERR_FORMAT, "%s:%zu:%zu: expected %s", w->path, w->line,
                 w->at - w->line_start + 1, expected);
    return ts_mistakes_note(w->mistakes, &mistake, w->err);
}

static ts_status read_array(walk *w)
{
    ts_status status = TS_OK;
    advance(w, w->at + 1);
    skip_blank(w);
    if (w->at < w->len && w->bytes[w->at] == ']') {
        advance(w, w->at + 1);
    } else {
        for (;;) {
            skip_blank(w);
            size_t end = element_end(w);
            TS_TRY(add_slice(w, w->at, end));
            advance(w, end);
            char c = w->at < w->len ? w->bytes[w->at] : '\0';
            if (c != ',' && c != ']') { // where a broken row ends is not known
                status = w->broken ? TS_OK : misplaced(w, "',' or ']' after a row");
                goto out;
            }
            advance(w, w->at + 1);
            if (c == ']') {
                break;
            }
        }
    }
    skip_blank(w);
    if (w->at < w->len) {
        status = misplaced(w, "nothing after the array of rows");
    }
out:
    return status;
}

static ts_status read_lines(walk *w)
{
    ts_status status = TS_OK;
    while (w->at < w->len) {
        const char *newline = memchr(w->bytes + w->at, '\n', w->len - w->at);
        size_t end = newline != NULL ? (size_t)(newline - w->bytes) : w->len, from = w->at;
        while (from < end && is_blank(w->bytes[from])) {
            from++;
        }
        if (from < end) {
            TS_TRY(add_slice(w, from, end));
        }
        advance(w, newline != NULL ? end + 1 : end);
    }
out:
    return status;
}

ts_status ts_row_file_walk(const char *path, ts_row_taker take, void *user, ts_mistakes *mistakes,
                           ts_error *err)
{
    ts_status status = TS_OK;
    ts_map map = {0};
    TS_TRY(ts_map_open(path, &map, err));
    walk w = {.path = path,
              .bytes = (const char *)map.bytes,
              .len = map.len,
              .line = 1,
              .take = take,
              .user = user,
              .mistakes = mistakes,
              .err = err};
    skip_blank(&w);
    if (w.at == w.len) {
        ts_error mistake = {0};
        ts_error_set(&mistake, TS_ERR_FORMAT, "%s:1: holds no rows", path);
        status = ts_mistakes_note(mistakes, &mistake, err);
    } else if (w.bytes[w.at] == '[') {
        status = read_array(&w);
    } else {
        status = read_lines(&w);
    }
out:
    ts_map_close(&map);
    return status;
}
