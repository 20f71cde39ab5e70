#include "base/file_parts.h"
#include "base/memory.h"

#include <errno.h>
#include <pthread.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_END = 160 }; // bytes of a long path that are shown of each of its ends

ts_status ts_file_error(const char *path, const char *doing, int reason, ts_error *err)
{
    char shown[2 * SHOWN_END + sizeof "..."], target[SHOWN_END];
    size_t len = strlen(path);
    bool dangling = false;
    snprintf(shown, sizeof shown, "%s", path);
    if (len >= sizeof shown) {
        snprintf(shown, sizeof shown, "%.*s...%s", SHOWN_END, path, path + len - SHOWN_END);
    } else if (len == 0) {
        return ts_error_set(err, TS_ERR_IO, "cannot %s a file of no name: the path is empty",
                            doing);
    } else if (reason == ENOENT) {
        dangling = ts_os_read_link(path, target, sizeof target) == 0;
    }
    if (dangling) {
        return ts_error_set(err, TS_ERR_IO, "%s: cannot %s: it is a link to %s, which is not there",
                            shown, doing, target);
    }
    return ts_error_set(err, TS_ERR_IO, "%s: cannot %s: %s", shown, doing, strerror(reason));
}

const char *ts_file_kind(ts_os_kind kind)
{
    static const char *const names[] = {
        [TS_OS_FILE] = "a file",   [TS_OS_FOLDER] = "a folder", [TS_OS_LINK] = "a link",
        [TS_OS_PIPE] = "a pipe",   [TS_OS_SOCKET] = "a socket", [TS_OS_DISK] = "a disk",
        [TS_OS_NULL] = "a device", [TS_OS_DEVICE] = "a device"};
    return names[kind];
}

static ts_status refuse_kind(const char *path, ts_os_kind kind, ts_error *err)
{
    return ts_error_set(err, TS_ERR_IO, "%s: %s, but a file is needed", path, ts_file_kind(kind));
}

// Opening a pipe could wait for ever, and opening a device could have an effect. So the kind of the
// file is checked before it is opened, and again afterwards, in case it was replaced in between.
ts_status ts_file_open(const char *path, unsigned how, int *file, ts_os_info *info, ts_error *err)
{
    ts_os_info own;
    info = info != NULL ? info : &own;
    *file = -1;
    int reason = ts_os_stat(path, info);
    bool missing = reason == ENOENT && (how & TS_OS_CREATE) != 0;
    if (reason != 0 && !missing) {
        return ts_file_error(path, "open", reason, err);
    }
    if (!missing && info->kind != TS_OS_FILE && info->kind != TS_OS_NULL) {
        return refuse_kind(path, info->kind, err);
    }
    reason = ts_os_open(path, how | TS_OS_NO_WAIT, file);
    if (reason == 0) {
        reason = ts_os_stat_open(*file, info);
    }
    bool wrong = reason == 0 && info->kind != TS_OS_FILE && info->kind != TS_OS_NULL;
    if (reason == 0 && !wrong) {
        return TS_OK;
    }
    if (*file >= 0) {
        ts_os_close(*file);
        *file = -1;
    }
    return wrong ? refuse_kind(path, info->kind, err) : ts_file_error(path, "open", reason, err);
}

static ts_status too_big(const char *path, uint64_t max_bytes, ts_error *err)
{
    return ts_error_set(err, TS_ERR_FORMAT, "%s: larger than the %llu bytes expected at most", path,
                        (unsigned long long)max_bytes);
}

// Reads to the end whatever size the system claims: files of /proc claim 0.
static ts_status read_all(int file, const char *path, uint64_t max_bytes, ts_text *out,
                          ts_error *err)
{
    char buffer[1 << 16];
    uint64_t total = 0;
    ts_status status = ts_text_append(out, "", 0, err);
    while (status == TS_OK) {
        size_t got;
        int reason = ts_os_read(file, buffer, sizeof buffer, &got);
        if (reason != 0) {
            return ts_file_error(path, "read", reason, err);
        }
        if (got == 0) {
            break;
        }
        total += got;
        if (total > max_bytes) {
            return too_big(path, max_bytes, err);
        }
        status = ts_text_append(out, buffer, got, err);
    }
    return status;
}

