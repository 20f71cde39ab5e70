// The methods of Python's str. values[0] is the string that the method is called on.
#include "data/jinja/parts.h"

#include <string.h>

ts_status ts_jinja_need_text(jrun *r, jvalue value, const char *method, const jstring **out)
{
    *out = value.pointer;
    return value.kind == J_STRING
               ? TS_OK
               : ts_jinja_raise(r, "%s: expected a str, not '%s'", method, ts_jinja_type(value));
}

static const jstring *self(const jargs *a)
{
    return j_text(a->values[0]);
}

// A start or end argument of find, count and startswith, in bytes; `otherwise` if it is not given.
static ts_status bound(jrun *r, const jstring *s, jvalue value, size_t otherwise, size_t *out)
{
    *out = otherwise;
    if (!j_given(value)) {
        return TS_OK;
    }
    if (!j_is_whole(value)) {
        return ts_jinja_raise(r,
                              "slice indices must be integers or None or have an __index__ method");
    }
    int64_t count = (int64_t)s->characters, index = j_whole(value);
    index += index < 0 ? count : 0;
    *out = ts_jinja_offset(s, (size_t)(index < 0 ? 0 : index > count ? count : index));
    return TS_OK;
}

// ---- Case and white space

static ts_status str_upper(jrun *r, const jargs *a, jvalue *out)
{
    return ts_jinja_recase(r, self(a), CASE_UPPER, out);
}

static ts_status str_lower(jrun *r, const jargs *a, jvalue *out)
{
    return ts_jinja_recase(r, self(a), CASE_LOWER, out);
}

static ts_status str_title(jrun *r, const jargs *a, jvalue *out)
{
    return ts_jinja_recase(r, self(a), CASE_TITLE, out);
}

static ts_status str_capitalize(jrun *r, const jargs *a, jvalue *out)
{
    return ts_jinja_recase(r, self(a), CASE_CAPITAL, out);
}

static ts_status str_swapcase(jrun *r, const jargs *a, jvalue *out)
{
    return ts_jinja_recase(r, self(a), CASE_SWAP, out);
}

static ts_status strip(jrun *r, const jargs *a, const char *method, int sides, jvalue *out)
{
    ts_status status = TS_OK;
    const jstring *set = NULL;
    if (j_given(a->values[1])) {
        TS_TRY(ts_jinja_need_text(r, a->values[1], method, &set));
    }
    TS_TRY(ts_jinja_strip(r, self(a), set, sides, out));
out:
    return status;
}

static ts_status str_strip(jrun *r, const jargs *a, jvalue *out)
{
    return strip(r, a, "strip", 3, out);
}

static ts_status str_lstrip(jrun *r, const jargs *a, jvalue *out)
{
    return strip(r, a, "lstrip", 1, out);
}

static ts_status str_rstrip(jrun *r, const jargs *a, jvalue *out)
{
    return strip(r, a, "rstrip", 2, out);
}

// ---- Searching

// Whether the string starts (or ends) with the text, or with one of a tuple of texts.
static ts_status has_affix(jrun *r, const jargs *a, bool at_end, jvalue *out)
{
    ts_status status = TS_OK;
    const jstring *s = self(a), *affix = NULL;
    size_t from, to;
    jlist affixes = {.items = &a->values[1], .count = 1};
    bool found = false;
    TS_TRY(bound(r, s, a->values[2], 0, &from));
    TS_TRY(bound(r, s, a->values[3], s->len, &to));
    if (a->values[1].kind == J_TUPLE) {
        affixes = *j_list(a->values[1]);
    }
    for (size_t i = 0; i < affixes.count && !found; i++) {
        TS_TRY(ts_jinja_need_text(r, affixes.items[i], at_end ? "endswith" : "startswith", &affix));
        found = from <= to && affix->len <= to - from &&
                memcmp(s->bytes + (at_end ? to - affix->len : from), affix->bytes, affix->len) == 0;
    }
    *out = j_bool(found);
out:
    return status;
}

static ts_status str_startswith(jrun *r, const jargs *a, jvalue *out)
{
    return has_affix(r, a, false, out);
}

