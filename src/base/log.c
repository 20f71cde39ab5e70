#include "base/log.h"

#include "base/hash.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local ts_caller *caller;

ts_caller *ts_caller_use(ts_caller *next)
{
    ts_caller *before = caller;
    caller = next;
    return before;
}

void ts_log_set_sink(ts_log_sink sink, void *user)
{
    static _Thread_local ts_caller own;
    if (caller == NULL) {
        caller = &own;
    }
    caller->log = sink;
    caller->user = user;
}

// Whether the caller has had this message before; if not, remembers it.
static bool was_said(const char *message)
{
    uint64_t hash = ts_hash_add(TS_HASH_START, message, strlen(message));
    for (size_t i = 0; i < caller->said_count && i < TS_CALLER_REMEMBERS; i++) {
        if (caller->said[i] == hash) {
            return true;
        }
    }
    caller->said[caller->said_count++ % TS_CALLER_REMEMBERS] = hash;
    return false;
}

static void say(ts_log_level level, const char *format, va_list args, bool once)
{
    char message[2048];
    if (caller == NULL || caller->log == NULL) {
        return;
    }
    vsnprintf(message, sizeof message, format, args);
    if (!once || !was_said(message)) {
        caller->log(caller->user, level, message);
    }
}

void ts_log(ts_log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(level, format, args, false);
    va_end(args);
}

void ts_log_once(ts_log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(level, format, args, true);
    va_end(args);
}

bool ts_stop_asked(void)
{
    return caller != NULL && caller->stops != NULL && caller->stops(caller->user);
}

void ts_stop_hold(bool saving)
{
    if (caller != NULL && caller->saving != NULL) {
        caller->saving(caller->user, saving);
    }
}
