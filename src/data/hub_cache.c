#include "data/hub_parts.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_ENDPOINT "https://huggingface.co"

enum { TOKEN_MAX_BYTES = 4096, REF_MAX_BYTES = 256, LOCK_POLL_MS = 100 };

bool ts_hub_is_hex(const char *text, size_t digits)
{
    return strlen(text) == digits && strspn(text, "0123456789abcdef") == digits;
}

// ---- The environment

// An empty variable counts as unset, as in Hugging Face's libraries.
static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

bool ts_hub_environment_offline(void)
{
    static const char *const yes[] = {"1", "on", "yes", "true"};
    const char *value = environment("HF_HUB_OFFLINE");
    for (size_t i = 0; value != NULL && i < TS_COUNT(yes); i++) {
        if (strcasecmp(value, yes[i]) == 0) {
            return true;
        }
    }
    return false;
}

static ts_status read_home(ts_text *out, ts_error *err)
{
    const char *value;
    if ((value = environment("HF_HOME")) != NULL) {
        return ts_text_format(out, err, "%s", value);
    }
    if ((value = environment("XDG_CACHE_HOME")) != NULL) {
        return ts_text_format(out, err, "%s/huggingface", value);
    }
    if ((value = environment("HOME")) != NULL) {
        return ts_text_format(out, err, "%s/.cache/huggingface", value);
    }
    return ts_error_set(err, TS_ERR_ARGUMENT,
                        "no folder to download to: HF_HUB_CACHE, HF_HOME and HOME are all unset");
}

// Stores `value` without the white space around it. A value that holds white space or anything but
// printable ASCII is refused, since it could start another header line. The message must not show
// the token.
static ts_status set_token(ts_hub *hub, const char *value, const char *source, ts_error *err)
{
    static const char blanks[] = " \t\r\n";
    value += strspn(value, blanks);
    size_t len = strlen(value);
    while (len > 0 && strchr(blanks, value[len - 1]) != NULL) {
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        if (value[i] <= ' ' || value[i] > '~') {
            return ts_error_set(err, TS_ERR_ARGUMENT,
                                "%s: not a token: it holds a blank or a byte that is not ASCII",
                                source);
        }
    }
    return ts_text_append(&hub->token, value, len, err);
}

static ts_status read_token(ts_hub *hub, const char *home, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0}, text = {0};
    bool found;
    const char *value = environment("HF_TOKEN"), *named = environment("HF_TOKEN_PATH");
    if (value != NULL) {
        TS_TRY(set_token(hub, value, "HF_TOKEN", err));
        goto out;
    }
    if (named != NULL) {
        TS_TRY(ts_text_format(&path, err, "%s", named));
    } else {
        TS_TRY(ts_path_join(home, "token", &path, err));
    }
    TS_TRY(ts_file_find(path.bytes, &found, err));
    if (found) {
        TS_TRY(ts_file_read(path.bytes, TOKEN_MAX_BYTES, &text, err));
        TS_TRY(set_token(hub, text.bytes, path.bytes, err));
    }
out:
    ts_text_free(&path);
    ts_text_free(&text);
    return status;
}

ts_status ts_hub_read_environment(ts_hub *hub, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text home = {0};
    const char *cache = environment("HF_HUB_CACHE"), *endpoint = environment("HF_ENDPOINT");
    const char *slash = strchr(hub->model, '/');
    TS_TRY(read_home(&home, err));
    if (cache != NULL) {
        TS_TRY(ts_text_format(&hub->cache, err, "%s", cache));
    } else {
        TS_TRY(ts_path_join(home.bytes, "hub", &hub->cache, err));
    }
    TS_TRY(ts_text_format(&hub->folder, err, "%s/models--%.*s--%s", hub->cache.bytes,
                          (int)(slash - hub->model), hub->model, slash + 1));
    TS_TRY(read_token(hub, home.bytes, err));
    TS_TRY(
        ts_text_format(&hub->endpoint, err, "%s", endpoint != NULL ? endpoint : DEFAULT_ENDPOINT));
    while (hub->endpoint.len > 0 && hub->endpoint.bytes[hub->endpoint.len - 1] == '/') {
        hub->endpoint.bytes[--hub->endpoint.len] = '\0';
    }
out:
    ts_text_free(&home);
    return status;
}

