// Linked into every test program: tests leave the user's cache alone (gpu/cache.h), however they
// are started, and what an earlier run left there never decides what they see. Those that test the
// cache give it a folder of their own. What the validation layer says is shown, unless a test keeps
// all messages for itself.
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
