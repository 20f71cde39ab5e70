// Checks the keys of a JSON object against those that its reader knows. No key is ignored in
// silence: each is read, or refused with its name in the error, or named in one warning.
#ifndef TS_BASE_KEYS_H
#define TS_BASE_KEYS_H

#include "base/json.h"

typedef enum ts_key_use {
    TS_KEY_READ, // the reader uses it, or it changes nothing that is computed here
    TS_KEY_ONLY, // refused unless it is null or one of `only`; without `only`, unless it is off
    TS_KEY_NOTE, // the same, but named in the warning instead of refused
} ts_key_use;

typedef struct ts_key {
    const char *name;
    ts_key_use use;
    const char *only; // a JSON array of the values it may hold; NULL: only off
    const char *todo; // what a user may do about another value; may be NULL
} ts_key;

// Whether a value is off: null, false, 0, or an empty string, array or object. A NULL pointer (no
// such key) is off too.
bool ts_key_is_off(const cJSON *value);

// Whether `value` is one of the values in the JSON array `list`.
bool ts_key_is_one_of(const cJSON *value, const char *list);

// Checks every key of `object` against keys[0..count); what is no JSON object has none. A value
// that its key may not hold is TS_ERR_UNSUPPORTED, and the message names both. A key that is in no
// row and not off is refused too where `refuse_unknown` is set. All other keys without effect are
// counted and named in one warning. `name` is what messages call the file.
ts_status ts_keys_check(const cJSON *object, const ts_key *keys, size_t count, bool refuse_unknown,
                        const char *name, ts_error *err);

// Fails with TS_ERR_UNSUPPORTED "NAME: key 'KEY' is VALUE: not implemented, only ONLY; TODO".
// `only` and `todo` may be NULL and are left out then.
ts_status ts_key_refuse(const cJSON *value, const char *key, const char *only, const char *todo,
                        const char *name, ts_error *err);

#endif
