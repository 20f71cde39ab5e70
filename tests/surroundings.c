// Linked into every test program: tests leave the user's cache alone (gpu/cache.h), however they
// are started, and what an earlier run left there never decides what they see. Those that test the
// cache give it a folder of their own.
#include <stdlib.h>

__attribute__((constructor)) static void prepare_surroundings(void)
{
    setenv("TINYSFT_CACHE_DIR", "off", 1);
}
