// The requests that every kernel driver answers alike (include/uapi/drm/drm.h), and buffers.
#include "null_gpu.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 65536 }; // the largest of those that drivers align to

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // of all that follows

static struct {
    uint64_t place, bytes;
} * buffers; // by handle; a freed one has 0 bytes
static uint32_t buffer_count = 1;
static uint64_t next_place = PAGE;

int null_memory_file(void)
{
    static int file = -1;
    if (file < 0) {
        file = memfd_create("null_gpu", MFD_CLOEXEC);
        if (file < 0 ||
            ftruncate(file, 1ll << 40) != 0) { // a page takes no memory before it is written
            perror("null_gpu: no memory");
            _exit(1);
        }
    }
    return file;
}

uint32_t null_buffer_new(uint64_t bytes)
{
    void *grown = realloc(buffers, (buffer_count + 1) * sizeof *buffers);
    if (grown == NULL) {
        abort();
    }
    buffers = grown;
    buffers[buffer_count].place = next_place;
    buffers[buffer_count].bytes = (bytes + PAGE - 1) / PAGE * PAGE;
    next_place += buffers[buffer_count].bytes; // no place is used twice: the file has 1 TiB
    return buffer_count++;
}

uint64_t null_buffer_bytes(uint32_t handle)
{
    return handle > 0 && handle < buffer_count ? buffers[handle].bytes : 0;
}

uint64_t null_buffer_place(uint32_t handle)
{
    return null_buffer_bytes(handle) > 0 ? buffers[handle].place : 0;
}

void null_buffer_free(uint32_t handle)
{
    uint64_t bytes = null_buffer_bytes(handle);
    if (bytes > 0) {
        fallocate(null_memory_file(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  (off_t)buffers[handle].place, (off_t)bytes);
        buffers[handle].bytes = 0;
    }
}

// A text for the caller's buffer of *size bytes (NULL: it asks how long it is).
static void tell(const char *text, char *out, uint64_t *size)
{
    size_t length = strlen(text);
    if (out != NULL) {
        memcpy(out, text, length < *size ? length : *size);
    }
    *size = length;
}

static int version(void *argument)
{
    struct {
        int numbers[3];
        uint64_t name_size;
        char *name;
        uint64_t date_size;
        char *date;
        uint64_t description_size;
        char *description;
    } *it = argument;
    memcpy(it->numbers, null_device->kernel->version, sizeof it->numbers);
    tell(null_device->kernel->name, it->name, &it->name_size);
    tell("20260101", it->date, &it->date_size);
    tell("null", it->description, &it->description_size);
    return 0;
}

static int capability(void *argument)
{
    enum { PRIME = 5, SYNCOBJ = 0x13, SYNCOBJ_TIMELINE = 0x14 };
    struct {
        uint64_t which, value;
    } *it = argument;
    it->value = it->which == PRIME || it->which == SYNCOBJ || it->which == SYNCOBJ_TIMELINE;
    return 0;
}

// Every point of a timeline has been reached.
static int syncobj_query(void *argument)
{
    struct {
        uint64_t handles, points;
        uint32_t count, flags;
    } *it = argument;
    uint64_t *points = (uint64_t *)(uintptr_t)it->points;
    for (uint32_t i = 0; i < it->count; i++) {
        points[i] = UINT64_MAX;
    }
    return 0;
}

static int answer_generic(unsigned number, void *argument)
{
    enum {
        VERSION = 0x00,
        GEM_CLOSE = 0x09,
        GET_CAP = 0x0c,
        PRIME_HANDLE_TO_FD = 0x2d,
        SYNCOBJ_CREATE = 0xbf,
        SYNCOBJ_DESTROY,
        SYNCOBJ_HANDLE_TO_FD,
        SYNCOBJ_FD_TO_HANDLE,
        SYNCOBJ_WAIT,
        SYNCOBJ_RESET,
        SYNCOBJ_SIGNAL,
        SYNCOBJ_TIMELINE_WAIT = 0xca,
        SYNCOBJ_QUERY,
        SYNCOBJ_TRANSFER,
        SYNCOBJ_TIMELINE_SIGNAL
    };
    switch (number) {
    case VERSION:
        return version(argument);
    case GEM_CLOSE:
        null_buffer_free(*(uint32_t *)argument);
        return 0;
    case GET_CAP:
        return capability(argument);
    case PRIME_HANDLE_TO_FD: // drivers try to share with other processes, and can do without
        return -EINVAL;
    case SYNCOBJ_CREATE:
        *(uint32_t *)argument = 1; // one handle serves for all
        return 0;
    case SYNCOBJ_QUERY:
        return syncobj_query(argument);
    case SYNCOBJ_DESTROY:
    case SYNCOBJ_WAIT:
    case SYNCOBJ_RESET:
    case SYNCOBJ_SIGNAL:
    case SYNCOBJ_TIMELINE_WAIT:
    case SYNCOBJ_TRANSFER:
    case SYNCOBJ_TIMELINE_SIGNAL:
        return 0;
    default:
        return NULL_UNKNOWN;
    }
}

int null_answer(unsigned long request, void *argument)
{
    enum { FIRST_OF_DRIVER = 0x40, END_OF_DRIVER = 0xa0 };
    unsigned number = _IOC_NR(request);
    bool driver = number >= FIRST_OF_DRIVER && number < END_OF_DRIVER;
    pthread_mutex_lock(&lock);
    int result = driver ? null_device->kernel->answer(number - FIRST_OF_DRIVER, argument)
                        : answer_generic(number, argument);
    pthread_mutex_unlock(&lock);
    if (result == NULL_UNKNOWN) {
        fprintf(stderr, "null_gpu: %s has no answer to ioctl 0x%x of %s\n", null_device->name,
                driver ? number - FIRST_OF_DRIVER : number,
                driver ? null_device->kernel->name : "every driver");
    }
    return result;
}
