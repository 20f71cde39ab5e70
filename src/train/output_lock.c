#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "train/output.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define NAME ".tinysft-vk.lock"

enum { ATTEMPTS = 100, TRIES = 5, PAUSE_MS = 20 };

// "process 123 on HOST since 2026-01-02 03:04:05 UTC", as written by the process that holds the
// lock.
static ts_status write_holder(int file, ts_error *err)
{
    ts_status status = TS_OK;
    char host[256] = "", when[64] = "";
    ts_text text = {0};
    time_t now = time(NULL);
    struct tm utc;
    ts_os_host_name(host, sizeof host);
    if (gmtime_r(&now, &utc) != NULL) {
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &utc);
    }
    TS_TRY(ts_text_format(&text, err, "process %ld on %s since %s", ts_os_process(), host, when));
    // This text only informs. The lock works without it.
    int reason = ts_os_cut(file, 0);
    reason = reason == 0 ? ts_os_write_at(file, text.bytes, text.len, 0) : reason;
    if (reason != 0) {
        ts_log(TS_LOG_DEBUG, "the lock's file cannot be written: %s", strerror(reason));
    }
out:
    ts_text_free(&text);
    return status;
}

static ts_status tell_holder(int file, const char *output_dir, ts_error *err)
{
    char holder[512];
    size_t len;
    ts_os_read_at(file, holder, sizeof holder - 1, 0, &len);
    holder[len] = '\0';
    return ts_error_set(err, TS_ERR_ARGUMENT,
                        "%s: another training run works in this folder (%s): wait for it, stop "
                        "it, or choose another --output-dir",
                        output_dir, len > 0 ? holder : "it has only just begun");
}

// Whether the locked file is still the one at the path. The last process that held the lock deletes
// it.
static bool is_current(int file, const char *path)
{
    ts_os_info held, named;
    return ts_os_stat_open(file, &held) == 0 && ts_os_stat_link(path, &named) == 0 &&
           ts_os_same_file(&held, &named);
}

// TS_OK if the lock was taken, or if the file system does not support locks.
static ts_status try_lock(int file, bool exclusive, const char *output_dir, ts_error *err)
{
    for (int i = 0; i < TRIES; i++) {
        int reason = ts_os_lock(file, exclusive);
        if (reason == 0) {
            return TS_OK;
        }
        if (reason != EWOULDBLOCK) {
            ts_log(TS_LOG_WARN,
                   "%s: its file system has no locks (%s): see to it that no other run works in "
                   "this folder",
                   output_dir, strerror(reason));
            return TS_OK;
        }
        ts_os_sleep(PAUSE_MS / 1e3); // another process may hold it just to probe
    }
    return tell_holder(file, output_dir, err);
}

ts_status ts_output_lock_probe(const char *output_dir, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    TS_TRY(ts_path_join(output_dir, NAME, &path, err));
    int file;
    if (ts_os_open(path.bytes, TS_OS_READ | TS_OS_NO_LINK | TS_OS_NO_WAIT, &file) == 0) {
        status = try_lock(file, false, output_dir, err);
        ts_os_close(file);
    }
out:
    ts_text_free(&path);
    return status;
}

ts_status ts_output_lock_take(const char *output_dir, ts_output_lock *out, ts_error *err)
{
    ts_status status = TS_OK;
    int file = -1;
    ts_text path = {0};
    TS_TRY(ts_path_join(output_dir, NAME, &path, err));
    for (int i = 0; i < ATTEMPTS; i++) {
        int reason =
            ts_os_open(path.bytes, TS_OS_READ | TS_OS_WRITE | TS_OS_CREATE | TS_OS_NO_LINK, &file);
        if (reason != 0) {
            TS_FAIL(TS_ERR_IO, "%s: this folder cannot be written: %s", output_dir,
                    strerror(reason));
        }
        TS_TRY(try_lock(file, true, output_dir, err));
        if (is_current(file, path.bytes)) {
            TS_TRY(write_holder(file, err));
            *out = (ts_output_lock){file, path};
            return TS_OK;
        }
        ts_os_close(file);
        file = -1;
    }
    TS_FAIL(TS_ERR_IO, "%s: the lock in this folder changes all the time", output_dir);
out:
    if (file >= 0) {
        ts_os_close(file);
    }
    ts_text_free(&path);
    return status;
}

void ts_output_lock_release(ts_output_lock *lock)
{
    if (lock->path.len > 0) {
        if (is_current(lock->file, lock->path.bytes)) {
            // Deleted before unlocking, so that nobody locks a deleted file.
            ts_os_delete(lock->path.bytes);
        }
        ts_os_close(lock->file);
    }
    ts_text_free(&lock->path);
    *lock = (ts_output_lock){0};
}