static ts_status str_endswith(jrun *r, const jargs *a, jvalue *out)
{
    return has_affix(r, a, true, out);
}

static ts_status cut_affix(jrun *r, const jargs *a, bool at_end, jvalue *out)
{
    ts_status status = TS_OK;
    const jstring *s = self(a), *affix = NULL;
    TS_TRY(ts_jinja_need_text(r, a->values[1], at_end ? "removesuffix" : "removeprefix", &affix));
    size_t at = at_end ? s->len - affix->len : 0;
    size_t cut = affix->len <= s->len && memcmp(s->bytes + at, affix->bytes, affix->len) == 0
                     ? affix->len
                     : 0;
    TS_TRY(ts_jinja_part(r, s, at_end ? 0 : cut, at_end ? s->len - cut : s->len, out));
out:
    return status;
}

static ts_status str_removeprefix(jrun *r, const jargs *a, jvalue *out)
{
    return cut_affix(r, a, false, out);
}

static ts_status str_removesuffix(jrun *r, const jargs *a, jvalue *out)
{
    return cut_affix(r, a, true, out);
}

// The index, in characters, at which the text is found, or -1.
static ts_status find(jrun *r, const jargs *a, bool last, jvalue *out)
{
    ts_status status = TS_OK;
    const jstring *s = self(a), *needle = NULL;
    size_t from, to;
    TS_TRY(ts_jinja_need_text(r, a->values[1], "find", &needle));
    TS_TRY(bound(r, s, a->values[2], 0, &from));
    TS_TRY(bound(r, s, a->values[3], s->len, &to));
    TS_TRY(ts_jinja_step(r, s->len >> 6));
    jstring within = {.bytes = s->bytes, .len = to};
    size_t found = last ? ts_jinja_find_last(s, needle, to) : ts_jinja_find(&within, needle, from);
    found = last && found < from ? SIZE_MAX : found;
    *out = j_int(found == SIZE_MAX ? -1 : (int64_t)ts_jinja_characters(s->bytes, found));
out:
    return status;
}

static ts_status str_find(jrun *r, const jargs *a, jvalue *out)
{
    return find(r, a, false, out);
}

static ts_status str_rfind(jrun *r, const jargs *a, jvalue *out)
{
    return find(r, a, true, out);
}

static ts_status str_index(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = find(r, a, false, out);
    return status == TS_OK && out->integer < 0 ? ts_jinja_raise(r, "substring not found") : status;
}

static ts_status str_rindex(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = find(r, a, true, out);
    return status == TS_OK && out->integer < 0 ? ts_jinja_raise(r, "substring not found") : status;
}

static ts_status str_count(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    const jstring *s = self(a), *needle = NULL;
    size_t from, to;
    int64_t count = 0;
    TS_TRY(ts_jinja_need_text(r, a->values[1], "count", &needle));
    TS_TRY(bound(r, s, a->values[2], 0, &from));
    TS_TRY(bound(r, s, a->values[3], s->len, &to));
    TS_TRY(ts_jinja_step(r, s->len >> 6));
    jstring within = {.bytes = s->bytes, .len = to};
    if (needle->len == 0) {
        count = from <= to ? (int64_t)ts_jinja_characters(s->bytes + from, to - from) + 1 : 0;
    } else {
        for (size_t at; (at = ts_jinja_find(&within, needle, from)) != SIZE_MAX; count++) {
            from = at + needle->len;
        }
    }
    *out = j_int(count);
out:
    return status;
}

// Whether the string has a character, and all of them belong to a class.
static ts_status all_are(const jargs *a, bool (*test)(int32_t), jvalue *out)
{
    const jstring *s = self(a);
    bool all = s->len > 0;
    for (size_t at = 0, taken; at < s->len && all; at += taken) {
        all = test(ts_utf8_decode(s->bytes + at, s->len - at, &taken));
    }
    *out = j_bool(all);
    return TS_OK;
}

static bool is_alphanumeric(int32_t cp)
{
    return ts_jinja_is_letter(cp) || ts_jinja_is_digit(cp);
}

