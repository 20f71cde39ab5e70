// Strings in which each byte has a source. A character is a code point.
#include "data/jinja/parts.h"

#include <string.h>

size_t ts_jinja_characters(const char *bytes, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        count += !ts_utf8_is_continuation(bytes[i]);
    }
    return count;
}

ts_status ts_jinja_new_string(jrun *r, const char *bytes, size_t len, uint16_t source, jvalue *out)
{
    ts_status status = TS_OK;
    jstring *s = NULL;
    char *copy = NULL;
    TS_TRY(ts_jinja_alloc(r, 1, sizeof *s, &s));
    TS_TRY(ts_jinja_alloc(r, len + 1, 1, &copy));
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    *s = (jstring){
        .bytes = copy, .len = len, .characters = ts_jinja_characters(copy, len), .source = source};
    *out = j_string(s);
out:
    return status;
}

// ---- Building

// Makes room for `len` more bytes; with `mixed`, for a source for each byte.
static ts_status reserve(jrun *r, jbuilder *b, size_t len, bool mixed)
{
    ts_status status = TS_OK;
    if (b->capacity - b->len < len) {
        size_t capacity = ts_max_u64(b->capacity * 2, b->len + len + 32);
        char *bytes = NULL;
        uint16_t *sources = NULL;
        TS_TRY(ts_jinja_alloc(r, capacity, 1, &bytes));
        if (b->len > 0) {
            memcpy(bytes, b->bytes, b->len);
        }
        if (b->sources != NULL) {
            TS_TRY(ts_jinja_alloc(r, capacity, sizeof *sources, &sources));
            memcpy(sources, b->sources, b->len * sizeof *sources);
            b->sources = sources;
        }
        b->bytes = bytes;
        b->capacity = capacity;
    }
    if (mixed && b->sources == NULL) {
        TS_TRY(ts_jinja_alloc(r, b->capacity, sizeof *b->sources, &b->sources));
        for (size_t i = 0; i < b->len; i++) {
            b->sources[i] = b->source;
        }
    }
out:
    return status;
}

static ts_status append(jrun *r, jbuilder *b, const char *bytes, size_t len,
                        const uint16_t *sources, uint16_t source)
{
    if (len == 0) {
        return TS_OK;
    }
    if (b->len == 0 && b->sources == NULL) {
        b->source = source;
    }
    bool mixed = sources != NULL || b->sources != NULL || b->source != source;
    ts_status status = reserve(r, b, len, mixed);
    if (status == TS_OK) {
        memcpy(b->bytes + b->len, bytes, len);
        if (mixed && sources != NULL) {
            memcpy(b->sources + b->len, sources, len * sizeof *sources);
        }
        for (size_t i = 0; mixed && sources == NULL && i < len; i++) {
            b->sources[b->len + i] = source;
        }
        b->len += len;
    }
    return status;
}

ts_status ts_jinja_append(jrun *r, jbuilder *b, const jstring *s)
{
    return append(r, b, s->bytes, s->len, s->sources, s->source);
}

ts_status ts_jinja_append_bytes(jrun *r, jbuilder *b, const char *bytes, size_t len,
                                uint16_t source)
{
    return append(r, b, bytes, len, NULL, source);
}

// Appends bytes [from, to) of `s`.
static ts_status append_part(jrun *r, jbuilder *b, const jstring *s, size_t from, size_t to)
{
    return append(r, b, s->bytes + from, to - from, s->sources != NULL ? s->sources + from : NULL,
                  s->source);
}

ts_status ts_jinja_built(jrun *r, jbuilder *b, jvalue *out)
{
    jstring *s = NULL;
    ts_status status = ts_jinja_alloc(r, 1, sizeof *s, &s);
    if (status == TS_OK) {
        *s = (jstring){.bytes = b->len > 0 ? b->bytes : "",
                       .len = b->len,
                       .characters = ts_jinja_characters(b->bytes, b->len),
                       .sources = b->sources,
                       .source = b->source};
        *out = j_string(s);
    }
    return status;
}

