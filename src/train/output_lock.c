#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "train/output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NAME ".tinysft-vk.lock"

enum { ATTEMPTS = 100, TRIES = 5 };

// "process 123 on HOST since 2026-01-02 03:04:05 UTC", as written by the process that holds the
// lock.
static ts_status write_holder(int fd, ts_error *err)
{
    ts_status status = TS_OK;
    char host[256] = "", when[64] = "";
    ts_text text = {0};
    time_t now = time(NULL);
    struct tm utc;
    gethostname(host, sizeof host - 1);
    if (gmtime_r(&now, &utc) != NULL) {
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &utc);
    }
    TS_TRY(ts_text_format(&text, err, "process %ld on %s since %s", (long)getpid(), host, when));
    // This text only informs. The lock works without it.
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text.bytes, text.len, 0) < 0) {
        ts_log(TS_LOG_DEBUG, "the lock's file cannot be written: %s", strerror(errno));
    }
out:
    ts_text_free(&text);
    return status;
}

static ts_status tell_holder(int fd, const char *output_dir, ts_error *err)
{
    char holder[512];
    ssize_t len = pread(fd, holder, sizeof holder - 1, 0);
    holder[len > 0 ? len : 0] = '\0';
    return ts_error_set(err, TS_ERR_ARGUMENT,
                        "%s: another training run works in this folder (%s): wait for it, stop "
                        "it, or choose another --output-dir",
                        output_dir, len > 0 ? holder : "it has only just begun");
}

// Whether the locked file is still the one at the path. The last process that held the lock deletes
// it.
static bool is_current(int fd, const char *path)
{
    struct stat held, named;
    return fstat(fd, &held) == 0 && lstat(path, &named) == 0 && held.st_ino == named.st_ino &&
           held.st_dev == named.st_dev;
}

// TS_OK if the lock was taken, or if the file system does not support locks.
static ts_status try_lock(int fd, int how, const char *output_dir, ts_error *err)
{
    // Another process may hold it just to probe.
    const struct timespec pause = {.tv_nsec = 20000000};
    for (int i = 0; i < TRIES; i++) {
        if (flock(fd, how | LOCK_NB) == 0) {
            return TS_OK;
        }
        if (errno != EWOULDBLOCK) {
            ts_log(TS_LOG_WARN,
                   "%s: its file system has no locks (%s): see to it that no other run works in "
                   "this folder",
                   output_dir, strerror(errno));
            return TS_OK;
        }
        nanosleep(&pause, NULL);
    }
    return tell_holder(fd, output_dir, err);
}

ts_status ts_output_lock_probe(const char *output_dir, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    TS_TRY(ts_path_join(output_dir, NAME, &path, err));
    int fd = open(path.bytes, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0) {
        status = try_lock(fd, LOCK_SH, output_dir, err);
        close(fd);
    }
out:
    ts_text_free(&path);
    return status;
}

ts_status ts_output_lock_take(const char *output_dir, ts_output_lock *out, ts_error *err)
{
    ts_status status = TS_OK;
    int fd = -1;
    ts_text path = {0};
    TS_TRY(ts_path_join(output_dir, NAME, &path, err));
    for (int i = 0; i < ATTEMPTS; i++) {
        fd = open(path.bytes, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (fd < 0) {
            TS_FAIL(TS_ERR_IO, "%s: this folder cannot be written: %s", output_dir,
                    strerror(errno));
        }
        TS_TRY(try_lock(fd, LOCK_EX, output_dir, err));
        if (is_current(fd, path.bytes)) {
            TS_TRY(write_holder(fd, err));
            *out = (ts_output_lock){fd, path};
            return TS_OK;
        }
        close(fd);
        fd = -1;
    }
    TS_FAIL(TS_ERR_IO, "%s: the lock in this folder changes all the time", output_dir);
out:
    if (fd >= 0) {
        close(fd);
    }
    ts_text_free(&path);
    return status;
}

void ts_output_lock_release(ts_output_lock *lock)
{
    if (lock->path.len > 0) {
        if (is_current(lock->fd, lock->path.bytes)) {
            // Deleted before unlocking, so that nobody locks a deleted file.
            unlink(lock->path.bytes);
        }
        close(lock->fd);
    }
    ts_text_free(&lock->path);
    *lock = (ts_output_lock){0};
}
