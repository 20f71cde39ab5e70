// Filters of single values: {{ x | name(arguments) }}. values[0] is the value that the filter is
// applied to. To add one, write a function and a row of the table. Filters of sequences are in
// sequences.c.
#include "data/jinja/parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// str(value)
static ts_status text_of(jrun *r, jvalue value, const jstring **out)
{
    jvalue printed;
    ts_status status = ts_jinja_print(r, value, &printed);
    *out = j_text(printed);
    return status;
}

static ts_status whole_argument(jrun *r, jvalue value, int64_t otherwise, int64_t *out)
{
    *out = otherwise;
    if (!j_given(value)) {
        return TS_OK;
    }
    if (!j_is_whole(value)) {
        return ts_jinja_raise(r, "'%s' object cannot be interpreted as an integer",
                              ts_jinja_type(value));
    }
    *out = j_whole(value);
    return TS_OK;
}

static ts_status filter_abs(jrun *r, const jargs *a, jvalue *out)
{
    jvalue v = a->values[0];
    if (j_is_whole(v) && j_whole(v) > INT64_MIN) {
        *out = j_int(j_whole(v) < 0 ? -j_whole(v) : j_whole(v));
        return TS_OK;
    }
    if (v.kind == J_FLOAT) {
        *out = j_float(fabs(v.number));
        return TS_OK;
    }
    return v.kind == J_UNDEFINED
               ? ts_jinja_undefined_error(r, v)
               : ts_jinja_raise(r, "bad operand type for abs(): '%s'", ts_jinja_type(v));
}

static ts_status filter_attr(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    const jstring *name = NULL;
    jvalue object = a->values[0];
    TS_TRY(text_of(r, a->values[1], &name));
    if (object.kind == J_DICT) { // finds attributes only, never an item
        const jrow *row = ts_jinja_find_method(J_DICT, name->bytes, name->len);
        if (row == NULL) {
            *out = ts_jinja_undefined(J_DICT, name);
            goto out;
        }
    }
    TS_TRY(ts_jinja_attribute(r, object, name, out));
out:
    return status;
}

static ts_status recase(jrun *r, const jargs *a, jcase how, jvalue *out)
{
    const jstring *s = NULL;
    ts_status status = text_of(r, a->values[0], &s);
    return status == TS_OK ? ts_jinja_recase(r, s, how, out) : status;
}

static ts_status filter_capitalize(jrun *r, const jargs *a, jvalue *out)
{
    return recase(r, a, CASE_CAPITAL, out);
}

static ts_status filter_upper(jrun *r, const jargs *a, jvalue *out)
{
    return recase(r, a, CASE_UPPER, out);
}

static ts_status filter_lower(jrun *r, const jargs *a, jvalue *out)
{
    return recase(r, a, CASE_LOWER, out);
}

// Unlike str.title: a word starts only after white space, "-" or an opening bracket.
static ts_status filter_title(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    const jstring *s = NULL;
    jbuilder b = {0};
    bool begins = true;
    TS_TRY(text_of(r, a->values[0], &s));
    for (size_t at = 0, taken; at < s->len; at += taken) {
        int32_t cp = ts_utf8_decode(s->bytes + at, s->len - at, &taken);
        jvalue part, cased;
        TS_TRY(ts_jinja_part(r, s, at, at + taken, &part));
        TS_TRY(ts_jinja_recase(r, j_text(part), begins ? CASE_UPPER : CASE_LOWER, &cased));
        TS_TRY(ts_jinja_append(r, &b, j_text(cased)));
        begins = ts_jinja_is_blank(cp) || (cp > 0 && cp < 0x80 && strchr("-({[<", cp) != NULL);
    }
    TS_TRY(ts_jinja_built(r, &b, out));
out:
    return status;
}

static ts_status filter_center(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    const jstring *s = NULL;
    int64_t width = 80;
    jbuilder b = {0};
    TS_TRY(text_of(r, a->values[0], &s));
    TS_TRY(whole_argument(r, a->values[1], 80, &width));
    int64_t pad = width - (int64_t)s->characters, left = pad / 2 + (pad & width & 1);
    for (int64_t i = 0; i < left && pad > 0; i++) {
        TS_TRY(ts_jinja_append_bytes(r, &b, " ", 1, 0));
    }
    TS_TRY(ts_jinja_append(r, &b, s));
    for (int64_t i = left; i < pad; i++) {
        TS_TRY(ts_jinja_append_bytes(r, &b, " ", 1, 0));
    }
    TS_TRY(ts_jinja_built(r, &b, out));
out:
    return status;
}

