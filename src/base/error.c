#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

ts_status ts_error_set_at(ts_error *err, const char *file, int line, ts_status code,
                          const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        err->code = code;
        err->file = file;
        err->line = line;
    }
    return code;
}

ts_status ts_error_context(ts_error *err, const char *format, ...)
{
    char before[sizeof err->message], whole[2 * sizeof err->message + 2];
    va_list args;
    va_start(args, format);
    vsnprintf(before, sizeof before, format, args);
    va_end(args);
    snprintf(whole, sizeof whole, "%s: %s", before, err->message);
    memcpy(err->message, whole, sizeof err->message - 1);
    err->message[sizeof err->message - 1] = '\0';
    return err->code;
}
