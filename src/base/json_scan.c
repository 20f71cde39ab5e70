// The check that runs before cJSON parses. It holds the text to the grammar of RFC 8259 and to the
// rules of json.h, because cJSON alone accepts more.
#include "base/json_scan.h"

#include "base/hash.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_DEPTH = 64,
    MAX_NUMBER_CHARACTERS = 63, // what cJSON's own buffer holds
};

// A key seen so far. The keys are in a hash table, so that finding duplicates takes time linear in
// the text.
typedef struct seen_key {
    uint64_t hash;
    uint32_t object; // number of the object it stands in, from 1; 0: free slot
    size_t start, len;
} seen_key;

typedef struct scanner {
    const char *bytes;
    size_t len, at;
    const char *name;
    size_t first_line, first_column;
    uint32_t objects;
    ts_text keys; // the keys, unescaped, one after the other
    seen_key *seen;
    size_t seen_count, seen_slots; // slots: a power of two or 0
    size_t nuls;                   // how often \u0000 stands in the text
    ts_error *err;
} scanner;

__attribute__((format(printf, 3, 4))) static ts_status refuse(scanner *s, size_t at,
                                                              const char *format, ...)
{
    size_t line = s->first_line, column = s->first_column;
    for (size_t i = 0; i < at && i < s->len; i++) {
        if (s->bytes[i] == '\n') {
            line++;
            column = 1;
        } else {
            column += !ts_utf8_is_continuation(s->bytes[i]); // characters, not bytes
        }
    }
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return ts_error_set(s->err, TS_ERR_FORMAT, "%s:%zu:%zu: %s", s->name, line, column, message);
}

static char peek(const scanner *s)
{
    return s->at < s->len ? s->bytes[s->at] : '\0';
}

static void skip_blank(scanner *s)
{
    while (s->at < s->len && strchr(" \t\r\n", s->bytes[s->at]) != NULL && s->bytes[s->at] != 0) {
        s->at++;
    }
}

static ts_status unexpected(scanner *s, const char *expected)
{
    if (s->at >= s->len) {
        return refuse(s, s->at, "expected %s, but the text ends", expected);
    }
    unsigned char c = (unsigned char)s->bytes[s->at];
    if (c < 0x20 || c >= 0x7F) {
        return refuse(s, s->at, "expected %s, found byte 0x%02X", expected, c);
    }
    return refuse(s, s->at, "expected %s, found '%c'", expected, c);
}

static ts_status grow_seen(scanner *s)
{
    ts_status status = TS_OK;
    ts_error *err = s->err;
    seen_key *old = s->seen, *slots = NULL;
    size_t old_slots = s->seen_slots, count = old_slots > 0 ? old_slots * 2 : 64;
    TS_TRY(ts_alloc(count, sizeof *slots, &slots, err));
    for (size_t i = 0; i < old_slots; i++) {
        if (old[i].object != 0) {
            size_t at = old[i].hash & (count - 1);
            while (slots[at].object != 0) {
                at = (at + 1) & (count - 1);
            }
            slots[at] = old[i];
        }
    }
    free(old);
    s->seen = slots;
    s->seen_slots = count;
out:
    return status;
}

// Enters the key s->keys[start..] of object number `object` into the table. Refuses it where the
// object has that key already. `at` is the key's offset in the text.
static ts_status enter_key(scanner *s, uint32_t object, size_t start, size_t at)
{
    if ((s->seen_count + 1) * 2 > s->seen_slots) {
        ts_status status = grow_seen(s);
        if (status != TS_OK) {
            return status;
        }
    }
    size_t len = s->keys.len - start;
    const char *key = s->keys.bytes + start;
    uint64_t hash = ts_hash_add(TS_HASH_START ^ object, key, len);
    hash ^= hash >> 32;
    size_t slot = hash & (s->seen_slots - 1);
    for (; s->seen[slot].object != 0; slot = (slot + 1) & (s->seen_slots - 1)) {
        const seen_key *other = &s->seen[slot];
        if (other->hash == hash && other->object == object && other->len == len &&
            memcmp(s->keys.bytes + other->start, key, len) == 0) {
            return refuse(s, at, "key '%.*s' stands twice in one object", (int)ts_min_u64(len, 200),
                          key);
        }
    }
    s->seen[slot] = (seen_key){hash, object, start, len};
    s->seen_count++;
    return TS_OK;
}

static ts_status scan_hex4(scanner *s, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, s->at++) {
        char c = peek(s);
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit == 16) {
            return unexpected(s, "four hex digits after \\u");
        }
        *out = *out << 4 | digit;
    }
    return TS_OK;
}

