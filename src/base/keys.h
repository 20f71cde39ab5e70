// What a reader knows of an object's keys. Whatever a file says has a meaning to somebody: a key is
// read, or refused by its name, or named in one warning that counts; none is passed over in
// silence.
#ifndef TS_BASE_KEYS_H
#define TS_BASE_KEYS_H

#include "base/json.h"

typedef enum ts_key_use {
    TS_KEY_READ, // the reader heeds it, or it changes nothing that is computed here
    TS_KEY_ONLY, // refused unless it is null, off or one of `only`
    TS_KEY_NOTE, // the same, but named in the warning instead of refused
} ts_key_use;

typedef struct ts_key {
    const char *name;
    ts_key_use use;
    const char *only; // a JSON array of the values it may hold; NULL: only off
    const char *todo; // what a user may do about another; may be NULL
} ts_key;

// null, false, 0, or an empty string, array or object; NULL too.
bool ts_key_is_off(const cJSON *value);

// Whether `value` is one of the values in the JSON array `list`.
bool ts_key_is_one_of(const cJSON *value, const char *list);

// Checks every key of `object` (no object: nothing to check) against keys[0..count). A value that
// may not stand there is TS_ERR_UNSUPPORTED by key and value. Keys that stand in no row are
// refused too where they are on and `refuse_unknown`; otherwise one warning counts and names them.
ts_status ts_keys_check(const cJSON *object, const ts_key *keys, size_t count, bool refuse_unknown,
                        const char *name, ts_error *err);

// "NAME: key 'KEY' is VALUE: not implemented, only ONLY; TODO". Either may be NULL.
ts_status ts_key_refuse(const cJSON *value, const char *key, const char *only, const char *todo,
                        const char *name, ts_error *err);

#endif
