// Shared by the fuzz targets. A target defines LLVMFuzzerTestOneInput, which libFuzzer calls with
// one input after another (https://llvm.org/docs/LibFuzzer.html). Whatever an input holds, the code
// under test must not crash, leak, hang or use memory without limit, and a failure must leave a
// message.
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

// An expectation of a target. If it does not hold, the program aborts, as in a crash.
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

// Expects a message if a call failed, and none if it succeeded.
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

// A folder that only this process uses, in memory ($TMPDIR or /dev/shm). Removed at the end.
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

// Writes these bytes to the folder's file `name` and returns its path, valid until the next call.
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
