// A growing byte string, always NUL-terminated, and the UTF-8 functions that the program needs.
#ifndef TS_BASE_TEXT_H
#define TS_BASE_TEXT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Starts zeroed; `bytes` is NULL until something is appended.
typedef struct ts_text {
    char *bytes;
    size_t len, capacity; // len without the NUL
} ts_text;

ts_status ts_text_append(ts_text *text, const char *bytes, size_t len, ts_error *err);
ts_status ts_text_format(ts_text *text, ts_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// Appends bytes[0..len) as text that is safe to show. Invalid UTF-8, control characters (except
// newline and tab) and characters that change the direction of writing become U+FFFD. "\r\n" and
// "\r" become "\n".
ts_status ts_text_append_clean(ts_text *text, const char *bytes, size_t len, ts_error *err);
// Appends an item to a list such as "a, b or c". `between` stands before it unless it is the first:
// ", ", or " or " before the last.
ts_status ts_text_list(ts_text *list, const char *between, const char *item, ts_error *err);
void ts_text_clear(ts_text *text); // len = 0, memory kept
void ts_text_free(ts_text *text);

// The fewest digits that read back as the same finite number: "0.1", "5e-05". Whole numbers below
// 1e15 have all of theirs: "1000".
enum { TS_NUMBER_BYTES = 32 };
void ts_text_number(double value, char out[TS_NUMBER_BYTES]);

// The "s" of a plural: "1 example", "2 examples".
static inline const char *ts_plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

// Decodes the code point at bytes[0..len) and stores how many bytes it took (1 to 4). Strict:
// no overlong forms, no surrogates, nothing above U+10FFFF. Returns -1 on invalid UTF-8.
int32_t ts_utf8_decode(const char *bytes, size_t len, size_t *taken);
// Whether a byte, signed or not, goes on with a character that an earlier byte began.
static inline bool ts_utf8_is_continuation(int byte)
{
    return (byte & 0xC0) == 0x80;
}
// Writes code point `cp` as 1 to 4 bytes and returns how many.
size_t ts_utf8_encode(uint32_t cp, char out[4]);
// Offset of the first byte that is not valid UTF-8, or `len`.
size_t ts_utf8_valid_prefix(const char *bytes, size_t len);

#endif