// Scans an escape from after its backslash; *out receives its code point.
static ts_status scan_escape(scanner *s, uint32_t *out)
{
    static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    size_t start = s->at - 1;
    char c = peek(s);
    const char *letter = c != '\0' ? strchr(letters, c) : NULL;
    if (letter != NULL) {
        *out = (uint32_t)values[letter - letters];
        s->at++;
        return TS_OK;
    }
    if (c != 'u') {
        return unexpected(s, "an escape letter after '\\'");
    }
    s->at++;
    ts_status status = scan_hex4(s, out);
    s->nuls += status == TS_OK && *out == 0;
    if (status != TS_OK || *out < 0xD800 || *out > 0xDFFF) {
        return status;
    }
    uint32_t low = 0;
    if (*out > 0xDBFF || s->len - s->at < 2 || memcmp(s->bytes + s->at, "\\u", 2) != 0) {
        return refuse(s, start, "lone surrogate \\u%04X", *out);
    }
    s->at += 2;
    status = scan_hex4(s, &low);
    if (status == TS_OK && (low < 0xDC00 || low > 0xDFFF)) {
        return refuse(s, start, "lone surrogate \\u%04X", *out);
    }
    *out = 0x10000 + ((*out - 0xD800) << 10) + (low - 0xDC00);
    return status;
}

// Scans a string with its quotes; a key's unescaped bytes are appended to s->keys.
static ts_status scan_string(scanner *s, bool is_key)
{
    ts_status status = TS_OK;
    ts_error *err = s->err;
    size_t start = s->at++;
    while (peek(s) != '"') {
        size_t run = s->at, taken = 0;
        while (s->at < s->len && s->bytes[s->at] != '"' && s->bytes[s->at] != '\\') {
            unsigned char c = (unsigned char)s->bytes[s->at];
            if (c == '\n' || c == '\r') {
                status = refuse(s, start,
                                "this string has no closing quote on its line (a line "
                                "break in a text is written \\n)");
                goto out;
            }
            if (c < 0x20) {
                status = refuse(s, s->at,
                                "control character 0x%02X in a string; in JSON it is "
                                "written \\u%04X%s",
                                c, c, c == '\t' ? " or \\t" : "");
                goto out;
            }
            if (c >= 0x80 && ts_utf8_decode(s->bytes + s->at, s->len - s->at, &taken) < 0) {
                status = refuse(s, s->at, "invalid UTF-8 (byte 0x%02X)", c);
                goto out;
            }
            s->at += c >= 0x80 ? taken : 1;
        }
        if (is_key) {
            TS_TRY(ts_text_append(&s->keys, s->bytes + run, s->at - run, err));
        }
        if (s->at >= s->len) {
            status = refuse(s, start, "this string has no closing quote: the text ends first");
            goto out;
        }
        if (s->bytes[s->at] == '\\') {
            uint32_t cp = 0;
            char utf8[4];
            s->at++;
            TS_TRY(scan_escape(s, &cp));
            if (is_key) {
                if (cp == 0) {
                    status = refuse(s, start, "\\u0000 is not accepted in a key");
                    goto out;
                }
                TS_TRY(ts_text_append(&s->keys, utf8, ts_utf8_encode(cp, utf8), err));
            }
        }
    }
    s->at++;
out:
    return status;
}

static size_t skip_digits(scanner *s)
{
    size_t start = s->at;
    while (peek(s) >= '0' && peek(s) <= '9') {
        s->at++;
    }
    return s->at - start;
}

static ts_status scan_number(scanner *s)
{
    size_t start = s->at;
    s->at += peek(s) == '-';
    size_t digits_at = s->at, digits = skip_digits(s);
    if (digits == 0) {
        return unexpected(s, "a digit");
    }
    if (digits > 1 && s->bytes[digits_at] == '0') {
        return refuse(s, start, "a number may not start with 0");
    }
    if (peek(s) == '.') {
        s->at++;
        if (skip_digits(s) == 0) {
            return unexpected(s, "a digit after '.'");
        }
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        s->at += peek(s) == '+' || peek(s) == '-';
        if (skip_digits(s) == 0) {
            return unexpected(s, "a digit in the exponent");
        }
    }
    if (s->at - start > MAX_NUMBER_CHARACTERS) {
        return refuse(s, start, "a number of %zu characters", s->at - start);
    }
    return TS_OK;
}

static ts_status scan_value(scanner *s, int depth);

