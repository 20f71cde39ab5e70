// An interpreter for the part of Jinja that chat templates use, configured as Hugging Face does:
// trim_blocks, lstrip_blocks, loop controls, an immutable sandbox, tojson without HTML escapes,
// raise_exception, strftime_now and {% generation %}. Values behave as in Python: truth, printing,
// slices, error messages.
//
// Every byte of the result has a source, so that the caller can tell the content of a turn from the
// template's own text. Source 0 is the template; i + 1 is the content of turn i. A string keeps its
// sources through trim, slices, split, replace, concatenation and so on.
//
// A feature of Jinja that is not implemented is refused by name, with its line. A run has limits on
// its steps, its depth and its memory, whatever the template does.
#ifndef TS_DATA_JINJA_JINJA_H
#define TS_DATA_JINJA_JINJA_H

#include "base/json.h"
#include "base/memory.h"

#include <time.h>

typedef struct ts_jinja ts_jinja; // a parsed template

// Parses text[0..len). Every error message of this template starts with "NAME:LINE:COLUMN".
// TS_ERR_FORMAT for a syntax error, TS_ERR_UNSUPPORTED for a feature that is not implemented.
// Release *out with ts_jinja_free.
ts_status ts_jinja_parse(const char *text, size_t len, const char *name, ts_jinja **out,
                         ts_error *err);
void ts_jinja_free(ts_jinja *jinja);
// Whether the template has a {% generation %} block.
bool ts_jinja_marks_generation(const ts_jinja *jinja);
// Whether the template reads a variable of this name anywhere.
bool ts_jinja_reads(const ts_jinja *jinja, const char *name);

enum {
    TS_JINJA_GENERATION = 0x8000, // set in the source of a byte inside a {% generation %} block
    TS_JINJA_MAX_SOURCE = 0x7FFF,
};

// A value. Its members are public only so that it can be passed by value.
typedef struct ts_jinja_value {
    uint8_t kind, owner;
    union {
        bool flag;
        int64_t integer;
        double number;
        const void *pointer;
    };
} ts_jinja_value;

// The variables of a template. Starts zeroed. Strings are not copied and must outlive it.
typedef struct ts_jinja_data {
    ts_arena arena;
    struct ts_jinja_entry *variables;
    size_t count, capacity;
    uint64_t bytes; // of all texts; the memory limit of a run grows with it
} ts_jinja_data;
void ts_jinja_data_free(ts_jinja_data *data);

ts_jinja_value ts_jinja_none(void);
ts_jinja_value ts_jinja_bool(bool flag);
// text[0..len) must be valid UTF-8.
ts_status ts_jinja_text(ts_jinja_data *data, const char *text, size_t len, uint16_t source,
                        ts_jinja_value *out, ts_error *err);
ts_status ts_jinja_list(ts_jinja_data *data, size_t capacity, ts_jinja_value *out, ts_error *err);
// `list` must have room: see the capacity it was created with.
void ts_jinja_list_push(ts_jinja_value list, ts_jinja_value item);
ts_status ts_jinja_dict(ts_jinja_data *data, size_t capacity, ts_jinja_value *out, ts_error *err);
// `dict` must have room, and must not have this key already.
ts_status ts_jinja_dict_put(ts_jinja_data *data, ts_jinja_value dict, const char *key,
                            ts_jinja_value value, ts_error *err);
// A new list of the first `count` items of `list`.
ts_status ts_jinja_list_prefix(ts_jinja_data *data, ts_jinja_value list, size_t count,
                               ts_jinja_value *out, ts_error *err);
// Converts a JSON value. Every string in it gets the given source.
ts_status ts_jinja_json(ts_jinja_data *data, const cJSON *json, uint16_t source,
                        ts_jinja_value *out, ts_error *err);
// Sets a variable, or replaces it. `name` is not copied.
ts_status ts_jinja_set(ts_jinja_data *data, const char *name, ts_jinja_value value, ts_error *err);

// The rendered text and each byte's source. Starts zeroed; rendering again reuses its memory.
typedef struct ts_rendering {
    char *bytes;
    uint16_t *sources;
    size_t len, capacity, source_capacity;
} ts_rendering;
void ts_rendering_free(ts_rendering *rendering);

// Runs the template. `now` is the time that strftime_now prints; NULL: the local time. An error
// that the template raises, or that Python would raise, is TS_ERR_FORMAT "NAME:LINE: message".
ts_status ts_jinja_render(const ts_jinja *jinja, const ts_jinja_data *data, const struct tm *now,
                          ts_rendering *out, ts_error *err);

#endif
