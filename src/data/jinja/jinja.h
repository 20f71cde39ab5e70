// The part of Jinja that chat templates use, as Hugging Face sets it up: trim_blocks,
// lstrip_blocks, loop controls, an immutable sandbox, tojson without HTML escapes, raise_exception,
// strftime_now and {% generation %}. Values behave as Python's do: truth, printing, slices, errors'
// words.
//
// Every byte of the result knows where it comes from. A text enters with a source (0: the
// template's own; i + 1: turn i's content), and keeps it through trim, slices, split, replace,
// concatenation and so on. So the caller can tell what a turn said from what the template wrote.
//
// What a template uses and this does not know is refused by name with its line. A run is bounded
// in steps, depth and memory, whatever the template does.
#ifndef TS_DATA_JINJA_JINJA_H
#define TS_DATA_JINJA_JINJA_H

#include "base/json.h"
#include "base/memory.h"

#include <time.h>

typedef struct ts_jinja ts_jinja; // a template, parsed

// Parses text[0..len). `name` starts every error message of this template: "NAME:LINE:COLUMN: ...".
// TS_ERR_FORMAT for what is not Jinja, TS_ERR_UNSUPPORTED for what this does not implement.
ts_status ts_jinja_parse(const char *text, size_t len, const char *name, ts_jinja **out,
                         ts_error *err);
void ts_jinja_free(ts_jinja *jinja);
// Whether the template has a {% generation %} block.
bool ts_jinja_marks_generation(const ts_jinja *jinja);
// Whether the name stands anywhere in the template as a variable.
bool ts_jinja_reads(const ts_jinja *jinja, const char *name);

enum {
    TS_JINJA_GENERATION = 0x8000, // set in a byte's source: it stands in a {% generation %} block
    TS_JINJA_MAX_SOURCE = 0x7FFF,
};

// What a value is; public only so that values can be passed by value.
typedef struct ts_jinja_value {
    uint8_t kind, owner;
    union {
        bool flag;
        int64_t integer;
        double number;
        const void *pointer;
    };
} ts_jinja_value;

// What a template is given. Starts zeroed; strings are not copied and must outlive it.
typedef struct ts_jinja_data {
    ts_arena arena;
    struct ts_jinja_entry *variables;
    size_t count, capacity;
    uint64_t bytes; // of all texts, which bounds what a run may take
} ts_jinja_data;
void ts_jinja_data_free(ts_jinja_data *data);

ts_jinja_value ts_jinja_none(void);
ts_jinja_value ts_jinja_bool(bool flag);
// text[0..len) must be valid UTF-8.
ts_status ts_jinja_text(ts_jinja_data *data, const char *text, size_t len, uint16_t source,
                        ts_jinja_value *out, ts_error *err);
ts_status ts_jinja_list(ts_jinja_data *data, size_t capacity, ts_jinja_value *out, ts_error *err);
// `list` must have room (see its capacity).
void ts_jinja_list_push(ts_jinja_value list, ts_jinja_value item);
ts_status ts_jinja_dict(ts_jinja_data *data, size_t capacity, ts_jinja_value *out, ts_error *err);
// `dict` must have room and no such key.
ts_status ts_jinja_dict_put(ts_jinja_data *data, ts_jinja_value dict, const char *key,
                            ts_jinja_value value, ts_error *err);
// A list of the first `count` items of `list`.
ts_status ts_jinja_list_prefix(ts_jinja_data *data, ts_jinja_value list, size_t count,
                               ts_jinja_value *out, ts_error *err);
// A JSON value; every string in it has the source given.
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

// Runs the template. `now` is what strftime_now prints (NULL: the clock's local time). An error
// that the template raises, or that Python would, is TS_ERR_FORMAT "NAME:LINE: message".
ts_status ts_jinja_render(const ts_jinja *jinja, const ts_jinja_data *data, const struct tm *now,
                          ts_rendering *out, ts_error *err);

#endif