static ts_status filter_length(jrun *r, const jargs *a, jvalue *out)
{
    int64_t length = 0;
    ts_status status = ts_jinja_length(r, a->values[0], &length);
    *out = j_int(length);
    return status;
}

static ts_status filter_default(jrun *r, const jargs *a, jvalue *out)
{
    jvalue v = a->values[0], otherwise = a->values[1];
    bool empty = v.kind == J_UNDEFINED || (ts_jinja_truth(a->values[2]) && !ts_jinja_truth(v));
    *out = empty ? otherwise : v;
    return empty && otherwise.kind == J_MISSING ? ts_jinja_new_string(r, "", 0, 0, out) : TS_OK;
}

static ts_status filter_escape(jrun *r, const jargs *a, jvalue *out)
{
    const jstring *s = NULL;
    ts_status status = text_of(r, a->values[0], &s);
    return status == TS_OK ? ts_jinja_escape(r, s, out) : status;
}

static ts_status filter_safe(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    const jstring *s = NULL;
    TS_TRY(text_of(r, a->values[0], &s));
    TS_TRY(ts_jinja_part(r, s, 0, s->len, out));
    ((jstring *)out->pointer)->markup = true;
out:
    return status;
}

static ts_status filter_string(jrun *r, const jargs *a, jvalue *out)
{
    return ts_jinja_print(r, a->values[0], out);
}

// Python's float(text), which allows white space around the number and underscores between digits.
static bool parse_float(const jstring *s, double *out)
{
    char text[400], *end = NULL;
    size_t from = 0, to = s->len, len = 0;
    while (from < to && ts_jinja_is_blank((unsigned char)s->bytes[from])) {
        from++;
    }
    while (to > from && ts_jinja_is_blank((unsigned char)s->bytes[to - 1])) {
        to--;
    }
    for (; from < to; from++) {
        char c = s->bytes[from];
        if (c == '\0' || c == 'x' || c == 'X' || c == 'p' || c == '(' || len + 1 == sizeof text) {
            return false;
        }
        if (c != '_' || len == 0 || from + 1 == to) {
            text[len++] = c;
        }
    }
    text[len] = '\0';
    *out = strtod(text, &end);
    return len > 0 && *end == '\0' && !ts_jinja_is_blank((unsigned char)text[0]);
}

// Python's int(text, base)
static bool parse_int(const jstring *s, int64_t base, int64_t *out)
{
    char text[80], *end = NULL;
    if (s->len >= sizeof text || base < 2 || base > 36) {
        return false;
    }
    size_t from = 0, to = s->len, len = 0;
    while (from < to && ts_jinja_is_blank((unsigned char)s->bytes[from])) {
        from++;
    }
    while (to > from && ts_jinja_is_blank((unsigned char)s->bytes[to - 1])) {
        to--;
    }
    for (; from < to; from++) {
        if (s->bytes[from] != '_') {
            text[len++] = s->bytes[from];
        }
    }
    text[len] = '\0';
    size_t sign = text[0] == '-' || text[0] == '+';
    const char *prefix = base == 16 ? "xX" : base == 8 ? "oO" : base == 2 ? "bB" : "";
    if (text[sign] == '0' && text[sign + 1] != '\0' && strchr(prefix, text[sign + 1]) != NULL) {
        memmove(text + sign, text + sign + 2, len - sign - 1);
    }
    *out = strtoll(text, &end, (int)base);
    return text[0] != '\0' && !ts_jinja_is_blank((unsigned char)text[sign]) && *end == '\0' &&
           end > text + sign;
}

