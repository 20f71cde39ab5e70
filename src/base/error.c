#include "base/error.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// Drops an incomplete UTF-8 character at the end of a message that was cut to fit its buffer.
static void drop_part_character(char *message)
{
    size_t len = strlen(message), back = 1, taken;
    while (back < 4 && back < len && ts_utf8_is_continuation(message[len - back])) {
        back++;
    }
    if (back <= len && message[len - back] & 0x80 &&
        ts_utf8_decode(message + len - back, back, &taken) < 0) {
        message[len - back] = '\0';
    }
}

ts_status ts_error_set_at(ts_error *err, const char *file, int line, ts_status code,
                          const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        int len = vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        if (len >= (int)sizeof err->message) {
            drop_part_character(err->message);
        }
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
    int len = snprintf(whole, sizeof whole, "%s: %s", before, err->message);
    memcpy(err->message, whole, sizeof err->message - 1);
    err->message[sizeof err->message - 1] = '\0';
    if (len >= (int)sizeof err->message) {
        drop_part_character(err->message);
    }
    return err->code;
}