ts_status ts_jinja_part(jrun *r, const jstring *s, size_t from, size_t to, jvalue *out)
{
    jstring *part = NULL;
    ts_status status = ts_jinja_alloc(r, 1, sizeof *part, &part);
    if (status == TS_OK) {
        *part = (jstring){.bytes = s->bytes + from,
                          .len = to - from,
                          .characters = ts_jinja_characters(s->bytes + from, to - from),
                          .sources = s->sources != NULL ? s->sources + from : NULL,
                          .source = s->source};
        *out = j_string(part);
        status = ts_jinja_step(r, (to - from) >> 6);
    }
    return status;
}

size_t ts_jinja_offset(const jstring *s, size_t index)
{
    if (s->characters == s->len) {
        return index;
    }
    size_t at = 0;
    for (size_t count = 0; at < s->len; at++) {
        bool begins = !ts_utf8_is_continuation(s->bytes[at]);
        if (begins && count++ == index) {
            break;
        }
    }
    return at;
}

size_t ts_jinja_find(const jstring *s, const jstring *needle, size_t from)
{
    if (needle->len > s->len || from > s->len - needle->len) {
        return SIZE_MAX;
    }
    if (needle->len == 0) {
        return from;
    }
    const char *found = memmem(s->bytes + from, s->len - from, needle->bytes, needle->len);
    return found != NULL ? (size_t)(found - s->bytes) : SIZE_MAX;
}

size_t ts_jinja_find_last(const jstring *s, const jstring *needle, size_t to)
{
    for (size_t at = needle->len <= to ? to - needle->len + 1 : 0; at-- > 0;) {
        if (memcmp(s->bytes + at, needle->bytes, needle->len) == 0) {
            return at;
        }
    }
    return SIZE_MAX;
}

// Text appended to a result of `safe` is escaped.
ts_status ts_jinja_concat(jrun *r, const jstring *a, const jstring *b, jvalue *out)
{
    ts_status status = TS_OK;
    jbuilder built = {0};
    bool markup = a->markup || b->markup;
    jvalue escaped;
    if (markup && a->markup != b->markup) {
        TS_TRY(ts_jinja_escape(r, a->markup ? b : a, &escaped));
        a = a->markup ? a : j_text(escaped);
        b = b->markup ? b : j_text(escaped);
    }
    TS_TRY(reserve(r, &built, a->len + b->len, false));
    TS_TRY(ts_jinja_append(r, &built, a));
    TS_TRY(ts_jinja_append(r, &built, b));
    TS_TRY(ts_jinja_built(r, &built, out));
    ((jstring *)out->pointer)->markup = markup;
out:
    return status;
}

ts_status ts_jinja_escape(jrun *r, const jstring *s, jvalue *out)
{
    static const struct {
        char c;
        const char *text;
    } escapes[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'\'', "&#39;"}, {'"', "&#34;"}};
    ts_status status = TS_OK;
    jbuilder b = {0};
    size_t from = 0;
    for (size_t at = 0; at < s->len && !s->markup; at++) {
        for (size_t i = 0; i < TS_COUNT(escapes); i++) {
            if (s->bytes[at] == escapes[i].c) {
                TS_TRY(append_part(r, &b, s, from, at));
                TS_TRY(ts_jinja_append_bytes(r, &b, escapes[i].text, strlen(escapes[i].text),
                                             j_source(s, at)));
                from = at + 1;
            }
        }
    }
    TS_TRY(append_part(r, &b, s, from, s->len));
    TS_TRY(ts_jinja_built(r, &b, out));
    ((jstring *)out->pointer)->markup = true;
out:
    return status;
}

// ---- For the methods of str and the filters of the same names

static bool in_set(const jstring *set, const char *bytes, size_t len, int32_t cp)
{
    if (set == NULL) {
        return ts_jinja_is_blank(cp);
    }
    for (size_t at = 0, taken; at < set->len; at += taken) {
        ts_utf8_decode(set->bytes + at, set->len - at, &taken);
        if (taken == len && memcmp(set->bytes + at, bytes, len) == 0) {
            return true;
        }
    }
    return false;
}

