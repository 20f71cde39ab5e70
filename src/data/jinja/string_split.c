// Splitting as in Python's str: the methods split, rsplit, splitlines, partition and rpartition.
#include "data/jinja/parts.h"

#include <string.h>

// ---- Splitting: the parts are collected in a growing list

typedef struct parts {
    jlist list;
    size_t capacity;
} parts;

static ts_status add_part(jrun *r, parts *p, const jstring *s, size_t from, size_t to)
{
    if (p->list.count == p->capacity) {
        jvalue *grown = NULL;
        size_t capacity = p->capacity * 2 + 8;
        ts_status status = ts_jinja_alloc(r, capacity, sizeof *grown, &grown);
        if (status != TS_OK) {
            return status;
        }
        if (p->list.count > 0) {
            memcpy(grown, p->list.items, p->list.count * sizeof *grown);
        }
        p->list.items = grown;
        p->capacity = capacity;
    }
    return ts_jinja_part(r, s, from, to, &p->list.items[p->list.count++]);
}

static ts_status finish(jrun *r, const parts *p, bool turned, jvalue *out)
{
    jlist *list = NULL;
    ts_status status = ts_jinja_new_list(r, J_LIST, p->list.count, &list, out);
    for (size_t i = 0; status == TS_OK && i < list->count; i++) {
        list->items[i] = p->list.items[turned ? list->count - 1 - i : i];
    }
    return status;
}

// Splits at runs of white space, which give no empty parts.
static ts_status split_blanks(jrun *r, const jstring *s, int64_t limit, jvalue *out)
{
    ts_status status = TS_OK;
    parts p = {0};
    size_t from = SIZE_MAX; // where the current part starts
    for (size_t at = 0, taken; at < s->len; at += taken) {
        bool blank = ts_jinja_is_blank(ts_utf8_decode(s->bytes + at, s->len - at, &taken));
        if (blank && from != SIZE_MAX) {
            TS_TRY(add_part(r, &p, s, from, at));
            from = SIZE_MAX;
        } else if (!blank && from == SIZE_MAX) {
            from = at;
            if (limit >= 0 && (int64_t)p.list.count == limit) {
                break;
            }
        }
    }
    if (from != SIZE_MAX) { // the rest after the limit, with the white space at its end
        TS_TRY(add_part(r, &p, s, from, s->len));
    }
    TS_TRY(finish(r, &p, false, out));
out:
    return status;
}

// The same from the end.
static ts_status rsplit_blanks(jrun *r, const jstring *s, int64_t limit, jvalue *out)
{
    ts_status status = TS_OK;
    parts p = {0};
    size_t to = SIZE_MAX; // where the current part ends
    for (size_t end = s->len, at; end > 0; end = at) {
        size_t taken;
        for (at = end - 1; at > 0 && ts_utf8_is_continuation(s->bytes[at]);) {
            at--;
        }
        bool blank = ts_jinja_is_blank(ts_utf8_decode(s->bytes + at, end - at, &taken));
        if (blank && to != SIZE_MAX) {
            TS_TRY(add_part(r, &p, s, end, to));
            to = SIZE_MAX;
        } else if (!blank && to == SIZE_MAX) {
            to = end;
            if (limit >= 0 && (int64_t)p.list.count == limit) {
                break;
            }
        }
    }
    if (to != SIZE_MAX) {
        TS_TRY(add_part(r, &p, s, 0, to));
    }
    TS_TRY(finish(r, &p, true, out));
out:
    return status;
}

static ts_status split_at(jrun *r, const jstring *s, const jstring *separator, int64_t limit,
                          bool from_end, jvalue *out)
{
    ts_status status = TS_OK;
    parts p = {0};
    size_t from = 0, to = s->len, found;
    TS_TRY(ts_jinja_step(r, s->len >> 6));
    while (!from_end && limit-- != 0 && (found = ts_jinja_find(s, separator, from)) != SIZE_MAX) {
        TS_TRY(add_part(r, &p, s, from, found));
        from = found + separator->len;
    }
    while (from_end && limit-- != 0 && (found = ts_jinja_find_last(s, separator, to)) != SIZE_MAX) {
        TS_TRY(add_part(r, &p, s, found + separator->len, to));
        to = found;
    }
    TS_TRY(add_part(r, &p, s, from, to));
    TS_TRY(finish(r, &p, from_end, out));
out:
    return status;
}

