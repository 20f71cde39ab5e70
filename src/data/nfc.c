// Normal form C, by libutf8proc. A text is cut before each character that NFC never joins with what
// stands before it, which is almost every one. Only parts that NFC may change are normalized. So
// each part's origin is known, and most texts cost one look-up a character.
//
// Hugging Face's tokenizers have the NFC of Unicode 9, in which a mark that was added later is a
// character like any other. utf8proc knows such marks, so it must not see them together with other
// characters.
#include "base/memory.h"
#include "data/unicode.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

bool ts_nfc_may_change(const char *text, size_t len)
{
    for (size_t at = 0, taken; at < len; at += taken) {
        if (ts_unicode_classes(ts_utf8_decode(text + at, len - at, &taken)) & TS_JOINS) {
            return true;
        }
    }
    return false;
}

typedef struct points {
    int32_t *list, *sorted; // code points, and memory to sort them
    size_t count, capacity, sorted_capacity;
} points;

static unsigned mark_class(int32_t c)
{
    return (unsigned)utf8proc_get_property(c)->combining_class;
}

// Appends what `c` decomposes into.
static ts_status decompose(points *p, int32_t c, ts_error *err)
{
    enum { MOST = 8 }; // canonical decompositions have up to 4
    int boundary = 0;
    ts_status status = ts_grow(&p->list, &p->capacity, p->count + MOST, sizeof *p->list, err);
    if (status == TS_OK) {
        utf8proc_ssize_t count = utf8proc_decompose_char(
            c, p->list + p->count, MOST, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &boundary);
        p->count += count > 0 ? (size_t)count : 0;
    }
    return status;
}

// Puts each sequence of marks in the order of their classes; equal ones stay as they are. Text may
// hold any number of marks in a row, so this is a counting sort, in linear time.
static ts_status order_marks(points *p, ts_error *err)
{
    ts_status status = ts_grow(&p->sorted, &p->sorted_capacity, p->count, sizeof *p->sorted, err);
    for (size_t from = 0, to; from < p->count && status == TS_OK; from = to + 1) {
        size_t places[257] = {0};
        for (to = from; to < p->count && mark_class(p->list[to]) != 0; to++) {
            places[mark_class(p->list[to]) + 1]++;
        }
        for (size_t i = 1; i < TS_COUNT(places); i++) {
            places[i] += places[i - 1];
        }
        for (size_t i = from; i < to; i++) {
            p->sorted[places[mark_class(p->list[i])]++] = p->list[i];
        }
        if (to > from) {
            memcpy(p->list + from, p->sorted, (to - from) * sizeof *p->list);
        }
    }
    return status;
}

static ts_status append(const char *bytes, size_t len, size_t origin, ts_text *out,
                        ts_tokens *origins, ts_error *err)
{
    ts_status status = ts_text_append(out, bytes, len, err);
    for (size_t i = 0; i < len && status == TS_OK; i++) {
        status = ts_tokens_push(origins, (uint32_t)origin, err);
    }
    return status;
}

// Appends the normal form of text[from..to): at most one character that joins nothing, then some
// that do.
static ts_status append_part(points *p, const char *text, size_t from, size_t to, ts_text *out,
                             ts_tokens *origins, ts_error *err)
{
    ts_status status = TS_OK;
    p->count = 0;
    for (size_t at = from, taken; at < to; at += taken) {
        TS_TRY(decompose(p, ts_utf8_decode(text + at, to - at, &taken), err));
    }
    TS_TRY(order_marks(p, err));
    utf8proc_ssize_t count = utf8proc_normalize_utf32(p->list, (utf8proc_ssize_t)p->count,
                                                      UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    for (utf8proc_ssize_t i = 0; i < count; i++) {
        char bytes[4];
        size_t len = ts_utf8_encode((uint32_t)p->list[i], bytes);
        TS_TRY(append(bytes, len, from, out, origins, err));
    }
out:
    return status;
}

ts_status ts_nfc_append(const char *text, size_t len, ts_text *out, ts_tokens *origins,
                        ts_error *err)
{
    ts_status status = TS_OK;
    points p = {0};
    for (size_t from = 0, to; from < len; from = to) {
        size_t taken, next;
        int32_t c = ts_utf8_decode(text + from, len - from, &taken);
        bool joins = (ts_unicode_classes(c) & TS_JOINS) != 0;
        to = from + taken;
        if (joins || mark_class(c) == 0) { // otherwise a mark newer than Unicode 9
            while (to < len &&
                   ts_unicode_classes(ts_utf8_decode(text + to, len - to, &next)) & TS_JOINS) {
                to += next;
                joins = true;
            }
        }
        if (joins) {
            TS_TRY(append_part(&p, text, from, to, out, origins, err));
            continue;
        }
        for (size_t i = from; i < to; i++) {
            TS_TRY(append(text + i, 1, i, out, origins, err));
        }
    }
out:
    free(p.list);
    free(p.sorted);
    return status;
}