ts_status ts_jinja_strip(jrun *r, const jstring *s, const jstring *set, int sides, jvalue *out)
{
    size_t from = 0, to = s->len, taken;
    while ((sides & 1) != 0 && from < to) {
        int32_t cp = ts_utf8_decode(s->bytes + from, to - from, &taken);
        if (!in_set(set, s->bytes + from, taken, cp)) {
            break;
        }
        from += taken;
    }
    while ((sides & 2) != 0 && to > from) {
        size_t at = to - 1;
        while (at > from && ts_utf8_is_continuation(s->bytes[at])) {
            at--;
        }
        int32_t cp = ts_utf8_decode(s->bytes + at, to - at, &taken);
        if (!in_set(set, s->bytes + at, taken, cp)) {
            break;
        }
        to = at;
    }
    ts_status status = ts_jinja_step(r, set != NULL ? (s->len - (to - from)) * set->len >> 6 : 0);
    return status == TS_OK ? ts_jinja_part(r, s, from, to, out) : status;
}

// An empty `old` is found before every character and at the end.
static ts_status interleave(jrun *r, const jstring *s, const jstring *with, int64_t limit,
                            jvalue *out)
{
    ts_status status = TS_OK;
    jbuilder b = {0};
    for (size_t at = 0, taken = 0; at <= s->len; at += taken) {
        if (limit-- != 0) {
            TS_TRY(ts_jinja_append(r, &b, with));
        }
        if (at == s->len) {
            break;
        }
        ts_utf8_decode(s->bytes + at, s->len - at, &taken);
        TS_TRY(append_part(r, &b, s, at, at + taken));
    }
    TS_TRY(ts_jinja_built(r, &b, out));
out:
    return status;
}

ts_status ts_jinja_replace(jrun *r, const jstring *s, const jstring *old, const jstring *with,
                           int64_t limit, jvalue *out)
{
    ts_status status = TS_OK;
    jbuilder b = {0};
    size_t from = 0, found;
    if (old->len == 0) {
        return interleave(r, s, with, limit, out);
    }
    TS_TRY(ts_jinja_step(r, s->len >> 6));
    while (limit-- != 0 && (found = ts_jinja_find(s, old, from)) != SIZE_MAX) {
        TS_TRY(append_part(r, &b, s, from, found));
        TS_TRY(ts_jinja_append(r, &b, with));
        from = found + old->len;
    }
    TS_TRY(append_part(r, &b, s, from, s->len));
    TS_TRY(ts_jinja_built(r, &b, out));
out:
    return status;
}

ts_status ts_jinja_join(jrun *r, const jstring *separator, const jlist *items, jvalue *out)
{
    ts_status status = TS_OK;
    jbuilder b = {0};
    for (size_t i = 0; i < items->count; i++) {
        if (i > 0) {
            TS_TRY(ts_jinja_append(r, &b, separator));
        }
        TS_TRY(ts_jinja_append_print(r, &b, items->items[i]));
        TS_TRY(ts_jinja_step(r, 1));
    }
    TS_TRY(ts_jinja_built(r, &b, out));
out:
    return status;
}

// One character in another case. German's sharp s becomes two letters in upper case.
static size_t recased(int32_t cp, bool upper, bool first, char out[8])
{
    if (cp == 0xDF && upper) {
        out[0] = 'S';
        out[1] = first ? 's' : 'S';
        return 2;
    }
    uint32_t other = upper ? ts_jinja_to_upper((uint32_t)cp) : ts_jinja_to_lower((uint32_t)cp);
    return ts_utf8_encode(other, out);
}

ts_status ts_jinja_recase(jrun *r, const jstring *s, jcase how, jvalue *out)
{
    ts_status status = TS_OK;
    jbuilder b = {0};
    bool begins = true; // the next letter starts a word, or the text
    TS_TRY(reserve(r, &b, s->len, false));
    for (size_t at = 0, taken; at < s->len; at += taken) {
        char other[8];
        int32_t cp = ts_utf8_decode(s->bytes + at, s->len - at, &taken);
        bool upper = how == CASE_UPPER || ((how == CASE_TITLE || how == CASE_CAPITAL) && begins) ||
                     (how == CASE_SWAP && ts_jinja_is_lower(cp));
        size_t len = recased(cp, upper, how == CASE_TITLE || how == CASE_CAPITAL, other);
        TS_TRY(ts_jinja_append_bytes(r, &b, other, len, j_source(s, at)));
        begins = how == CASE_TITLE && !ts_jinja_is_letter(cp);
    }
    TS_TRY(ts_jinja_step(r, s->len >> 4));
    TS_TRY(ts_jinja_built(r, &b, out));
out:
    return status;
}
