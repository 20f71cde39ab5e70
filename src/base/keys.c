#include "base/keys.h"

#include "base/log.h"
#include "base/text.h"

#include <string.h>

bool ts_key_is_off(const cJSON *value)
{
    return value == NULL || cJSON_IsNull(value) || cJSON_IsFalse(value) ||
           (cJSON_IsNumber(value) && value->valuedouble == 0) ||
           (cJSON_IsString(value) && value->valuestring[0] == '\0') ||
           ((cJSON_IsObject(value) || cJSON_IsArray(value)) && value->child == NULL);
}

bool ts_key_is_one_of(const cJSON *value, const char *list)
{
    cJSON *values = cJSON_Parse(list);
    bool found = false;
    const cJSON *entry;
    cJSON_ArrayForEach(entry, values)
    {
        found = found || cJSON_Compare(value, entry, true);
    }
    cJSON_Delete(values);
    return found;
}

static bool may_hold(const ts_key *key, const cJSON *value)
{
    return key->only != NULL ? cJSON_IsNull(value) || ts_key_is_one_of(value, key->only)
                             : ts_key_is_off(value);
}

ts_status ts_key_refuse(const cJSON *value, const char *key, const char *only, const char *todo,
                        const char *name, ts_error *err)
{
    char *text = cJSON_PrintUnformatted(value);
    int length = only != NULL ? (int)strlen(only) : 0;
    bool listed = length > 2 && only[0] == '['; // shown without its brackets
    ts_error_set(err, TS_ERR_UNSUPPORTED, "%s: key '%.100s' is %.200s: not implemented%s%.*s%s%s",
                 name, key, text != NULL ? text : "?", only != NULL ? ", only " : "",
                 listed ? length - 2 : length, only != NULL ? only + listed : "",
                 todo != NULL ? "; " : "", todo != NULL ? todo : "");
    cJSON_free(text);
    return TS_ERR_UNSUPPORTED;
}

static const ts_key *find_key(const ts_key *keys, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(keys[i].name, name) == 0) {
            return &keys[i];
        }
    }
    return NULL;
}

ts_status ts_keys_check(const cJSON *object, const ts_key *keys, size_t count, bool refuse_unknown,
                        const char *name, ts_error *err)
{
    enum { NAMED = 8 }; // the warning names at most this many; it counts all
    ts_status status = TS_OK;
    ts_text list = {0};
    unsigned unknown = 0;
    const cJSON *value = cJSON_IsObject(object) ? object->child : NULL;
    for (; value != NULL; value = value->next) {
        const ts_key *key = find_key(keys, count, value->string);
        if (key != NULL && (key->use == TS_KEY_READ || may_hold(key, value))) {
            continue;
        }
        if (key != NULL && key->use == TS_KEY_ONLY) {
            TS_TRY(ts_key_refuse(value, key->name, key->only, key->todo, name, err));
        }
        if (key == NULL && refuse_unknown && !ts_key_is_off(value)) {
            TS_TRY(
                ts_key_refuse(value, value->string, NULL, "this key is not known here", name, err));
        }
        if (unknown++ < NAMED) {
            TS_TRY(ts_text_format(&list, err, "%s%.60s", list.len > 0 ? ", " : "", value->string));
        }
    }
    if (unknown > 0) {
        ts_log_once(TS_LOG_WARN, "%s: %u key%s without effect here: %s%s", name, unknown,
                    ts_plural(unknown), list.bytes, unknown > NAMED ? ", ..." : "");
    }
out:
    ts_text_free(&list);
    return status;
}
