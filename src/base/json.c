#include "base/json.h"

#include "base/file.h"
#include "base/memory.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_DEPTH = 64,
    MAX_FILE_BYTES = 64 << 20,
    MAX_NUMBER_CHARACTERS = 63, // what cJSON's own buffer holds
};

// A key seen so far; the table finds duplicates in time linear in the text.
typedef struct seen_key {
    uint64_t hash;
    uint32_t object; // number of the object it stands in, from 1; 0: free slot
    size_t start, len;
} seen_key;

// The check that runs before cJSON: the whole grammar of RFC 8259, and what cJSON lets through.
typedef struct scanner {
    const char *bytes;
    size_t len, at;
    const char *name;
    size_t first_line, first_column;
    uint32_t objects;
    ts_text keys; // the keys, unescaped, one after the other
    seen_key *seen;
    size_t seen_count, seen_slots; // slots: a power of two or 0
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
            column += ((unsigned char)s->bytes[i] & 0xC0) != 0x80; // characters, not bytes
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

// Enters the key keys[start..] of `object`, which stands at text offset `at`.
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
    uint64_t hash = 0xCBF29CE484222325u ^ object; // FNV-1a
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ (unsigned char)key[i]) * 0x100000001B3u;
    }
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

// After the backslash of an escape; its code point goes to *out.
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
    if (status == TS_OK && *out == 0) {
        return refuse(s, start, "\\u0000 is not accepted in text");
    }
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