static ts_status split(jrun *r, const jargs *a, bool from_end, jvalue *out)
{
    ts_status status = TS_OK;
    const jstring *separator = NULL;
    int64_t limit = -1;
    if (j_given(a->values[2])) {
        if (!j_is_whole(a->values[2])) {
            return ts_jinja_raise(r, "'%s' object cannot be interpreted as an integer",
                                  ts_jinja_type(a->values[2]));
        }
        limit = j_whole(a->values[2]);
    }
    if (!j_given(a->values[1])) {
        return from_end ? rsplit_blanks(r, j_text(a->values[0]), limit, out)
                        : split_blanks(r, j_text(a->values[0]), limit, out);
    }
    TS_TRY(ts_jinja_need_text(r, a->values[1], "split", &separator));
    if (separator->len == 0) {
        return ts_jinja_raise(r, "empty separator");
    }
    TS_TRY(split_at(r, j_text(a->values[0]), separator, limit, from_end, out));
out:
    return status;
}

ts_status ts_jinja_str_split(jrun *r, const jargs *a, jvalue *out)
{
    return split(r, a, false, out);
}

ts_status ts_jinja_str_rsplit(jrun *r, const jargs *a, jvalue *out)
{
    return split(r, a, true, out);
}

ts_status ts_jinja_str_splitlines(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    const jstring *s = j_text(a->values[0]);
    parts p = {0};
    bool keep = ts_jinja_truth(a->values[1]);
    size_t from = 0;
    for (size_t at = 0, taken; at < s->len; at += taken) {
        int32_t cp = ts_utf8_decode(s->bytes + at, s->len - at, &taken);
        bool ends = (cp >= 0x0A && cp <= 0x0D) || (cp >= 0x1C && cp <= 0x1E) || cp == 0x85 ||
                    cp == 0x2028 || cp == 0x2029;
        if (!ends) {
            continue;
        }
        size_t behind = at + taken;
        behind += cp == '\r' && behind < s->len && s->bytes[behind] == '\n';
        TS_TRY(add_part(r, &p, s, from, keep ? behind : at));
        taken = behind - at;
        from = behind;
    }
    if (from < s->len) {
        TS_TRY(add_part(r, &p, s, from, s->len));
    }
    TS_TRY(finish(r, &p, false, out));
out:
    return status;
}

static ts_status partition(jrun *r, const jargs *a, bool last, jvalue *out)
{
    ts_status status = TS_OK;
    const jstring *s = j_text(a->values[0]), *separator = NULL;
    jlist *list = NULL;
    TS_TRY(ts_jinja_need_text(r, a->values[1], "partition", &separator));
    if (separator->len == 0) {
        return ts_jinja_raise(r, "empty separator");
    }
    size_t found = last ? ts_jinja_find_last(s, separator, s->len) : ts_jinja_find(s, separator, 0);
    size_t from = found != SIZE_MAX ? found : last ? 0 : s->len;
    size_t to = found != SIZE_MAX ? found + separator->len : from;
    TS_TRY(ts_jinja_new_list(r, J_TUPLE, 3, &list, out));
    TS_TRY(ts_jinja_part(r, s, 0, from, &list->items[0]));
    TS_TRY(ts_jinja_part(r, s, from, to, &list->items[1]));
    TS_TRY(ts_jinja_part(r, s, to, s->len, &list->items[2]));
out:
    return status;
}

ts_status ts_jinja_str_partition(jrun *r, const jargs *a, jvalue *out)
{
    return partition(r, a, false, out);
}

ts_status ts_jinja_str_rpartition(jrun *r, const jargs *a, jvalue *out)
{
    return partition(r, a, true, out);
}
