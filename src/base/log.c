#include "base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static ts_log_sink current_sink;
static void *current_user;

void ts_log_set_sink(ts_log_sink sink, void *user)
{
    current_sink = sink;
    current_user = user;
}

void ts_log(ts_log_level level, const char *format, ...)
{
    if (current_sink == NULL) {
        return;
    }
    char message[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    current_sink(current_user, level, message);
}
