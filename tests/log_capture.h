// Captures what is logged, for tests of warnings.
#ifndef TESTS_HEARD_H
#define TESTS_HEARD_H

#include "base/log.h"

#include <stdio.h>
#include <string.h>

static char logged[4096]; // the messages since logged_clear, one on each line
static unsigned logged_count;

static inline void logged_take(void *user, ts_log_level level, const char *message)
{
    (void)user, (void)level;
    size_t at = strlen(logged);
    snprintf(logged + at, sizeof logged - at, "%s\n", message);
    logged_count++;
}

static inline void logged_clear(void)
{
    logged[0] = '\0';
    logged_count = 0;
    ts_log_set_sink(logged_take, NULL);
}

#endif