// A string with its quotes; a key's unescaped bytes are appended to s->keys.
static ts_status scan_string(scanner *s, bool is_key)
{
    ts_status status = TS_OK;
    ts_error *err = s->err;
    size_t start = s->at++;
    while (peek(s) != '"') {
        size_t run = s->at, taken = 0;
        while (s->at < s->len && s->bytes[s->at] != '"' && s->bytes[s->at] != '\\') {
            unsigned char c = (unsigned char)s->bytes[s->at];
            if (c < 0x20) {
                status = refuse(s, s->at, "control character 0x%02X in a string", c);
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
            status = refuse(s, start, "this string has no end");
            goto out;
        }
        if (s->bytes[s->at] == '\\') {
            uint32_t cp = 0;
            char utf8[4];
            s->at++;
            TS_TRY(scan_escape(s, &cp));
            if (is_key) {
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
    for (;;) {
        skip_blank(s);
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
            return unexpected(s, object ? "',' or '}'" : "',' or ']'");
        }
        s->at++;
    }
out:
    return status;
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
    return unexpected(s, "a JSON value");
}

ts_status ts_json_parse_at(const char *bytes, size_t len, const char *name, size_t line,
                           size_t column, cJSON **out, ts_error *err)
{
    ts_status status = TS_OK;
    scanner s = {.bytes = bytes,
                 .len = len,
                 .name = name,
                 .first_line = line,
                 .first_column = column,
                 .err = err};
    *out = NULL;
    if (len >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0) {
        status = refuse(&s, 0, "starts with a byte order mark, which JSON forbids");
        goto out;
    }
    TS_TRY(scan_value(&s, 0));
    skip_blank(&s);
    if (s.at < len) {
        status = unexpected(&s, "nothing after the JSON value");
        goto out;
    }
    *out = cJSON_ParseWithLength(bytes, len);
    if (*out == NULL) { // the scan passed, so only memory can be missing
        TS_FAIL(TS_ERR_MEMORY, "%s: out of host memory for its JSON", name);
    }
out:
    free(s.seen);
    ts_text_free(&s.keys);
    return status;
}

ts_status ts_json_parse(const char *bytes, size_t len, const char *name, cJSON **out, ts_error *err)
{
    return ts_json_parse_at(bytes, len, name, 1, 1, out, err);
}

ts_status ts_json_parse_file(const char *path, cJSON **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    *out = NULL;
    TS_TRY(ts_file_read(path, MAX_FILE_BYTES, &text, err));
    TS_TRY(ts_json_parse(text.bytes, text.len, path, out, err));
out:
    ts_text_free(&text);
    return status;
}

const cJSON *ts_json_get(const cJSON *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

const char *ts_json_kind(const cJSON *value)
{
    return value == NULL           ? "nothing"
           : cJSON_IsObject(value) ? "an object"
           : cJSON_IsArray(value)  ? "an array"
           : cJSON_IsString(value) ? "a string"
           : cJSON_IsNumber(value) ? "a number"
           : cJSON_IsTrue(value)   ? "true"
           : cJSON_IsFalse(value)  ? "false"
           : cJSON_IsNull(value)   ? "null"
                                   : "something unknown";
}

// "NAME: key 'KEY': expected EXPECTED, found ..." with short values spelled out.
static ts_status wrong_member(const cJSON *value, const char *key, const char *name,
                              const char *expected, ts_error *err)
{
    char found[96];
    if (value == NULL) {
        return ts_error_set(err, TS_ERR_FORMAT, "%s: key '%s' is missing, expected %s", name, key,
                            expected);
    }
    if (cJSON_IsString(value)) {
        snprintf(found, sizeof found, "\"%.60s\"", value->valuestring);
    } else if (cJSON_IsNumber(value)) {
        snprintf(found, sizeof found, "%.17g", value->valuedouble);
    } else {
        snprintf(found, sizeof found, "%s", ts_json_kind(value));
    }
    return ts_error_set(err, TS_ERR_FORMAT, "%s: key '%s': expected %s, found %s", name, key,
                        expected, found);
}

bool ts_json_uint(const cJSON *value, uint64_t *out)
{
    // 2^53 itself is refused: 2^53 + 1 in the text would have become it.
    if (!cJSON_IsNumber(value) || !(value->valuedouble >= 0) || value->valuedouble >= 0x1p53 ||
        floor(value->valuedouble) != value->valuedouble) {
        return false;
    }
    *out = (uint64_t)value->valuedouble;
    return true;
}

ts_status ts_json_get_uint(const cJSON *object, const char *key, uint64_t min, uint64_t max,
                           const char *name, uint64_t *out, ts_error *err)
{
    const cJSON *value = ts_json_get(object, key);
    uint64_t number = 0;
    if (ts_json_uint(value, &number) && number >= min && number <= max) {
        *out = number;
        return TS_OK;
    }
    char expected[80];
    snprintf(expected, sizeof expected, "a whole number from %llu to %llu", (unsigned long long)min,
             (unsigned long long)ts_min_u64(max, (1ull << 53) - 1));
    return wrong_member(value, key, name, expected, err);
}

ts_status ts_json_get_double(const cJSON *object, const char *key, const char *name, double *out,
                             ts_error *err)
{
    const cJSON *value = ts_json_get(object, key);
    if (!cJSON_IsNumber(value) || !isfinite(value->valuedouble)) {
        return wrong_member(value, key, name, "a number", err);
    }
    *out = value->valuedouble;
    return TS_OK;
}

ts_status ts_json_get_text(const cJSON *object, const char *key, const char *name, const char **out,
                           ts_error *err)
{
    const cJSON *value = ts_json_get(object, key);
    if (!cJSON_IsString(value)) {
        return wrong_member(value, key, name, "a string", err);
    }
    *out = value->valuestring;
    return TS_OK;
}

ts_status ts_json_get_bool(const cJSON *object, const char *key, const char *name, bool *out,
                           ts_error *err)
{
    const cJSON *value = ts_json_get(object, key);
    if (!cJSON_IsBool(value)) {
        return wrong_member(value, key, name, "true or false", err);
    }
    *out = cJSON_IsTrue(value);
    return TS_OK;
}

ts_status ts_json_quote(ts_text *text, const char *string, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_text_append(text, "\"", 1, err));
    for (const char *c = string; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') {
            TS_TRY(ts_text_format(text, err, "\\%c", *c));
        } else if ((unsigned char)*c < 0x20) {
            TS_TRY(ts_text_format(text, err, "\\u%04x", *c));
        } else {
            TS_TRY(ts_text_append(text, c, 1, err));
        }
    }
    TS_TRY(ts_text_append(text, "\"", 1, err));
out:
    return status;
}