static ts_status filter_int(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jvalue v = a->values[0];
    int64_t base = 10, whole = 0;
    double number = 0;
    *out = a->values[1].kind != J_MISSING ? a->values[1] : j_int(0);
    TS_TRY(whole_argument(r, a->values[2], 10, &base));
    if (v.kind == J_UNDEFINED) {
        status = ts_jinja_undefined_error(r, v);
    } else if (j_is_whole(v)) {
        *out = j_int(j_whole(v));
    } else if (v.kind == J_STRING && parse_int(j_text(v), base, &whole)) {
        *out = j_int(whole);
    } else if (v.kind == J_FLOAT || (v.kind == J_STRING && parse_float(j_text(v), &number))) {
        number = v.kind == J_FLOAT ? v.number : number;
        if (isnan(number)) {
            goto out;
        }
        if (!(fabs(number) < 0x1p63)) {
            status = isinf(number) ? ts_jinja_raise(r, "cannot convert float infinity to integer")
                                   : ts_jinja_lacks(r, "whole numbers beyond 64 bits are not "
                                                       "implemented");
            goto out;
        }
        *out = j_int((int64_t)number);
    }
out:
    return status;
}

static ts_status filter_float(jrun *r, const jargs *a, jvalue *out)
{
    jvalue v = a->values[0];
    double number = 0;
    *out = a->values[1].kind != J_MISSING ? a->values[1] : j_float(0);
    if (v.kind == J_UNDEFINED) {
        return ts_jinja_undefined_error(r, v);
    }
    if (j_is_number(v)) {
        *out = j_float(j_number(v));
    } else if (v.kind == J_STRING && parse_float(j_text(v), &number)) {
        *out = j_float(number);
    }
    return TS_OK;
}

// Python's round(): to the nearest, halves to even. It rounds the exact decimal expansion.
static double round_half_even(double number, int64_t digits)
{
    char text[400];
    if (digits > 22 || !isfinite(number)) {
        return number;
    }
    if (digits >= 0) {
        snprintf(text, sizeof text, "%.*f", (int)digits, number); // glibc rounds the exact value
        return strtod(text, NULL);
    }
    double scale = pow(10, (double)-digits);
    return isfinite(scale) ? nearbyint(number / scale) * scale : 0;
}

static ts_status filter_round(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jvalue v = a->values[0];
    const jstring *method = NULL;
    int64_t digits = 0;
    TS_TRY(whole_argument(r, a->values[1], 0, &digits));
    if (a->values[2].kind == J_STRING) {
        method = j_text(a->values[2]);
    }
    if (!j_is_number(v)) {
        status =
            v.kind == J_UNDEFINED
                ? ts_jinja_undefined_error(r, v)
                : ts_jinja_raise(r, "type %s doesn't define __round__ method", ts_jinja_type(v));
    } else if (method == NULL || j_equals(method, "common", 6)) {
        bool whole = j_is_whole(v);
        double number = round_half_even(j_number(v), digits);
        *out = whole && digits >= 0 ? j_int(j_whole(v))
               : whole              ? j_int((int64_t)number)
                                    : j_float(number);
    } else if (j_equals(method, "ceil", 4) || j_equals(method, "floor", 5)) {
        double scale = pow(10, (double)digits), number = j_number(v) * scale;
        number = method->len == 4 ? ceil(number) : floor(number);
        *out = j_float(number / scale);
    } else {
        status = ts_jinja_raise(r, "method must be common, ceil or floor");
    }
out:
    return status;
}

static ts_status filter_replace(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    const jstring *s = NULL, *old = NULL, *with = NULL;
    int64_t limit = -1;
    TS_TRY(text_of(r, a->values[0], &s));
    TS_TRY(text_of(r, a->values[1], &old));
    TS_TRY(text_of(r, a->values[2], &with));
    TS_TRY(whole_argument(r, a->values[3], -1, &limit));
    TS_TRY(ts_jinja_replace(r, s, old, with, limit, out));
out:
    return status;
}

static ts_status filter_trim(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    const jstring *s = NULL, *set = NULL;
    TS_TRY(text_of(r, a->values[0], &s));
    if (j_given(a->values[1])) {
        TS_TRY(text_of(r, a->values[1], &set));
    }
    TS_TRY(ts_jinja_strip(r, s, set, 3, out));
out:
    return status;
}

