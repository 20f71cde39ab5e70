// Strict JSON over cJSON. cJSON alone accepts duplicate keys, invalid UTF-8, numbers like `01`,
// a BOM and text after the value; ts_json_parse refuses each with the line and column where it
// stands. Look-ups go by exact key and name the key's path in errors. A NUL ("\u0000") is a
// character like any other to ts_json_string and ts_json_get_string; cJSON's own valuestring spells
// it as two bytes that are not valid UTF-8, and ts_json_get_text refuses it.
#ifndef TS_BASE_JSON_H
#define TS_BASE_JSON_H

#include "base/text.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Parses exactly one JSON value. `name` (a path, or "path:line" for JSON lines) starts error
// messages: "config.json:3:14: key 'hidden_size' stands twice in one object". Nesting deeper
// than 64 is refused. The caller frees *out with cJSON_Delete.
ts_status ts_json_parse(const char *bytes, size_t len, const char *name, cJSON **out,
                        ts_error *err);
// The same for text that starts at `line` and `column` (both from 1) of the file `name`.
ts_status ts_json_parse_at(const char *bytes, size_t len, const char *name, size_t line,
                           size_t column, cJSON **out, ts_error *err);
// The same for the value that the text starts with; *end receives where it ends, and what follows
// is not looked at. A value of more than `most` bytes is refused.
ts_status ts_json_parse_prefix(const char *bytes, size_t len, const char *name, size_t line,
                               size_t column, size_t most, size_t *end, cJSON **out, ts_error *err);
// The same for a file of at most 64 MiB.
ts_status ts_json_parse_file(const char *path, cJSON **out, ts_error *err);

// The member `key` of `object` (exact case), or NULL when absent or when `object` is no object.
const cJSON *ts_json_get(const cJSON *object, const char *key);

// Required members, checked: TS_ERR_FORMAT "NAME: key 'KEY': expected a whole number from 1 to
// 100, found \"x\"". `name` is what error messages call the file.
ts_status ts_json_get_uint(const cJSON *object, const char *key, uint64_t min, uint64_t max,
                           const char *name, uint64_t *out, ts_error *err);
ts_status ts_json_get_double(const cJSON *object, const char *key, const char *name, double *out,
                             ts_error *err);
ts_status ts_json_get_text(const cJSON *object, const char *key, const char *name, const char **out,
                           ts_error *err);
// The same for a text that may hold NULs, with its length.
ts_status ts_json_get_string(const cJSON *object, const char *key, const char *name,
                             const char **out, size_t *len, ts_error *err);
ts_status ts_json_get_bool(const cJSON *object, const char *key, const char *name, bool *out,
                           ts_error *err);
// Whether `value` is a whole number from 0 to 2^53 - 1: doubles are exact up to there.
bool ts_json_uint(const cJSON *value, uint64_t *out);
// The text of a string and its length in bytes, or NULL when `value` is no string. It belongs to
// `value`.
const char *ts_json_string(const cJSON *value, size_t *len);
// What kind of value it is, for messages: "a string", "null", "an object" ...
const char *ts_json_kind(const cJSON *value);
// Appends UTF-8 text as a JSON string with its quotes. Control characters become escapes, those
// from U+007F to U+009F too.
ts_status ts_json_quote_bytes(ts_text *text, const char *bytes, size_t len, ts_error *err);
// Appends JSON as it is, but with an escape for each U+007F to U+009F in its strings.
ts_status ts_json_escape_controls(ts_text *text, const char *json, size_t len, ts_error *err);
// ts_json_quote_bytes for a text that ends in a NUL.
ts_status ts_json_quote(ts_text *text, const char *string, ts_error *err);

// Sets the member `key` of the object whose text is *object (valid JSON) to the JSON `value`, or
// removes it if `value` is NULL. A new key is put first. The rest of the text stays as it is.
ts_status ts_json_set_member(ts_text *object, const char *key, const char *value, ts_error *err);

#endif