static bool is_ascii(int32_t cp)
{
    return cp < 0x80;
}

static ts_status str_isdigit(jrun *r, const jargs *a, jvalue *out)
{
    (void)r;
    return all_are(a, ts_jinja_is_digit, out);
}

static ts_status str_isalpha(jrun *r, const jargs *a, jvalue *out)
{
    (void)r;
    return all_are(a, ts_jinja_is_letter, out);
}

static ts_status str_isalnum(jrun *r, const jargs *a, jvalue *out)
{
    (void)r;
    return all_are(a, is_alphanumeric, out);
}

static ts_status str_isspace(jrun *r, const jargs *a, jvalue *out)
{
    (void)r;
    return all_are(a, ts_jinja_is_blank, out);
}

static ts_status str_isascii(jrun *r, const jargs *a, jvalue *out)
{
    (void)r;
    *out = j_bool(true);
    return self(a)->len > 0 ? all_are(a, is_ascii, out) : TS_OK;
}

static ts_status cased(jrun *r, const jargs *a, const char *test, jvalue *out)
{
    jargs one = {.values = a->values, .count = 1};
    return ts_jinja_call_row(r, ts_jinja_find_test(test, strlen(test)), "test", &one, out);
}

static ts_status str_isupper(jrun *r, const jargs *a, jvalue *out)
{
    return cased(r, a, "upper", out);
}

static ts_status str_islower(jrun *r, const jargs *a, jvalue *out)
{
    return cased(r, a, "lower", out);
}

// ---- Changing

static ts_status str_replace(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    const jstring *old = NULL, *with = NULL;
    int64_t limit = -1;
    TS_TRY(ts_jinja_need_text(r, a->values[1], "replace", &old));
    TS_TRY(ts_jinja_need_text(r, a->values[2], "replace", &with));
    if (a->values[3].kind != J_MISSING) {
        if (!j_is_whole(a->values[3])) {
            return ts_jinja_raise(r, "'%s' object cannot be interpreted as an integer",
                                  ts_jinja_type(a->values[3]));
        }
        limit = j_whole(a->values[3]);
    }
    TS_TRY(ts_jinja_replace(r, self(a), old, with, limit, out));
out:
    return status;
}

static ts_status str_join(jrun *r, const jargs *a, jvalue *out)
{
    ts_status status = TS_OK;
    jlist items = {0};
    TS_TRY(ts_jinja_iterate(r, a->values[1], &items));
    for (size_t i = 0; i < items.count; i++) {
        if (items.items[i].kind != J_STRING) {
            return ts_jinja_raise(r, "sequence item %zu: expected str instance, %s found", i,
                                  ts_jinja_type(items.items[i]));
        }
    }
    TS_TRY(ts_jinja_join(r, self(a), &items, out));
out:
    return status;
}

// The string with `left` and `right` fillers around it.
static ts_status pad(jrun *r, const jstring *s, int64_t left, int64_t right, const jstring *fill,
                     jvalue *out)
{
    ts_status status = TS_OK;
    jbuilder b = {0};
    for (int64_t i = 0; i < left; i++) {
        TS_TRY(ts_jinja_append(r, &b, fill));
    }
    TS_TRY(ts_jinja_append(r, &b, s));
    for (int64_t i = 0; i < right; i++) {
        TS_TRY(ts_jinja_append(r, &b, fill));
    }
    TS_TRY(ts_jinja_built(r, &b, out));
out:
    return status;
}

static ts_status justify(jrun *r, const jargs *a, char side, jvalue *out)
{
    ts_status status = TS_OK;
    const jstring *fill = &(const jstring){.bytes = " ", .len = 1, .characters = 1};
    if (!j_is_whole(a->values[1])) {
        return ts_jinja_raise(r, "'%s' object cannot be interpreted as an integer",
                              ts_jinja_type(a->values[1]));
    }
    if (j_given(a->values[2])) {
        TS_TRY(ts_jinja_need_text(r, a->values[2], "the fill character", &fill));
        if (fill->characters != 1) {
            return ts_jinja_raise(r, "The fill character must be exactly one character long");
        }
    }
    int64_t width = j_whole(a->values[1]), room = width - (int64_t)self(a)->characters;
    room = room < 0 ? 0 : room;
    int64_t left = side == 'l' ? 0 : side == 'r' ? room : room / 2 + (room & width & 1);
    TS_TRY(pad(r, self(a), left, room - left, fill, out));
out:
    return status;
}

