#include "base/file.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WALK_OPEN_FOLDERS = 16, TEMPORARY_NAMES = 1000 };

static ts_status io_error(const char *path, const char *doing, ts_error *err)
{
    return ts_error_set(err, TS_ERR_IO, "%s: cannot %s: %s", path, doing, strerror(errno));
}

static int open_retrying(const char *path, int flags)
{
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC, 0666);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

static ts_status too_big(const char *path, uint64_t max_bytes, ts_error *err)
{
    return ts_error_set(err, TS_ERR_FORMAT, "%s: larger than the %llu bytes expected at most", path,
                        (unsigned long long)max_bytes);
}

// Reads to the end whatever size the system claims: pipes and /proc claim 0.
static ts_status read_all(int fd, const char *path, uint64_t max_bytes, ts_text *out, ts_error *err)
{
    char buffer[1 << 16];
    uint64_t total = 0;
    ts_status status = ts_text_append(out, "", 0, err);
    while (status == TS_OK) {
        ssize_t got = read(fd, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return io_error(path, "read", err);
        }
        if (got == 0) {
            break;
        }
        total += (uint64_t)got;
        if (total > max_bytes) {
            return too_big(path, max_bytes, err);
        }
        status = ts_text_append(out, buffer, (size_t)got, err);
    }
    return status;
}

ts_status ts_file_read(const char *path, uint64_t max_bytes, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    struct stat info;
    int fd = open_retrying(path, O_RDONLY);
    if (fd < 0) {
        return io_error(path, "open", err);
    }
    if (fstat(fd, &info) != 0) {
        status = io_error(path, "read its size", err);
        goto out;
    }
    if (S_ISREG(info.st_mode) && (uint64_t)info.st_size > max_bytes) {
        status = too_big(path, max_bytes, err);
        goto out;
    }
    TS_TRY(read_all(fd, path, max_bytes, out, err));
out:
    close(fd);
    return status;
}

// A mapped file, held open so that it can be asked whether it is still the same.
struct ts_map_file {
    struct ts_map_file *next; // of all that are mapped
    const unsigned char *bytes;
    uint64_t len;
    struct timespec written;
    int fd;
    char path[];
};

// Only the program's own thread opens and closes mappings; a signal handler may walk the list at
// any moment, so each change of it is one store.
static struct ts_map_file *volatile mapped;

static ts_status note_mapping(const char *path, int fd, const struct stat *info, ts_map *map,
                              ts_error *err)
{
    struct ts_map_file *file = NULL;
    ts_status status = ts_alloc(1, sizeof *file + strlen(path) + 1, &file, err);
    if (status == TS_OK) {
        file->bytes = map->bytes;
        file->len = map->len;
        file->written = info->st_mtim;
        file->fd = fd;
        memcpy(file->path, path, strlen(path) + 1);
        file->next = mapped;
        mapped = map->file = file;
    }
    return status;
}

static void forget_mapping(struct ts_map_file *file)
{
    struct ts_map_file *before = mapped;
    if (before == file) {
        mapped = file->next;
    } else {
        while (before->next != file) {
            before = before->next;
        }
        before->next = file->next;
    }
    close(file->fd);
    free(file);
}

ts_status ts_map_check(const ts_map *map, ts_error *err)
{
    const struct ts_map_file *file = map->file;
    struct stat info;
    if (file == NULL) {
        return TS_OK; // an empty file
    }
    if (fstat(file->fd, &info) != 0) {
        return io_error(file->path, "read its size", err);
    }
    if ((uint64_t)info.st_size != file->len) {
        return ts_error_set(err, TS_ERR_IO,
                            "%s: %llu bytes when it was opened, %lld now: somebody writes to it "
                            "while it is in use; start again when it is whole",
                            file->path, (unsigned long long)file->len, (long long)info.st_size);
    }
    if (info.st_mtim.tv_sec != file->written.tv_sec ||
        info.st_mtim.tv_nsec != file->written.tv_nsec) {
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
    ts_status status = TS_OK;
    struct stat info;
    *out = (ts_map){0};
    int fd = open_retrying(path, O_RDONLY);
    if (fd < 0) {
        return io_error(path, "open", err);
    }
    if (fstat(fd, &info) != 0) {
        status = io_error(path, "read its size", err);
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        TS_FAIL(TS_ERR_IO, "%s: not a regular file", path);
    }
    if (info.st_size > 0) { // mmap refuses a length of 0; an empty map stays zeroed
        void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) {
            status = io_error(path, "map", err);
            goto out;
        }
        *out = (ts_map){.bytes = bytes, .len = (uint64_t)info.st_size};
        if ((status = note_mapping(path, fd, &info, out, err)) != TS_OK) {
            ts_map_close(out);
        }
    }
out:
    if (status != TS_OK || out->file == NULL) {
        close(fd);
    }
    return status;
}

void ts_map_close(ts_map *map)
{
    if (map->file != NULL) {
        forget_mapping(map->file);
    }
    if (map->len > 0) {
        munmap((void *)map->bytes, map->len);
    }
    *map = (ts_map){0};
}

void ts_map_release(const ts_map *map, const void *bytes, uint64_t len)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)bytes;
    uintptr_t first = (begin + page - 1) / page * page, end = (begin + len) / page * page;
    if (begin >= (uintptr_t)map->bytes && begin + len <= (uintptr_t)map->bytes + map->len &&
        first < end) {
        madvise((void *)first, end - first, MADV_DONTNEED); // a hint: failure changes nothing
    }
}

