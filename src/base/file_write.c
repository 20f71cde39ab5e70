// Writing files and folders so that a crash at any moment leaves either the old content or the new,
// and never a part of it.
#include "base/file_parts.h"
#include "base/memory.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { TEMPORARY_NAMES = 1000, MOST_LINKS = 40 };

// Turns an error number of base/os.h into a status: TS_OK for 0.
static ts_status check(int reason, const char *path, const char *doing, ts_error *err)
{
    return reason == 0 ? TS_OK : ts_file_error(path, doing, reason, err);
}

// The folder that holds `path`.
static ts_status parent_of(const char *path, ts_text *out, ts_error *err)
{
    size_t len = (size_t)(ts_path_name(path) - path);
    return len == 0 ? ts_text_append(out, ".", 1, err) : ts_text_append(out, path, len, err);
}

static ts_status sync_parent(const char *path, ts_error *err)
{
    ts_text parent = {0};
    ts_status status = parent_of(path, &parent, err);
    if (status == TS_OK) {
        status = check(ts_os_sync_folder(parent.bytes), parent.bytes, "sync", err);
    }
    ts_text_free(&parent);
    return status;
}

// Writes, syncs and closes `file` in every case.
static ts_status fill(int file, const char *path, const void *bytes, uint64_t len, ts_error *err)
{
    ts_status status = check(ts_os_write(file, bytes, len), path, "write", err);
    if (status == TS_OK) {
        status = check(ts_os_sync(file), path, "sync", err);
    }
    int reason = ts_os_close(file);
    return status == TS_OK ? check(reason, path, "close", err) : status;
}

// ---- What a path leads to

// Where ts_file_write writes. Starts zeroed.
typedef struct target {
    ts_text path; // with links followed
    bool there;
    ts_os_info info; // of what is there
    int named;       // an open file that the path stands for (/dev/stdout); -1: none
} target;

// Replaces *path, a link, by what it points to.
static ts_status follow(ts_text *path, ts_error *err)
{
    ts_status status = TS_OK;
    char link[PATH_MAX];
    ts_text next = {0};
    int reason = ts_os_read_link(path->bytes, link, sizeof link);
    if (reason != 0) {
        return ts_file_error(path->bytes, "follow the link", reason, err);
    }
    if (link[0] != '/') {
        size_t folder = (size_t)(ts_path_name(path->bytes) - path->bytes);
        TS_TRY(ts_text_append(&next, path->bytes, folder, err));
    }
    TS_TRY(ts_text_append(&next, link, strlen(link), err));
    ts_text_free(path);
    *path = next;
    next = (ts_text){0};
out:
    ts_text_free(&next);
    return status;
}

static ts_status find_target(const char *path, target *out, ts_error *err)
{
    ts_status status = TS_OK;
    size_t len = strlen(path);
    out->named = -1;
    if (len > 0 && path[len - 1] == '/') {
        TS_FAIL(TS_ERR_IO, "%s: names a folder, but a file is to be written", path);
    }
    TS_TRY(ts_text_append(&out->path, path, len, err));
    for (int links = 0;; links++) {
        if ((out->named = ts_os_named_file(out->path.bytes)) >= 0) {
            goto out;
        }
        int reason = ts_os_stat_link(out->path.bytes, &out->info);
        if (reason != 0) {
            status =
                reason == ENOENT && len > 0 ? TS_OK : ts_file_error(path, "write", reason, err);
            goto out;
        }
        if (out->info.kind != TS_OS_LINK) {
            out->there = true;
            break;
        }
        if (links == MOST_LINKS) {
            status = ts_file_error(path, "write", ELOOP, err);
            goto out;
        }
        TS_TRY(follow(&out->path, err));
    }
    ts_os_kind kind = out->info.kind;
    if (kind == TS_OS_FOLDER || kind == TS_OS_SOCKET || kind == TS_OS_DISK) {
        TS_FAIL(TS_ERR_IO, "%s: %s, but a file is to be written", path, ts_file_kind(kind));
    }
    if (kind == TS_OS_FILE) { // a rename would replace even a file that may not be written
        status = check(ts_os_may(out->path.bytes, TS_OS_MAY_WRITE), path, "write", err);
    }
out:
    return status;
}

// Whether a new file takes the target's place. Otherwise the target is written to directly.
static bool is_replaced(const target *to)
{
    return to->named < 0 && (!to->there || to->info.kind == TS_OS_FILE);
}

ts_status ts_file_check_writable(const char *path, ts_error *err)
{
    ts_text folder = {0};
    target to = {0};
    ts_status status = TS_OK;
    TS_TRY(find_target(path, &to, err));
    if (is_replaced(&to)) {
        TS_TRY(parent_of(to.path.bytes, &folder, err));
        status =
            check(ts_os_may(folder.bytes, TS_OS_MAY_WRITE | TS_OS_MAY_ENTER), path, "write", err);
    }
out:
    ts_text_free(&folder);
    ts_text_free(&to.path);
    return status;
}