static ts_status filter_format(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    const jstring *s = NULL;
    jlist rest = {.items = a->values + 1, .count = a->count - 1};
    jdict named = {.pairs = a->named, .count = a->named_count};
    TS_TRY(text_of(r, a->values[0], &s));
    if (a->named_count > 0 && rest.count > 0) {
        status =
            ts_jinja_raise(r, "can't handle positional and keyword arguments at the same time");
        goto out;
    }
    TS_TRY(ts_jinja_format(
        r, s, a->named_count > 0 ? j_pointer(J_DICT, &named) : j_pointer(J_TUPLE, &rest), out));
out:
    return status;
}

static ts_status filter_indent(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    const jstring *s = NULL, *width = NULL;
    jvalue indent;
    jbuilder b = {0};
    bool first = ts_jinja_truth(a->values[2]), blank = ts_jinja_truth(a->values[3]);
    if (a->values[0].kind != J_STRING) {
        return a->values[0].kind == J_UNDEFINED
                   ? ts_jinja_undefined_error(r, a->values[0])
                   : ts_jinja_raise(r, "unsupported operand type(s) for +=: '%s' and 'str'",
                                    ts_jinja_type(a->values[0]));
    }
    s = j_text(a->values[0]);
    if (a->values[1].kind == J_STRING) {
        width = j_text(a->values[1]);
    } else {
        int64_t count = 4;
        TS_TRY(whole_argument(r, a->values[1], 4, &count));
        TS_TRY(ts_jinja_new_string(r, " ", 1, 0, &indent));
        TS_TRY(ts_jinja_binary(r, '*', indent, j_int(count), &indent));
        width = j_text(indent);
    }
    TS_TRY(first ? ts_jinja_append(r, &b, width) : TS_OK);
    for (size_t from = 0, line = 0; from <= s->len; line++) {
        const char *end = from < s->len ? memchr(s->bytes + from, '\n', s->len - from) : NULL;
        size_t to = end != NULL ? (size_t)(end - s->bytes) : s->len;
        jvalue part;
        if (line > 0) {
            TS_TRY(ts_jinja_append_bytes(r, &b, "\n", 1, 0));
            TS_TRY(to > from || blank ? ts_jinja_append(r, &b, width) : TS_OK);
        }
        TS_TRY(ts_jinja_part(r, s, from, to, &part));
        TS_TRY(ts_jinja_append(r, &b, j_text(part)));
        from = to + 1;
    }
    TS_TRY(ts_jinja_built(r, &b, out));
out:
    return status;
}

static ts_status filter_truncate(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    const jstring *s = NULL, *end = &(const jstring){.bytes = "...", .len = 3, .characters = 3};
    int64_t length = 255, leeway = 5, count = 0;
    // Raises Python's error if the value has no length.
    TS_TRY(ts_jinja_length(r, a->values[0], &count));
    TS_TRY(text_of(r, a->values[0], &s));
    TS_TRY(whole_argument(r, a->values[1], 255, &length));
    TS_TRY(whole_argument(r, a->values[4], 5, &leeway));
    if (a->values[3].kind == J_STRING) {
        end = j_text(a->values[3]);
    }
    if (length < (int64_t)end->characters || leeway < 0) {
        status = ts_jinja_raise(r, "expected length >= %zu, got %lld", end->characters,
                                (long long)length);
        goto out;
    }
    if (count <= length + leeway) {
        *out = a->values[0];
        goto out;
    }
    if (a->values[0].kind != J_STRING) {
        status =
            ts_jinja_lacks(r, "truncate of a '%s' is not implemented", ts_jinja_type(a->values[0]));
        goto out;
    }
    size_t to = ts_jinja_offset(s, (size_t)length - end->characters);
    if (!ts_jinja_truth(a->values[2])) { // cut at the last space, if there is one
        const char *space = memrchr(s->bytes, ' ', to);
        to = space != NULL ? (size_t)(space - s->bytes) : to;
    }
    jvalue kept;
    TS_TRY(ts_jinja_part(r, s, 0, to, &kept));
    TS_TRY(ts_jinja_concat(r, j_text(kept), end, out));
out:
    return status;
}

static ts_status filter_wordcount(jrun *r, const jargs *a, jvalue *out)
{
    const jstring *s = NULL;
    ts_status status = text_of(r, a->values[0], &s);
    int64_t count = 0;
    bool inside = false;
    for (size_t at = 0, taken; status == TS_OK && at < s->len; at += taken) {
        int32_t cp = ts_utf8_decode(s->bytes + at, s->len - at, &taken);
        bool word = cp == '_' || ts_jinja_is_letter(cp) || ts_jinja_is_digit(cp);
        count += word && !inside;
        inside = word;
    }
    *out = j_int(count);
    return status;
}

