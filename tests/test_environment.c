// Linked into every test program. Tests use no cache of the user's (gpu/cache.h), however they are
// started, and nothing that an earlier run left there influences them. Tests of the cache set a
// folder of their own. Messages of the validation layer are printed, unless a test captures the
// log.
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void show_validation(void *user, ts_log_level level, const char *message)
{
    (void)user, (void)level;
    if (strncmp(message, "validation", strlen("validation")) == 0) {
        fprintf(stderr, "%s\n", message);
    }
}

__attribute__((constructor)) static void prepare_surroundings(void)
{
    setenv("TINYSFT_CACHE_DIR", "off", 1);
    ts_log_set_sink(show_validation, NULL);
}
