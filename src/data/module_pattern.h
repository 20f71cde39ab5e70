// PEFT's rank_pattern and alpha_pattern: values for modules that differ from all others. Here such
// a dictionary is a list, "q_proj=16,layers.0.mlp.down_proj=4", empty where there is none.
//
// A key is a regular expression that matches the end of a module's name, from its beginning or from
// behind a dot on; the first key that matches decides. Only what has a fixed length is understood:
// letters, digits, _ and -, a dot, which stands for any character, \. for a dot alone, and ^ in
// front, for the whole name.
#ifndef TS_DATA_MODULE_PATTERN_H
#define TS_DATA_MODULE_PATTERN_H

#include "base/json.h"

// The value for a module such as "model.layers.0.self_attn.q_proj", or `usual` if no key matches.
double ts_pattern_value(const char *list, const char *module, double usual);

// The next entry of a list: sets key[0..*len) and *value, and returns what follows it. NULL after
// the last. The list must have been checked.
const char *ts_pattern_next(const char *list, const char **key, size_t *len, double *value);
bool ts_pattern_matches(const char *key, size_t len, const char *module);

// What values may be. Ranks are whole numbers from 1 on.
typedef enum ts_pattern_kind { TS_PATTERN_RANK, TS_PATTERN_ALPHA } ts_pattern_kind;
// Checks a list that a flag gives. TS_ERR_ARGUMENT names the flag and the entry.
ts_status ts_pattern_check(const char *list, ts_pattern_kind kind, ts_error *err);
// Appends key `key` of adapter_config.json to *out as a list. TS_ERR_UNSUPPORTED names a pattern
// that is not understood; `path` is what messages call the file.
ts_status ts_pattern_read(const cJSON *json, const char *key, ts_pattern_kind kind,
                          const char *path, ts_text *out, ts_error *err);
// Appends the list as adapter_config.json has it: an object, indented by 2.
ts_status ts_pattern_write(const char *list, ts_text *out, ts_error *err);

#endif
