// What the fuzz targets share. A target defines LLVMFuzzerTestOneInput, which libFuzzer calls with
// one input after the other (https://llvm.org/docs/LibFuzzer.html); whatever they hold, nothing may
// crash, leak, hang or grow without bound, and a failure leaves a message.
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include "base/file.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// An expectation of a target: what does not hold ends the program, as a crash would.
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

// Holds that a call's outcome and its message agree.
static inline void fuzz_check_status(ts_status status, const ts_error *err)
{
    FUZZ_CHECK((status == TS_OK) == (err->code == TS_OK));
    FUZZ_CHECK(status == err->code);
    FUZZ_CHECK((status == TS_OK) == (err->message[0] == '\0'));
}

static inline char *fuzz_folder_name(void)
{
    static char folder[256];
    return folder;
}

static inline void fuzz_folder_remove(void)
{
    ts_error ignored = {0};
    ts_folder_remove(fuzz_folder_name(), &ignored);
}

// A folder of this process's own, in memory ($TMPDIR or /dev/shm), removed at its end.
static inline const char *fuzz_folder(void)
{
    char *folder = fuzz_folder_name();
    if (folder[0] == '\0') {
        const char *place = getenv("TMPDIR");
        snprintf(folder, 256, "%s/tinysft-fuzz-XXXXXX", place != NULL ? place : "/dev/shm");
        FUZZ_CHECK(mkdtemp(folder) != NULL);
        atexit(fuzz_folder_remove);
    }
    return folder;
}

// Makes the folder's file `name` hold these bytes, and returns its path, good until the next call.
static inline const char *fuzz_file(const char *name, const void *bytes, size_t len)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0);
    FUZZ_CHECK(write(fd, bytes, len) == (ssize_t)len);
    close(fd);
    return path;
}

#endif