static ts_status str_ljust(jrun *r, const jargs *a, jvalue *out)
{
    return justify(r, a, 'l', out);
}

static ts_status str_rjust(jrun *r, const jargs *a, jvalue *out)
{
    return justify(r, a, 'r', out);
}

static ts_status str_center(jrun *r, const jargs *a, jvalue *out)
{
    return justify(r, a, 'c', out);
}

const jrow ts_jinja_string_methods[] = {
    {"capitalize", str_capitalize, 1, {"self"}},
    {"casefold", str_lower, 1, {"self"}},
    {"center", str_center, 2, {"self", "width", "fillchar"}},
    {"count", str_count, 2, {"self", "sub", "start", "end"}},
    {"encode", NULL, 1, {"self"}},
    {"endswith", str_endswith, 2, {"self", "suffix", "start", "end"}},
    {"expandtabs", NULL, 1, {"self"}},
    {"find", str_find, 2, {"self", "sub", "start", "end"}},
    {"format", ts_jinja_str_format, 0, {NULL}},
    {"format_map", NULL, 1, {"self"}},
    {"index", str_index, 2, {"self", "sub", "start", "end"}},
    {"isalnum", str_isalnum, 1, {"self"}},
    {"isalpha", str_isalpha, 1, {"self"}},
    {"isascii", str_isascii, 1, {"self"}},
    {"isdecimal", str_isdigit, 1, {"self"}},
    {"isdigit", str_isdigit, 1, {"self"}},
    {"isidentifier", NULL, 1, {"self"}},
    {"islower", str_islower, 1, {"self"}},
    {"isnumeric", str_isdigit, 1, {"self"}},
    {"isprintable", NULL, 1, {"self"}},
    {"isspace", str_isspace, 1, {"self"}},
    {"istitle", NULL, 1, {"self"}},
    {"isupper", str_isupper, 1, {"self"}},
    {"join", str_join, 2, {"self", "iterable"}},
    {"ljust", str_ljust, 2, {"self", "width", "fillchar"}},
    {"lower", str_lower, 1, {"self"}},
    {"lstrip", str_lstrip, 1, {"self", "chars"}},
    {"maketrans", NULL, 1, {"self"}},
    {"partition", ts_jinja_str_partition, 2, {"self", "sep"}},
    {"removeprefix", str_removeprefix, 2, {"self", "prefix"}},
    {"removesuffix", str_removesuffix, 2, {"self", "suffix"}},
    {"replace", str_replace, 3, {"self", "old", "new", "count"}},
    {"rfind", str_rfind, 2, {"self", "sub", "start", "end"}},
    {"rindex", str_rindex, 2, {"self", "sub", "start", "end"}},
    {"rjust", str_rjust, 2, {"self", "width", "fillchar"}},
    {"rpartition", ts_jinja_str_rpartition, 2, {"self", "sep"}},
    {"rsplit", ts_jinja_str_rsplit, 1, {"self", "sep", "maxsplit"}},
    {"rstrip", str_rstrip, 1, {"self", "chars"}},
    {"split", ts_jinja_str_split, 1, {"self", "sep", "maxsplit"}},
    {"splitlines", ts_jinja_str_splitlines, 1, {"self", "keepends"}},
    {"startswith", str_startswith, 2, {"self", "prefix", "start", "end"}},
    {"strip", str_strip, 1, {"self", "chars"}},
    {"swapcase", str_swapcase, 1, {"self"}},
    {"title", str_title, 1, {"self"}},
    {"translate", NULL, 1, {"self"}},
    {"upper", str_upper, 1, {"self"}},
    {"zfill", NULL, 1, {"self"}},
};
const size_t ts_jinja_string_method_count = TS_COUNT(ts_jinja_string_methods);