ts_status ts_file_read(const char *path, uint64_t max_bytes, ts_text *out, ts_error *err)
{
    ts_os_info info;
    int file;
    ts_status status = ts_file_open(path, TS_OS_READ, &file, &info, err);
    if (status != TS_OK) {
        return status;
    }
    status = info.kind == TS_OS_FILE && info.bytes > max_bytes
                 ? too_big(path, max_bytes, err)
                 : read_all(file, path, max_bytes, out, err);
    ts_os_close(file);
    return status;
}

// A mapped file, kept open so that ts_map_check can see whether it has changed.
struct ts_map_file {
    struct ts_map_file *next; // of all that are mapped
    const unsigned char *bytes;
    uint64_t len;
    ts_os_info info;
    int file;
    char path[];
};

// All mapped files of the process. A signal handler may walk the list at any moment, so every
// change is a single store, and the lock lets one thread at a time make it.
static struct ts_map_file *volatile mapped;
static pthread_mutex_t mapped_lock = PTHREAD_MUTEX_INITIALIZER;

static ts_status note_mapping(const char *path, int opened, const ts_os_info *info, ts_map *map,
                              ts_error *err)
{
    struct ts_map_file *file = NULL;
    ts_status status = ts_alloc(1, sizeof *file + strlen(path) + 1, &file, err);
    if (status == TS_OK) {
        file->bytes = map->bytes;
        file->len = map->len;
        file->info = *info;
        file->file = opened;
        memcpy(file->path, path, strlen(path) + 1);
        pthread_mutex_lock(&mapped_lock);
        file->next = mapped;
        mapped = map->file = file;
        pthread_mutex_unlock(&mapped_lock);
    }
    return status;
}

static void forget_mapping(struct ts_map_file *file)
{
    pthread_mutex_lock(&mapped_lock);
    struct ts_map_file *before = mapped;
    if (before == file) {
        mapped = file->next;
    } else {
        while (before->next != file) {
            before = before->next;
        }
        before->next = file->next;
    }
    pthread_mutex_unlock(&mapped_lock);
    ts_os_close(file->file);
    free(file);
}

ts_status ts_map_check(const ts_map *map, ts_error *err)
{
    const struct ts_map_file *file = map->file;
    ts_os_info info;
    if (file == NULL) {
        return TS_OK; // an empty file
    }
    int reason = ts_os_stat_open(file->file, &info);
    if (reason != 0) {
        return ts_file_error(file->path, "read its size", reason, err);
    }
    if (info.bytes != file->len) {
        return ts_error_set(err, TS_ERR_IO,
                            "%s: %llu bytes when it was opened, %llu now: somebody writes to it "
                            "while it is in use; start again when it is whole",
                            file->path, (unsigned long long)file->len,
                            (unsigned long long)info.bytes);
    }
    if (info.written_s != file->info.written_s || info.written_ns != file->info.written_ns) {
        return ts_error_set(err, TS_ERR_IO,
                            "%s: written to since it was opened, while it is in use; start again "
                            "when it is whole",
                            file->path);
    }
    return TS_OK;
}

const char *ts_map_path_of(const void *address)
{
    uintptr_t at = (uintptr_t)address;
    for (const struct ts_map_file *file = mapped; file != NULL; file = file->next) {
        uintptr_t begin = (uintptr_t)file->bytes;
        if (at >= begin && at - begin < file->len) {
            return file->path;
        }
    }
    return NULL;
}

ts_status ts_map_open(const char *path, ts_map *out, ts_error *err)
{
    ts_os_info info;
    const void *bytes;
    int file;
    *out = (ts_map){0};
    ts_status status = ts_file_open(path, TS_OS_READ, &file, &info, err);
    if (status != TS_OK) {
        return status;
    }
    if (info.bytes > 0) { // an empty file cannot be mapped: its map stays zeroed
        int reason = ts_os_map(file, info.bytes, &bytes);
        if (reason != 0) {
            status = ts_file_error(path, "map", reason, err);
            goto out;
        }
        *out = (ts_map){.bytes = bytes, .len = info.bytes};
        if ((status = note_mapping(path, file, &info, out, err)) != TS_OK) {
            ts_map_close(out);
        }
    }
out:
    if (status != TS_OK || out->file == NULL) {
        ts_os_close(file);
    }
    return status;
}

