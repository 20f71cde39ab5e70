#include "base/json.h"

#include "base/file.h"
#include "base/json_scan.h"
#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE_BYTES = 64 << 20 };

// cJSON ends a string at its first NUL. So every \u0000 is kept as two bytes that valid UTF-8 never
// holds, until ts_json_string turns them back into a NUL. No other string can hold these bytes.
static const char nul_spelt[] = "\xC0\x80";

// Appends the JSON text with every \u0000 replaced by nul_spelt.
static ts_status spell_nuls(const char *bytes, size_t len, ts_text *out, ts_error *err)
{
    static const char escape[] = "\\u0000";
    ts_status status = TS_OK;
    for (size_t at = 0, from = 0; at <= len; at++) {
        if (at == len) {
            TS_TRY(ts_text_append(out, bytes + from, at - from, err));
        } else if (len - at >= strlen(escape) && memcmp(bytes + at, escape, strlen(escape)) == 0) {
            TS_TRY(ts_text_append(out, bytes + from, at - from, err));
            TS_TRY(ts_text_append(out, nul_spelt, 2, err));
            from = at + strlen(escape);
            at = from - 1;
        } else {
            at += bytes[at] == '\\'; // skip what the backslash escapes
        }
    }
out:
    return status;
}

// Makes the cJSON value of bytes[0..len), which the scan has found to be valid, with `nuls` times
// \u0000 in its strings.
static ts_status build(const char *bytes, size_t len, const char *name, size_t nuls, cJSON **out,
                       ts_error *err)
{
    ts_status status = TS_OK;
    ts_text spelt = {0};
    if (nuls > 0) {
        TS_TRY(spell_nuls(bytes, len, &spelt, err));
    }
    *out = nuls > 0 ? cJSON_ParseWithLength(spelt.bytes, spelt.len)
                    : cJSON_ParseWithLength(bytes, len);
    if (*out == NULL) { // it was found to be JSON, so only memory can be missing
        TS_FAIL(TS_ERR_MEMORY, "%s: out of host memory for its JSON", name);
    }
out:
    ts_text_free(&spelt);
    return status;
}

ts_status ts_json_parse_at(const char *bytes, size_t len, const char *name, size_t line,
                           size_t column, cJSON **out, ts_error *err)
{
    size_t nuls = 0;
    *out = NULL;
    ts_status status = ts_json_scan(bytes, len, name, line, column, NULL, &nuls, err);
    return status == TS_OK ? build(bytes, len, name, nuls, out, err) : status;
}

ts_status ts_json_parse_prefix(const char *bytes, size_t len, const char *name, size_t line,
                               size_t column, size_t most, size_t *end, cJSON **out, ts_error *err)
{
    size_t nuls = 0;
    *out = NULL;
    ts_status status = ts_json_scan(bytes, len, name, line, column, end, &nuls, err);
    if (status == TS_OK && *end > most) {
        return ts_error_set(err, TS_ERR_FORMAT,
                            "%s:%zu:%zu: this value is %zu bytes long; at most "
                            "%zu are read",
                            name, line, column, *end, most);
    }
    return status == TS_OK ? build(bytes, *end, name, nuls, out, err) : status;
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
    TS_TRY(ts_file_refuse_pointer(path, text.bytes, text.len, err));
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
    // 2^53 itself is refused: as a double, 2^53 + 1 in the text is the same number.
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
    if (value->valuedouble > 0 || strstr(value->valuestring, nul_spelt) != NULL) {
        return ts_error_set(err, TS_ERR_FORMAT,
                            "%s: key '%s': this text may not hold a NUL (\\u0000)", name, key);
    }
    *out = value->valuestring;
    return TS_OK;
}

// Turns every nul_spelt in a string into a NUL, in place. cJSON does not use valuedouble in a
// string: it is 0 until a string with NULs is converted, and holds that string's length afterwards.
const char *ts_json_string(const cJSON *value, size_t *len)
{
    if (!cJSON_IsString(value)) {
        return NULL;
    }
    char *text = value->valuestring, *found = NULL;
    *len = value->valuedouble > 0 ? (size_t)value->valuedouble : strlen(text);
    if (value->valuedouble > 0 || (found = strstr(text, nul_spelt)) == NULL) {
        return text;
    }
    size_t to = (size_t)(found - text);
    for (size_t from = to; from < *len; to++) {
        bool nul = memcmp(text + from, nul_spelt, 2) == 0;
        text[to] = nul ? '\0' : text[from];
        from += nul ? 2 : 1;
    }
    text[to] = '\0';
    *len = to;
    ((cJSON *)(uintptr_t)value)->valuedouble = (double)to;
    return text;
}

ts_status ts_json_get_string(const cJSON *object, const char *key, const char *name,
                             const char **out, size_t *len, ts_error *err)
{
    const cJSON *value = ts_json_get(object, key);
    *out = ts_json_string(value, len);
    return *out != NULL ? TS_OK : wrong_member(value, key, name, "a string", err);
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

// Reads a control character from U+007F to U+009F at bytes[0..len). JSON allows these in strings,
// but terminals obey them and YAML forbids them. Returns how many bytes it takes, or 0 where
// another character stands there.
static size_t read_control(const char *bytes, size_t len, unsigned *character)
{
    unsigned char first = (unsigned char)bytes[0], second = len > 1 ? (unsigned char)bytes[1] : 0;
    bool wide = first == 0xC2 && second >= 0x80 && second <= 0x9F;
    *character = wide ? second : first;
    return first == 0x7F ? 1 : wide ? 2 : 0;
}

ts_status ts_json_escape_controls(ts_text *text, const char *json, size_t len, ts_error *err)
{
    ts_status status = ts_text_append(text, "", 0, err);
    for (size_t at = 0, run = 0; at < len && status == TS_OK; at += run) {
        unsigned character;
        size_t taken = read_control(json + at, len - at, &character);
        if (taken > 0) {
            run = taken;
            status = ts_text_format(text, err, "\\u%04x", character);
            continue;
        }
        for (run = 1;
             at + run < len && read_control(json + at + run, len - at - run, &character) == 0;
             run++) {
        }
        status = ts_text_append(text, json + at, run, err);
    }
    return status;
}

ts_status ts_json_quote_bytes(ts_text *text, const char *bytes, size_t len, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_text_append(text, "\"", 1, err));
    for (size_t i = 0, taken; i < len; i += taken) {
        char c = bytes[i];
        unsigned control;
        taken = read_control(bytes + i, len - i, &control);
        if (taken > 0) {
            TS_TRY(ts_text_format(text, err, "\\u%04x", control));
            continue;
        }
        taken = 1;
        if (c == '"' || c == '\\') {
            TS_TRY(ts_text_format(text, err, "\\%c", c));
        } else if ((unsigned char)c < 0x20) {
            TS_TRY(ts_text_format(text, err, "\\u%04x", c));
        } else {
            TS_TRY(ts_text_append(text, &c, 1, err));
        }
    }
    TS_TRY(ts_text_append(text, "\"", 1, err));
out:
    return status;
}

ts_status ts_json_quote(ts_text *text, const char *string, ts_error *err)
{
    return ts_json_quote_bytes(text, string, strlen(string), err);
}
