#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

static ts_log_sink current_sink;
static void *current_user;

void ts_log_set_sink(ts_log_sink sink, void *user)
{
    current_sink = sink;
    current_user = user;
}

static void say(ts_log_level level, const char *format, va_list args, bool once)
{
    enum { REMEMBERED = 64 };
    static uint64_t said[REMEMBERED]; // hashes of messages; beyond that many, one may come twice
    static size_t count;
    char message[2048];
    if (current_sink == NULL) {
        return;
    }
    vsnprintf(message, sizeof message, format, args);
    if (once) {
        uint64_t hash = 0xCBF29CE484222325u; // FNV-1a
        for (const char *c = message; *c != '\0'; c++) {
            hash = (hash ^ (unsigned char)*c) * 0x100000001B3u;
        }
        for (size_t i = 0; i < count && i < REMEMBERED; i++) {
            if (said[i] == hash) {
                return;
            }
        }
        said[count++ % REMEMBERED] = hash;
    }
    current_sink(current_user, level, message);
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