void ts_map_close(ts_map *map)
{
    if (map->file != NULL) {
        forget_mapping(map->file);
    }
    if (map->len > 0) {
        ts_os_unmap(map->bytes, map->len);
    }
    *map = (ts_map){0};
}

void ts_map_release(const ts_map *map, const void *bytes, uint64_t len)
{
    uintptr_t begin = (uintptr_t)bytes;
    if (begin >= (uintptr_t)map->bytes && begin + len <= (uintptr_t)map->bytes + map->len) {
        ts_os_release_pages(bytes, len);
    }
}

bool ts_file_exists(const char *path)
{
    ts_os_info info;
    return ts_os_stat(path, &info) == 0;
}

ts_status ts_file_find(const char *path, bool *found, ts_error *err)
{
    ts_os_info info;
    int reason = ts_os_stat(path, &info);
    *found = reason == 0;
    bool gone = reason == ENOTDIR || (reason == ENOENT && ts_os_stat_link(path, &info) != 0);
    return *found || gone ? TS_OK : ts_file_error(path, "open", reason, err);
}

bool ts_folder_exists(const char *path)
{
    ts_os_info info;
    return ts_os_stat(path, &info) == 0 && info.kind == TS_OS_FOLDER;
}

// Makes one folder whose parent is there.
static ts_status make_one(const char *path, ts_error *err)
{
    ts_os_info info;
    int made = ts_os_make_folder(path), asked = 0;
    if (made == 0) {
        return TS_OK;
    }
    if ((asked = ts_os_stat(path, &info)) != 0) {
        return ts_file_error(path, "create the folder", made == EEXIST ? asked : made, err);
    }
    return info.kind == TS_OS_FOLDER
               ? TS_OK
               : ts_error_set(err, TS_ERR_IO,
                              "%s: cannot create the folder: %s of that name is there", path,
                              ts_file_kind(info.kind));
}

ts_status ts_folder_make(const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text partial = {0};
    if (path[0] == '\0') {
        return ts_file_error(path, "create", 0, err);
    }
    TS_TRY(ts_text_append(&partial, path, strlen(path), err));
    for (size_t i = 1; i <= partial.len; i++) {
        char kept = partial.bytes[i];
        if (kept == '/' || kept == '\0') {
            partial.bytes[i] = '\0';
            TS_TRY(make_one(partial.bytes, err));
            partial.bytes[i] = kept;
        }
    }
out:
    ts_text_free(&partial);
    return status;
}

static int remove_entry(const char *path, ts_os_kind kind)
{
    (void)kind;
    return ts_os_remove(path);
}

ts_status ts_folder_remove(const char *path, ts_error *err)
{
    ts_os_info info;
    if (ts_os_stat_link(path, &info) == ENOENT) {
        return TS_OK;
    }
    int reason = ts_os_walk(path, remove_entry); // a link inside goes, what it leads to stays
    return reason == 0 ? TS_OK : ts_file_error(path, "remove", reason, err);
}

ts_status ts_path_join(const char *folder, const char *name, ts_text *out, ts_error *err)
{
    size_t len = strlen(folder);
    const char *slash = len > 0 && folder[len - 1] != '/' ? "/" : "";
    ts_text_clear(out);
    return ts_text_format(out, err, "%s%s%s", folder, slash, name);
}

const char *ts_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

void ts_sha256_hex(const void *bytes, uint64_t len, char out[65])
{
    SHA256Data(bytes, len, out);
}

ts_status ts_file_refuse_pointer(const char *path, const void *bytes, uint64_t len, ts_error *err)
{
    static const char start[] = "version https://git-lfs";
    if (len < sizeof start - 1 || memcmp(bytes, start, sizeof start - 1) != 0) {
        return TS_OK;
    }
    return ts_error_set(err, TS_ERR_FORMAT,
                        "%s: a git-lfs pointer, not the file itself; fetch that with git lfs pull",
                        path);
}