// tojson as Hugging Face defines it: json.dumps(value, ensure_ascii, indent, separators, sort_keys)
static ts_status filter_tojson(jrun *r, const jargs *a, jvalue *out)
{
    static const jstring comma = {.bytes = ", ", .len = 2}, colon = {.bytes = ": ", .len = 2},
                         bare = {.bytes = ",", .len = 1};
    ts_status status = TS_OK;
    jbuilder b = {0};
    jvalue indent = a->values[2], blank;
    jjson how = {.comma = &comma,
                 .colon = &colon,
                 .ascii = ts_jinja_truth(a->values[1]),
                 .sorted = ts_jinja_truth(a->values[4])};
    if (j_is_whole(indent)) {
        int64_t width = j_whole(indent) > 0 ? j_whole(indent) : 0;
        TS_TRY(ts_jinja_new_string(r, " ", 1, 0, &blank));
        TS_TRY(ts_jinja_binary(r, '*', blank, j_int(width), &indent));
    }
    if (indent.kind == J_STRING) {
        how.indent = j_text(indent);
        how.comma = &bare;
    }
    if (j_given(a->values[3])) {
        jlist pair = {0};
        TS_TRY(ts_jinja_iterate(r, a->values[3], &pair));
        if (pair.count != 2 || pair.items[0].kind != J_STRING || pair.items[1].kind != J_STRING) {
            status = ts_jinja_raise(r, "tojson: separators must be two strings");
            goto out;
        }
        how.comma = j_text(pair.items[0]);
        how.colon = j_text(pair.items[1]);
    }
    TS_TRY(ts_jinja_append_json(r, &b, a->values[0], &how, 0));
    TS_TRY(ts_jinja_built(r, &b, out));
out:
    return status;
}

static const jrow filters[] = {
    {"abs", filter_abs, 1, {"x"}},
    {"attr", filter_attr, 2, {"obj", "name"}},
    {"capitalize", filter_capitalize, 1, {"s"}},
    {"center", filter_center, 1, {"value", "width"}},
    {"count", filter_length, 1, {"obj"}},
    {"d", filter_default, 1, {"value", "default_value", "boolean"}},
    {"default", filter_default, 1, {"value", "default_value", "boolean"}},
    {"e", filter_escape, 1, {"s"}},
    {"escape", filter_escape, 1, {"s"}},
    {"float", filter_float, 1, {"value", "default"}},
    {"format", filter_format, 0, {NULL}},
    {"indent", filter_indent, 1, {"s", "width", "first", "blank"}},
    {"int", filter_int, 1, {"value", "default", "base"}},
    {"length", filter_length, 1, {"obj"}},
    {"lower", filter_lower, 1, {"s"}},
    {"replace", filter_replace, 3, {"s", "old", "new", "count"}},
    {"round", filter_round, 1, {"value", "precision", "method"}},
    {"safe", filter_safe, 1, {"value"}},
    {"string", filter_string, 1, {"object"}},
    {"title", filter_title, 1, {"s"}},
    {"tojson", filter_tojson, 1, {"x", "ensure_ascii", "indent", "separators", "sort_keys"}},
    {"trim", filter_trim, 1, {"value", "chars"}},
    {"truncate", filter_truncate, 1, {"s", "length", "killwords", "end", "leeway"}},
    {"upper", filter_upper, 1, {"s"}},
    {"wordcount", filter_wordcount, 1, {"s"}},
};

const jrow *ts_jinja_find_row(const jrow *rows, size_t count, const char *name, size_t len)
{
    for (size_t i = 0; i < count; i++) {
        // A name computed by the template may contain a NUL, so the length is compared too.
        if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

const jrow *ts_jinja_find_filter(const char *name, size_t len)
{
    const jrow *row = ts_jinja_find_row(filters, TS_COUNT(filters), name, len);
    return row != NULL ? row
                       : ts_jinja_find_row(ts_jinja_sequence_filters,
                                           ts_jinja_sequence_filter_count, name, len);
}
