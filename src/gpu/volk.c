// The only file that compiles volk's code, which loads libvulkan at run time.
#define VOLK_IMPLEMENTATION
#include "gpu/internal.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void ts_volk_lock(void)
{
    pthread_mutex_lock(&lock);
}

void ts_volk_unlock(void)
{
    pthread_mutex_unlock(&lock);
}