// The error where neither a comma nor the closing bracket follows a member.
static ts_status not_separated(scanner *s, bool object)
{
    const char *expected = object ? "',' or '}'" : "',' or ']'";
    size_t before = s->at;
    while (before > 0 && strchr(" \t\r\n", s->bytes[before - 1]) != NULL) {
        before--;
    }
    bool after_string = before > 0 && s->bytes[before - 1] == '"';
    char c = peek(s);
    if (after_string && before == s->at && c != ']' && c != '}' && c != '\0') {
        return unexpected(s, object ? "',' or '}' (a quote inside a text is written \\\")"
                                    : "',' or ']' (a quote inside a text is written \\\")");
    }
    return c == '"' || c == '{' || c == '[' ? refuse(s, s->at,
                                                     "expected %s, found '%c': a comma "
                                                     "is missing before it",
                                                     expected, c)
                                            : unexpected(s, expected);
}

static ts_status scan_members(scanner *s, int depth, bool object)
{
    ts_status status = TS_OK;
    ts_error *err = s->err;
    uint32_t number = ++s->objects;
    char close = object ? '}' : ']';
    s->at++;
    skip_blank(s);
    if (peek(s) == close) {
        s->at++;
        return TS_OK;
    }
    for (size_t comma = SIZE_MAX;; comma = s->at++) {
        skip_blank(s);
        if (comma != SIZE_MAX && (peek(s) == '}' || peek(s) == ']')) {
            return refuse(s, comma,
                          "nothing stands between this comma and the '%c': take the "
                          "comma out",
                          peek(s));
        }
        if (object) {
            size_t key_at = s->at, key_start = s->keys.len;
            if (peek(s) != '"') {
                return unexpected(s, "a key in quotes");
            }
            TS_TRY(ts_text_append(&s->keys, "", 0, err));
            TS_TRY(scan_string(s, true));
            TS_TRY(enter_key(s, number, key_start, key_at));
            skip_blank(s);
            if (peek(s) != ':') {
                return unexpected(s, "':'");
            }
            s->at++;
        }
        TS_TRY(scan_value(s, depth + 1));
        skip_blank(s);
        if (peek(s) == close) {
            s->at++;
            break;
        }
        if (peek(s) != ',') {
            return not_separated(s, object);
        }
    }
out:
    return status;
}

// The error where no JSON value starts. For common words of other languages the message says what
// JSON writes instead.
static ts_status unexpected_word(scanner *s)
{
    static const struct {
        const char *found, *instead;
    } words[] = {{"True", "true"},      {"False", "false"},
                 {"None", "null"},      {"NaN", "a number"},
                 {"'", "\""},           {"Infinity", "a number"},
                 {"undefined", "null"}, {"//", "nothing: JSON has no comments"}};
    for (size_t i = 0; i < TS_COUNT(words); i++) {
        size_t len = strlen(words[i].found);
        if (s->len - s->at >= len && memcmp(s->bytes + s->at, words[i].found, len) == 0) {
            return refuse(s, s->at, "expected a JSON value, found %s; JSON writes %s",
                          words[i].found, words[i].instead);
        }
    }
    return unexpected(s, "a JSON value");
}

static ts_status scan_value(scanner *s, int depth)
{
    static const char *const words[] = {"true", "false", "null"};
    skip_blank(s);
    char c = peek(s);
    if (c == '{' || c == '[') {
        return depth >= MAX_DEPTH ? refuse(s, s->at, "nested deeper than %d", MAX_DEPTH)
                                  : scan_members(s, depth, c == '{');
    }
    if (c == '"') {
        return scan_string(s, false);
    }
    if (c == '-' || (c >= '0' && c <= '9')) {
        return scan_number(s);
    }
    for (size_t i = 0; i < TS_COUNT(words); i++) {
        size_t len = strlen(words[i]);
        if (s->len - s->at >= len && memcmp(s->bytes + s->at, words[i], len) == 0) {
            s->at += len;
            return TS_OK;
        }
    }
    return unexpected_word(s);
}

ts_status ts_json_scan(const char *bytes, size_t len, const char *name, size_t line, size_t column,
                       size_t *end, size_t *nuls, ts_error *err)
{
    ts_status status = TS_OK;
    scanner s = {.bytes = bytes,
                 .len = len,
                 .name = name,
                 .first_line = line,
                 .first_column = column,
                 .err = err};
    if (len >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0) {
        status = refuse(&s, 0, "starts with a byte order mark, which JSON forbids");
        goto out;
    }
    TS_TRY(scan_value(&s, 0));
    if (end != NULL) {
        *end = s.at;
    }
    skip_blank(&s);
    if (end == NULL && s.at < len) {
        status = unexpected(&s, "nothing after the JSON value");
        goto out;
    }
    *nuls = s.nuls;
out:
    free(s.seen);
    ts_text_free(&s.keys);
    return status;
}