// ---- Temporary files

// PATH.tmp-PID-NUMBER, with PATH's name cut where the whole would be longer than a name may be.
static ts_status name_temporary(const char *path, unsigned number, ts_text *out, ts_error *err)
{
    char end[64];
    int end_len = snprintf(end, sizeof end, ".tmp-%ld-%u", ts_os_process(), number);
    size_t len = strlen(path), most = (size_t)(ts_path_name(path) - path) + NAME_MAX - sizeof end;
    ts_text_clear(out);
    ts_status status = ts_text_append(out, path, ts_min_u64(len, most), err);
    return status == TS_OK ? ts_text_append(out, end, (size_t)end_len, err) : status;
}

// Opens a new file beside `path`, with the permissions that the user's umask allows (mkstemp would
// give 0600). Its lock tells other processes that it is still being written.
static ts_status open_temporary(const char *path, ts_text *name, int *file, ts_error *err)
{
    int reason = 0;
    *file = -1;
    for (unsigned i = 0; i < TEMPORARY_NAMES; i++) {
        ts_status status = name_temporary(path, i, name, err);
        if (status != TS_OK) {
            return status;
        }
        reason = ts_os_open(name->bytes, TS_OS_WRITE | TS_OS_CREATE | TS_OS_NEW, file);
        if (reason != EEXIST) {
            break;
        }
    }
    if (reason != 0) {
        return ts_file_error(path, "write", reason, err);
    }
    ts_os_lock(*file, true); // a file system without locks is fine
    return TS_OK;
}

// Whether `name` is that of a temporary file of `stem` whose process is gone. This process's own
// number counts as gone: in a container every run may have the same number. A file that is still
// being written is kept all the same, because it is locked.
static bool is_abandoned(const char *name, const char *stem, size_t stem_len)
{
    long pid = 0;
    unsigned number = 0;
    int end = 0;
    return strncmp(name, stem, stem_len) == 0 &&
           sscanf(name + stem_len, ".tmp-%ld-%u%n", &pid, &number, &end) == 2 &&
           name[stem_len + (size_t)end] == '\0' && pid > 0 &&
           (pid == ts_os_process() || ts_os_process_is_gone(pid));
}

// Removes the temporary files that killed processes left beside `path`. Errors are ignored: the
// write does not depend on it.
static void remove_abandoned(const char *path)
{
    ts_text folder = {0}, stem = {0}, found = {0};
    ts_os_names names = {0};
    if (parent_of(path, &folder, NULL) == TS_OK && name_temporary(path, 0, &stem, NULL) == TS_OK) {
        ts_os_list(folder.bytes, &names);
    }
    for (size_t i = 0; i < names.count; i++) {
        const char *name = ts_path_name(stem.bytes);
        size_t len = (size_t)(strrchr(name, '.') - name);
        int file = -1;
        if (!is_abandoned(names.names[i], name, len) ||
            ts_path_join(folder.bytes, names.names[i], &found, NULL) != TS_OK ||
            ts_os_open(found.bytes, TS_OS_WRITE | TS_OS_NO_LINK | TS_OS_NO_WAIT, &file) != 0) {
            continue;
        }
        if (ts_os_lock(file, true) == 0) {
            ts_os_delete(found.bytes);
        }
        ts_os_close(file);
    }
    ts_os_names_free(&names);
    ts_text_free(&found);
    ts_text_free(&stem);
    ts_text_free(&folder);
}

// ---- Writing

// Opens a pipe, a device or an open descriptor, to be written to directly.
static ts_status open_through(const target *to, const char *path, int *file, ts_error *err)
{
    int reason;
    if (to->named >= 0) {
        fflush(stdout); // what was printed before comes first
        reason = ts_os_duplicate(to->named, file);
    } else { // without waiting: a pipe that nobody reads is an error
        reason = ts_os_open(to->path.bytes, TS_OS_WRITE | TS_OS_NO_WAIT, file);
    }
    if (reason == ENXIO) {
        return ts_error_set(err, TS_ERR_IO, "%s: %s that nobody reads", path,
                            ts_file_kind(to->info.kind));
    }
    if (reason != 0) {
        return ts_file_error(path, "write", reason, err);
    }
    if (to->named < 0) {
        ts_os_let_wait(*file);
    }
    return TS_OK;
}