// ---- Paths

ts_status ts_hub_path(const ts_hub *hub, ts_text *out, ts_error *err, const char *format, ...)
{
    char rest[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(rest, sizeof rest, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof rest) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "%s: a file's name is too long", hub->model);
    }
    return ts_path_join(hub->folder.bytes, rest, out, err);
}

// Creates the folder that will hold `path`.
static ts_status make_parent(const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text parent = {0};
    size_t len = (size_t)(ts_path_name(path) - path);
    TS_TRY(ts_text_append(&parent, path, len > 0 ? len - 1 : 0, err));
    TS_TRY(ts_folder_make(parent.bytes, err));
out:
    ts_text_free(&parent);
    return status;
}

bool ts_hub_cached_commit(const ts_hub *hub, char out[TS_HUB_COMMIT_DIGITS + 1])
{
    ts_text path = {0}, text = {0};
    bool known = false;
    if (ts_hub_is_hex(hub->revision, TS_HUB_COMMIT_DIGITS)) {
        memcpy(out, hub->revision, TS_HUB_COMMIT_DIGITS + 1);
        return true;
    }
    if (ts_hub_path(hub, &path, NULL, "refs/%s", hub->revision) == TS_OK &&
        ts_file_read(path.bytes, REF_MAX_BYTES, &text, NULL) == TS_OK) {
        while (text.len > 0 && strchr(" \r\n", text.bytes[text.len - 1]) != NULL) {
            text.bytes[--text.len] = '\0';
        }
        known = ts_hub_is_hex(text.bytes, TS_HUB_COMMIT_DIGITS);
        if (known) {
            memcpy(out, text.bytes, TS_HUB_COMMIT_DIGITS + 1);
        }
    }
    ts_text_free(&path);
    ts_text_free(&text);
    return known;
}

ts_status ts_hub_write_ref(const ts_hub *hub, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    char before[TS_HUB_COMMIT_DIGITS + 1];
    if (ts_hub_cached_commit(hub, before) && strcmp(before, hub->commit) == 0) {
        return TS_OK;
    }
    TS_TRY(ts_hub_path(hub, &path, err, "refs/%s", hub->revision));
    TS_TRY(make_parent(path.bytes, err));
    TS_TRY(ts_file_write(path.bytes, hub->commit, TS_HUB_COMMIT_DIGITS, err));
out:
    ts_text_free(&path);
    return status;
}

// ---- Snapshots

// Whether FOLDER/COMMIT/FILE exists; a link to a deleted blob does not count.
static bool has_file(const ts_hub *hub, const char *folder, const char *file)
{
    ts_text path = {0};
    ts_os_info info;
    bool there = ts_hub_path(hub, &path, NULL, "%s/%s/%s", folder, hub->commit, file) == TS_OK &&
                 ts_os_stat(path.bytes, &info) == 0 && info.kind == TS_OS_FILE;
    ts_text_free(&path);
    return there;
}

bool ts_hub_has(const ts_hub *hub, const char *file)
{
    return has_file(hub, "snapshots", file);
}

bool ts_hub_is_absent(const ts_hub *hub, const char *file)
{
    return has_file(hub, ".no_exist", file);
}

ts_status ts_hub_mark_absent(const ts_hub *hub, const char *file, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    TS_TRY(ts_hub_path(hub, &path, err, ".no_exist/%s/%s", hub->commit, file));
    TS_TRY(make_parent(path.bytes, err));
    TS_TRY(ts_file_write_plain(path.bytes, "", 0, err));
out:
    ts_text_free(&path);
    return status;
}

