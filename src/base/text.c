#include "base/text.h"

#include "base/memory.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ts_status ts_text_append(ts_text *text, const char *bytes, size_t len, ts_error *err)
{
    ts_status status = ts_grow(&text->bytes, &text->capacity, text->len + len + 1, 1, err);
    if (status != TS_OK) {
        return status;
    }
    if (len > 0) {
        memcpy(text->bytes + text->len, bytes, len);
    }
    text->len += len;
    text->bytes[text->len] = '\0';
    return TS_OK;
}

ts_status ts_text_format(ts_text *text, ts_error *err, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    // printf counts in an int: it fails above 2 GiB. Long texts are appended by ts_text_append.
    ts_status status =
        len < 0 ? ts_error_set(err, TS_ERR_MEMORY, "a text of more than 2 GiB is too long to print")
                : ts_grow(&text->bytes, &text->capacity, text->len + (size_t)len + 1, 1, err);
    if (status == TS_OK) {
        vsnprintf(text->bytes + text->len, (size_t)len + 1, format, again);
        text->len += (size_t)len;
    }
    va_end(again);
    return status;
}

ts_status ts_text_list(ts_text *list, const char *between, const char *item, ts_error *err)
{
    return ts_text_format(list, err, "%s%s", list->len > 0 ? between : "", item);
}

void ts_text_number(double value, char out[TS_NUMBER_BYTES])
{
    if (value == floor(value) && fabs(value) < 1e15) {
        snprintf(out, TS_NUMBER_BYTES, "%.0f", value);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, TS_NUMBER_BYTES, "%.*g", digits, value);
        if (strtod(out, NULL) == value) {
            return;
        }
    }
}

void ts_text_clear(ts_text *text)
{
    text->len = 0;
    if (text->bytes != NULL) {
        text->bytes[0] = '\0';
    }
}

void ts_text_free(ts_text *text)
{
    free(text->bytes);
    *text = (ts_text){0};
}

int32_t ts_utf8_decode(const char *bytes, size_t len, size_t *taken)
{
    const unsigned char *b = (const unsigned char *)bytes;
    *taken = 1;
    if (len == 0) {
        return -1;
    }
    if (b[0] < 0x80) {
        return b[0];
    }
    size_t n = b[0] >= 0xF0 ? 4 : b[0] >= 0xE0 ? 3 : 2;
    if (b[0] < 0xC2 || b[0] > 0xF4 || n > len) {
        return -1;
    }
    static const int32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    int32_t cp = b[0] & (0x7F >> n);
    for (size_t i = 1; i < n; i++) {
        if (!ts_utf8_is_continuation(b[i])) {
            return -1;
        }
        cp = cp << 6 | (b[i] & 0x3F);
    }
    if (cp < smallest[n] || cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF)) {
        return -1;
    }
    *taken = n;
    return cp;
}

size_t ts_utf8_encode(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (cp & 0x3F));
        cp >>= 6;
    }
    out[0] = (char)((0xF00 >> n & 0xFF) | cp);
    return n;
}

size_t ts_utf8_valid_prefix(const char *bytes, size_t len)
{
    size_t at = 0, taken;
    while (at < len && ts_utf8_decode(bytes + at, len - at, &taken) >= 0) {
        at += taken;
    }
    return at;
}

static bool within(int32_t cp, int32_t low, int32_t high)
{
    return cp >= low && cp <= high;
}

ts_status ts_text_append_clean(ts_text *text, const char *bytes, size_t len, ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t at = 0, taken; at < len; at += taken) {
        int32_t cp = ts_utf8_decode(bytes + at, len - at, &taken);
        bool control = cp < 0x20 || within(cp, 0x7F, 0x9F);
        if (cp == '\r') {
            taken += at + 1 < len && bytes[at + 1] == '\n';
            TS_TRY(ts_text_append(text, "\n", 1, err));
        } else if ((control && cp != '\n' && cp != '\t') || within(cp, 0x202A, 0x202E) ||
                   within(cp, 0x2066, 0x2069)) {
            TS_TRY(ts_text_append(text, "\xEF\xBF\xBD", 3, err));
        } else {
            TS_TRY(ts_text_append(text, bytes + at, taken, err));
        }
    }
out:
    return status;
}