ts_status ts_file_begin(const char *path, ts_file_out *out, ts_error *err)
{
    ts_status status = TS_OK;
    target to = {0};
    ts_text temporary = {0};
    *out = (ts_file_out){0};
    TS_TRY(find_target(path, &to, err));
    TS_TRY(ts_text_append(&out->path, path, strlen(path), err));
    if (is_replaced(&to)) {
        remove_abandoned(to.path.bytes);
        TS_TRY(open_temporary(to.path.bytes, &temporary, &out->file, err));
        out->open = true;
        out->temporary = temporary;
        temporary = (ts_text){0};
        if (to.there) {
            ts_os_copy_owner(out->file, &to.info);
        }
        out->target = to.path;
        to.path = (ts_text){0};
    } else {
        TS_TRY(open_through(&to, path, &out->file, err));
        out->open = true;
    }
out:
    ts_text_free(&to.path);
    ts_text_free(&temporary);
    if (status != TS_OK) {
        ts_file_drop(out);
    }
    return status;
}

ts_status ts_file_add(ts_file_out *out, const void *bytes, uint64_t len, ts_error *err)
{
    return check(ts_os_write(out->file, bytes, len), out->path.bytes, "write", err);
}

ts_status ts_file_end(ts_file_out *out, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(check(ts_os_sync(out->file), out->path.bytes, "sync", err));
    out->open = false;
    TS_TRY(check(ts_os_close(out->file), out->path.bytes, "close", err));
    if (out->target.len > 0) {
        TS_TRY(check(ts_os_rename(out->temporary.bytes, out->target.bytes), out->path.bytes,
                     "replace", err));
        ts_text_free(&out->temporary); // it has the file's own name now
        TS_TRY(sync_parent(out->target.bytes, err));
    }
out:
    ts_file_drop(out);
    return status;
}

void ts_file_drop(ts_file_out *out)
{
    if (out->open) {
        ts_os_close(out->file);
    }
    if (out->temporary.len > 0) {
        ts_os_delete(out->temporary.bytes);
    }
    ts_text_free(&out->path);
    ts_text_free(&out->target);
    ts_text_free(&out->temporary);
    *out = (ts_file_out){0};
}

ts_status ts_file_write(const char *path, const void *bytes, uint64_t len, ts_error *err)
{
    ts_file_out out;
    ts_status status = ts_file_begin(path, &out, err);
    if (status == TS_OK && (status = ts_file_add(&out, bytes, len, err)) == TS_OK) {
        status = ts_file_end(&out, err);
    }
    ts_file_drop(&out);
    return status;
}

ts_status ts_file_write_plain(const char *path, const void *bytes, uint64_t len, ts_error *err)
{
    int file, reason = ts_os_open(path, TS_OS_WRITE | TS_OS_CREATE | TS_OS_EMPTY, &file);
    return reason != 0 ? ts_file_error(path, "write", reason, err)
                       : fill(file, path, bytes, len, err);
}

ts_status ts_file_write_in(const char *folder, const char *name, const void *bytes, uint64_t len,
                           ts_file_writer write, ts_error *err)
{
    ts_text path = {0};
    ts_status status = ts_path_join(folder, name, &path, err);
    if (status == TS_OK) {
        status = write(path.bytes, bytes, len, err);
    }
    ts_text_free(&path);
    return status;
}

// ---- Folders

static int sync_entry(const char *path, ts_os_kind kind)
{
    return kind == TS_OS_FOLDER ? ts_os_sync_folder(path) : 0;
}

// Swaps the two folders in one step where the file system can; otherwise moves `final` aside.
static ts_status replace_folder(const char *temporary, const char *final, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text aside = {0};
    if (ts_os_exchange(temporary, final) == 0) {
        TS_TRY(sync_parent(final, err));
        TS_TRY(ts_folder_remove(temporary, err));
        goto out;
    }
    TS_TRY(ts_text_format(&aside, err, "%s.old-%ld", final, ts_os_process()));
    TS_TRY(ts_folder_remove(aside.bytes, err));
    TS_TRY(check(ts_os_rename(final, aside.bytes), final, "move aside", err));
    if ((status = check(ts_os_rename(temporary, final), final, "replace", err)) != TS_OK) {
        ts_os_rename(aside.bytes, final);
        goto out;
    }
    TS_TRY(sync_parent(final, err));
    TS_TRY(ts_folder_remove(aside.bytes, err));
out:
    ts_text_free(&aside);
    return status;
}

ts_status ts_folder_commit(const char *temporary, const char *final, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(check(ts_os_walk(temporary, sync_entry), temporary, "sync", err));
    if (ts_file_exists(final)) {
        return replace_folder(temporary, final, err);
    }
    TS_TRY(check(ts_os_rename(temporary, final), final, "create", err));
    TS_TRY(sync_parent(final, err));
out:
    return status;
}
