#include "base/mistakes.h"

#include "base/log.h"

#include <string.h>

void ts_mistakes_free(ts_mistakes *mistakes)
{
    for (size_t i = 0; i < TS_MISTAKES_TOLD; i++) {
        ts_text_free(&mistakes->messages[i]);
    }
    *mistakes = (ts_mistakes){0};
}

bool ts_mistakes_is_one(ts_status status)
{
    return status == TS_ERR_FORMAT || status == TS_ERR_UNSUPPORTED;
}

ts_status ts_mistakes_note(ts_mistakes *mistakes, ts_error *mistake, ts_error *err)
{
    ts_status status = TS_OK;
    if (mistakes->count < TS_MISTAKES_TOLD) {
        TS_TRY(ts_text_append(&mistakes->messages[mistakes->count], mistake->message,
                              strlen(mistake->message), err));
    }
    mistakes->count++;
    *mistake = (ts_error){0};
out:
    return status;
}

ts_status ts_mistakes_tell(const ts_mistakes *mistakes, const char *name, ts_error *err)
{
    if (mistakes->count == 0) {
        return TS_OK;
    }
    if (mistakes->count == 1) {
        return ts_error_set(err, TS_ERR_FORMAT, "%s", mistakes->messages[0].bytes);
    }
    for (size_t i = 0; i < mistakes->count && i < TS_MISTAKES_TOLD; i++) {
        ts_log(TS_LOG_INFO, "%s", mistakes->messages[i].bytes);
    }
    return ts_error_set(err, TS_ERR_FORMAT, "%s: %zu mistakes, %s above", name, mistakes->count,
                        mistakes->count > TS_MISTAKES_TOLD ? "the first 20 of them" : "all told");
}
