#include "data/module_pattern.h"

#include "base/memory.h"
#include "data/adapter.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *ts_pattern_next(const char *list, const char **key, size_t *len, double *value)
{
    char *end = NULL;
    if (list == NULL || *list == '\0') {
        return NULL;
    }
    *key = list;
    *len = strcspn(list, "=");
    *value = strtod(list + *len + 1, &end);
    return *end == ',' ? end + 1 : end;
}

// Whether key[0..len) matches `name` up to its end. Every element of a key is one character.
static bool matches_rest(const char *key, size_t len, const char *name)
{
    for (size_t i = 0; i < len; i++, name++) {
        const bool escaped = key[i] == '\\';
        i += escaped;
        if (*name == '\0' || (key[i] != *name && (escaped || key[i] != '.'))) {
            return false;
        }
    }
    return *name == '\0';
}

bool ts_pattern_matches(const char *key, size_t len, const char *module)
{
    if (len > 0 && key[0] == '^') {
        return matches_rest(key + 1, len - 1, module);
    }
    for (const char *from = module; from != NULL;) {
        if (matches_rest(key, len, from)) {
            return true;
        }
        from = strchr(from, '.');
        from = from != NULL ? from + 1 : NULL;
    }
    return false;
}

double ts_pattern_value(const char *list, const char *module, double usual)
{
    const char *key;
    size_t len;
    double value;
    while ((list = ts_pattern_next(list, &key, &len, &value)) != NULL) {
        if (ts_pattern_matches(key, len, module)) {
            return value;
        }
    }
    return usual;
}

// ---- Checking

enum { MOST_CHARACTERS = 128 }; // of a key: no module's name is longer

// Whether a key has nothing but what is understood.
static bool is_understood(const char *key, size_t len)
{
    const size_t begin = len > 0 && key[0] == '^';
    for (size_t i = begin; i < len; i++) {
        const bool escaped = key[i] == '\\' && i + 1 < len && key[i + 1] == '.';
        if (!escaped && !isalnum((unsigned char)key[i]) && strchr("_-.", key[i]) == NULL) {
            return false;
        }
        i += escaped;
    }
    return len > begin && len <= MOST_CHARACTERS;
}

static bool is_value(ts_pattern_kind kind, double value)
{
    return kind == TS_PATTERN_RANK
               ? value >= 1 && value <= TS_ADAPTER_MAX_RANK && value == floor(value)
               : value >= 0 && value <= 1e6;
}

static const char *expected(ts_pattern_kind kind)
{
    return kind == TS_PATTERN_RANK ? "a rank of 1 to 4096" : "a number of 0 to 1e6";
}

static const char *const flags[] = {
    [TS_PATTERN_RANK] = "--rank-pattern", [TS_PATTERN_ALPHA] = "--alpha-pattern"};

ts_status ts_pattern_check(const char *list, ts_pattern_kind kind, ts_error *err)
{
    for (const char *at = list; at != NULL && *at != '\0';) {
        const size_t entry = strcspn(at, ","), len = strcspn(at, "=");
        char *end = NULL;
        const double value = len < entry ? strtod(at + len + 1, &end) : 0;
        if (len >= entry || end != at + entry || !is_value(kind, value)) {
            return ts_error_set(err, TS_ERR_ARGUMENT,
                                "%s: '%.*s': expected a module's name, = and %s, as in "
                                "q_proj=16,layers.0.mlp.down_proj=4",
                                flags[kind], (int)ts_min_u64(entry, 120), at, expected(kind));
        }
        if (!is_understood(at, len)) {
            return ts_error_set(err, TS_ERR_ARGUMENT,
                                "%s: '%.*s' is no end of a module's name: only letters, digits, "
                                "_, -, dots and a ^ in front are understood",
                                flags[kind], (int)ts_min_u64(len, 120), at);
        }
        at += entry + (at[entry] == ',' && at[entry + 1] != '\0');
        if (*at == ',') {
            return ts_error_set(err, TS_ERR_ARGUMENT, "%s: a comma too many", flags[kind]);
        }
    }
    return TS_OK;
}

ts_status ts_pattern_read(const cJSON *json, const char *key, ts_pattern_kind kind,
                          const char *path, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    char number[TS_NUMBER_BYTES];
    const cJSON *object = ts_json_get(json, key), *item;
    if (object == NULL || cJSON_IsNull(object)) {
        return TS_OK;
    }
    if (!cJSON_IsObject(object)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key '%s': expected an object, found %s", path, key,
                ts_json_kind(object));
    }
    cJSON_ArrayForEach(item, object)
    {
        if (!is_understood(item->string, strlen(item->string))) {
            TS_FAIL(TS_ERR_UNSUPPORTED,
                    "%s: key '%s': the pattern '%.120s' is a regular expression that is not "
                    "implemented: only letters, digits, _, -, dots and a ^ in front are",
                    path, key, item->string);
        }
        if (!cJSON_IsNumber(item) || !is_value(kind, item->valuedouble)) {
            TS_FAIL(TS_ERR_FORMAT, "%s: key '%s': '%.120s': expected %s", path, key, item->string,
                    expected(kind));
        }
        ts_text_number(item->valuedouble, number);
        TS_TRY(ts_text_format(out, err, "%s%s=%s", out->len > 0 ? "," : "", item->string, number));
    }
out:
    return status;
}

ts_status ts_pattern_write(const char *list, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    const char *key, *comma = "\n";
    char text[256], number[TS_NUMBER_BYTES];
    size_t len;
    double value;
    if (list == NULL || *list == '\0') {
        return ts_text_format(out, err, "{}");
    }
    TS_TRY(ts_text_format(out, err, "{"));
    while ((list = ts_pattern_next(list, &key, &len, &value)) != NULL) {
        ts_text_number(value, number);
        snprintf(text, sizeof text, "%.*s", (int)ts_min_u64(len, sizeof text - 1), key);
        TS_TRY(ts_text_format(out, err, "%s    ", comma));
        TS_TRY(ts_json_quote(out, text, err));
        TS_TRY(ts_text_format(out, err, ": %s", number));
        comma = ",\n";
    }
    TS_TRY(ts_text_format(out, err, "\n  }"));
out:
    return status;
}