ts_status ts_hub_link(const ts_hub *hub, const char *file, const char *hash, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0}, temporary = {0};
    char target[sizeof "../../blobs/" + TS_DIGEST_TEXT_BYTES];
    snprintf(target, sizeof target, "../../blobs/%s", hash);
    TS_TRY(ts_hub_path(hub, &path, err, "snapshots/%s/%s", hub->commit, file));
    TS_TRY(make_parent(path.bytes, err));
    TS_TRY(ts_text_format(&temporary, err, "%s.tmp", path.bytes));
    // Left by a process that died; the blob's lock keeps others from using it.
    ts_os_delete(temporary.bytes);
    int reason = ts_os_make_link(target, temporary.bytes);
    if (reason == 0) { // replaces what is there, such as a link to a blob that was deleted
        reason = ts_os_rename(temporary.bytes, path.bytes);
    }
    if (reason != 0) {
        ts_os_delete(temporary.bytes);
        TS_FAIL(TS_ERR_IO, "%s: cannot create the link: %s", path.bytes, strerror(reason));
    }
out:
    ts_text_free(&path);
    ts_text_free(&temporary);
    return status;
}

// ---- Locks

// Locks with flock, as Hugging Face's libraries do. *held is false if another process has the lock.
static ts_status try_lock(const char *path, int *lock, bool *held, ts_error *err)
{
    ts_os_info opened, named;
    int file;
    *held = false;
    ts_status status =
        ts_file_open(path, TS_OS_READ | TS_OS_WRITE | TS_OS_CREATE, &file, &opened, err);
    if (status != TS_OK) {
        return status;
    }
    int reason = ts_os_lock(file, true);
    if (reason != 0) {
        ts_os_close(file);
        return reason == EWOULDBLOCK
                   ? TS_OK
                   : ts_error_set(err, TS_ERR_IO, "%s: cannot lock: %s", path, strerror(reason));
    }
    // The last holder may have deleted the file after unlocking; a lock on the deleted file
    // protects nothing.
    *held = ts_os_stat(path, &named) == 0 && ts_os_same_file(&opened, &named);
    if (*held) {
        *lock = file;
    } else {
        ts_os_close(file);
    }
    return TS_OK;
}

ts_status ts_hub_lock(const ts_hub *hub, const char *hash, int *lock, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    bool held = false, said = false;
    TS_TRY(ts_text_format(&path, err, "%s/.locks/%s/%s.lock", hub->cache.bytes,
                          ts_path_name(hub->folder.bytes), hash));
    TS_TRY(make_parent(path.bytes, err));
    for (;;) {
        TS_TRY(try_lock(path.bytes, lock, &held, err));
        if (held) {
            break;
        }
        if (ts_stop_asked()) {
            TS_FAIL(TS_ERR_STOPPED, "stopped while another process downloads the same file");
        }
        if (!said) {
            ts_log(TS_LOG_INFO, "waiting for another process that downloads the same file");
            said = true;
        }
        ts_os_sleep(LOCK_POLL_MS / 1e3);
    }
out:
    ts_text_free(&path);
    return status;
}

void ts_hub_unlock(int lock)
{
    if (lock >= 0) {
        ts_os_close(lock);
    }
}

ts_status ts_hub_check_space(const char *folder, uint64_t bytes, ts_error *err)
{
    uint64_t free_bytes;
    if (ts_os_free_bytes(folder, &free_bytes) != 0) {
        return TS_OK; // some file systems do not report it; then a full disk shows when writing
    }
    if (free_bytes < bytes) {
        return ts_error_set(err, TS_ERR_IO, "needs %.1f MiB more, and %s has %.1f MiB free",
                            (double)bytes / (1 << 20), folder, (double)free_bytes / (1 << 20));
    }
    return TS_OK;
}
