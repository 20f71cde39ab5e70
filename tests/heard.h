// What was logged, for tests of warnings.
#ifndef TESTS_HEARD_H
#define TESTS_HEARD_H

#include "base/log.h"

#include <stdio.h>
#include <string.h>

static char heard[4096]; // the messages since heard_clear, one a line
static unsigned heard_count;

static inline void heard_take(void *user, ts_log_level level, const char *message)
{
    (void)user, (void)level;
    size_t at = strlen(heard);
    snprintf(heard + at, sizeof heard - at, "%s\n", message);
    heard_count++;
}

static inline void heard_clear(void)
{
    heard[0] = '\0';
    heard_count = 0;
    ts_log_set_sink(heard_take, NULL);
}

#endif