static ts_status sync_folder(const char *path, ts_error *err)
{
    int fd = open_retrying(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) {
        return io_error(path, "open", err);
    }
    // Some file systems cannot sync a folder and say EINVAL; there is nothing more to do there.
    ts_status status = fsync(fd) != 0 && errno != EINVAL ? io_error(path, "sync", err) : TS_OK;
    close(fd);
    return status;
}

static ts_status sync_parent(const char *path, ts_error *err)
{
    ts_text parent = {0};
    size_t len = (size_t)(ts_path_name(path) - path);
    ts_status status =
        len == 0 ? ts_text_append(&parent, ".", 1, err) : ts_text_append(&parent, path, len, err);
    if (status == TS_OK) {
        status = sync_folder(parent.bytes, err);
    }
    ts_text_free(&parent);
    return status;
}

// Writes, syncs and closes `fd` in every case.
static ts_status fill(int fd, const char *path, const void *bytes, uint64_t len, ts_error *err)
{
    ts_status status = TS_OK;
    for (uint64_t done = 0; done < len && status == TS_OK;) {
        size_t chunk = (size_t)ts_min_u64(len - done, 1u << 30);
        ssize_t wrote = write(fd, (const char *)bytes + done, chunk);
        if (wrote >= 0) {
            done += (uint64_t)wrote;
        } else if (errno != EINTR) {
            status = io_error(path, "write", err);
        }
    }
    if (status == TS_OK && fsync(fd) != 0) {
        status = io_error(path, "sync", err);
    }
    if (close(fd) != 0 && status == TS_OK) {
        status = io_error(path, "close", err);
    }
    return status;
}

// A new file beside `path`, with the permissions the user's umask asks for (mkstemp would give
// 0600).
static ts_status open_temporary(const char *path, ts_text *name, int *fd, ts_error *err)
{
    for (unsigned i = 0; i < TEMPORARY_NAMES; i++) {
        ts_text_clear(name);
        ts_status status = ts_text_format(name, err, "%s.tmp-%ld-%u", path, (long)getpid(), i);
        if (status != TS_OK) {
            return status;
        }
        *fd = open_retrying(name->bytes, O_WRONLY | O_CREAT | O_EXCL);
        if (*fd >= 0 || errno != EEXIST) {
            break;
        }
    }
    return *fd >= 0 ? TS_OK : io_error(path, "write", err);
}

ts_status ts_file_write(const char *path, const void *bytes, uint64_t len, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text temporary = {0};
    int fd = -1;
    TS_TRY(open_temporary(path, &temporary, &fd, err));
    status = fill(fd, path, bytes, len, err);
    if (status == TS_OK && rename(temporary.bytes, path) != 0) {
        status = io_error(path, "replace", err);
    }
    if (status != TS_OK) {
        unlink(temporary.bytes);
        goto out;
    }
    TS_TRY(sync_parent(path, err));
out:
    ts_text_free(&temporary);
    return status;
}

ts_status ts_file_write_plain(const char *path, const void *bytes, uint64_t len, ts_error *err)
{
    int fd = open_retrying(path, O_WRONLY | O_CREAT | O_TRUNC);
    return fd < 0 ? io_error(path, "write", err) : fill(fd, path, bytes, len, err);
}

bool ts_file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

bool ts_folder_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

ts_status ts_folder_make(const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text partial = {0};
    TS_TRY(ts_text_append(&partial, path, strlen(path), err));
    for (size_t i = 1; i <= partial.len; i++) {
        if (partial.bytes[i] != '/' && partial.bytes[i] != '\0') {
            continue;
        }
        char kept = partial.bytes[i];
        partial.bytes[i] = '\0';
        if (mkdir(partial.bytes, 0777) != 0 && !ts_folder_exists(partial.bytes)) {
            status = io_error(partial.bytes, "create the folder", err);
            goto out;
        }
        partial.bytes[i] = kept;
    }
out:
    ts_text_free(&partial);
    return status;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info, (void)kind, (void)place;
    return remove(path);
}

ts_status ts_folder_remove(const char *path, ts_error *err)
{
    struct stat info;
    if (lstat(path, &info) != 0 && errno == ENOENT) {
        return TS_OK;
    }
    // FTW_PHYS: a link inside is removed, what it points to stays.
    if (nftw(path, remove_entry, WALK_OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) != 0) {
        return io_error(path, "remove", err);
    }
    return TS_OK;
}

static int sync_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info, (void)place;
    return kind == FTW_DP && sync_folder(path, NULL) != TS_OK ? -1 : 0;
}

// Swaps the two folders in one step where the file system can; otherwise moves `final` aside.
static ts_status replace_folder(const char *temporary, const char *final, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text aside = {0};
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, final, RENAME_EXCHANGE) == 0) {
        TS_TRY(sync_parent(final, err));
        TS_TRY(ts_folder_remove(temporary, err));
        goto out;
    }
    TS_TRY(ts_text_format(&aside, err, "%s.old-%ld", final, (long)getpid()));
    TS_TRY(ts_folder_remove(aside.bytes, err));
    if (rename(final, aside.bytes) != 0) {
        status = io_error(final, "move aside", err);
        goto out;
    }
    if (rename(temporary, final) != 0) {
        status = io_error(final, "replace", err);
        (void)!rename(aside.bytes, final);
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
    if (nftw(temporary, sync_entry, WALK_OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS) != 0) {
        return io_error(temporary, "sync", err);
    }
    if (ts_file_exists(final)) {
        return replace_folder(temporary, final, err);
    }
    if (rename(temporary, final) != 0) {
        return io_error(final, "create", err);
    }
    TS_TRY(sync_parent(final, err));
out:
    return status;
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
