#include "base/file_parts.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { WALK_OPEN_FOLDERS = 16 };
enum { SHOWN_END = 160 }; // bytes of a long path that are shown of each of its ends

ts_status ts_file_error(const char *path, const char *doing, int reason, ts_error *err)
{
    char shown[2 * SHOWN_END + sizeof "..."], target[SHOWN_END];
    size_t len = strlen(path);
    ssize_t target_len = -1;
    snprintf(shown, sizeof shown, "%s", path);
    if (len >= sizeof shown) {
        snprintf(shown, sizeof shown, "%.*s...%s", SHOWN_END, path, path + len - SHOWN_END);
    } else if (len == 0) {
        return ts_error_set(err, TS_ERR_IO, "cannot %s a file of no name: the path is empty",
                            doing);
    } else if (reason == ENOENT) {
        target_len = readlink(path, target, sizeof target - 1);
    }
    if (target_len > 0) {
        target[target_len] = '\0';
        return ts_error_set(err, TS_ERR_IO, "%s: cannot %s: it is a link to %s, which is not there",
                            shown, doing, target);
    }
    return ts_error_set(err, TS_ERR_IO, "%s: cannot %s: %s", shown, doing, strerror(reason));
}

int ts_file_open(const char *path, int flags)
{
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC | O_NOCTTY, 0666);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

const char *ts_file_kind(unsigned mode)
{
    return S_ISREG(mode)    ? "a file"
           : S_ISDIR(mode)  ? "a folder"
           : S_ISFIFO(mode) ? "a pipe"
           : S_ISSOCK(mode) ? "a socket"
           : S_ISBLK(mode)  ? "a disk"
                            : "a device";
}

// What is no regular file is refused before it is opened: that could wait for ever (a pipe that
// nobody writes to) or do something (devices). /dev/null is a file without content.
static ts_status open_to_read(const char *path, int *fd, struct stat *info, ts_error *err)
{
    *fd = -1;
    if (stat(path, info) != 0) {
        return ts_file_error(path, "open", errno, err);
    }
    bool null = S_ISCHR(info->st_mode) && info->st_rdev == makedev(1, 3);
    if (S_ISREG(info->st_mode) || null) {
        *fd = ts_file_open(path, O_RDONLY | O_NONBLOCK);
        if (*fd < 0 || fstat(*fd, info) != 0) {
            int reason = errno;
            if (*fd >= 0) {
                close(*fd);
            }
            return ts_file_error(path, "open", reason, err);
        }
    }
    if (*fd < 0 || !(S_ISREG(info->st_mode) || null)) {
        if (*fd >= 0) {
            close(*fd);
        }
        return ts_error_set(err, TS_ERR_IO, "%s: %s, but a file is needed", path,
                            ts_file_kind(info->st_mode));
    }
    return TS_OK;
}

static ts_status too_big(const char *path, uint64_t max_bytes, ts_error *err)
{
    return ts_error_set(err, TS_ERR_FORMAT, "%s: larger than the %llu bytes expected at most", path,
                        (unsigned long long)max_bytes);
}

// Reads to the end whatever size the system claims: files of /proc claim 0.
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
            return ts_file_error(path, "read", errno, err);
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
    struct stat info;
    int fd;
    ts_status status = open_to_read(path, &fd, &info, err);
    if (status != TS_OK) {
        return status;
    }
    status = S_ISREG(info.st_mode) && (uint64_t)info.st_size > max_bytes
                 ? too_big(path, max_bytes, err)
                 : read_all(fd, path, max_bytes, out, err);
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

// Of the whole process, for a signal handler may walk the list at any moment: so each change of it
// is one store, and one thread at a time makes it.
static struct ts_map_file *volatile mapped;
static pthread_mutex_t mapped_lock = PTHREAD_MUTEX_INITIALIZER;

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
        return ts_file_error(file->path, "read its size", errno, err);
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
    int fd;
    if ((status = open_to_read(path, &fd, &info, err)) != TS_OK) {
        return status;
    }
    if (info.st_size > 0) { // mmap refuses a length of 0; an empty map stays zeroed
        void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) {
            status = ts_file_error(path, "map", errno, err);
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

bool ts_file_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

ts_status ts_file_find(const char *path, bool *found, ts_error *err)
{
    struct stat info;
    *found = stat(path, &info) == 0;
    int reason = *found ? 0 : errno;
    bool gone = reason == ENOTDIR || (reason == ENOENT && lstat(path, &info) != 0);
    return *found || gone ? TS_OK : ts_file_error(path, "open", reason, err);
}

bool ts_folder_exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

// Makes one folder whose parent is there.
static ts_status make_one(const char *path, ts_error *err)
{
    if (mkdir(path, 0777) == 0) {
        return TS_OK;
    }
    int reason = errno; // asking what is there changes it
    struct stat info;
    if (stat(path, &info) != 0) {
        return ts_file_error(path, "create the folder", reason == EEXIST ? errno : reason, err);
    }
    return S_ISDIR(info.st_mode) ? TS_OK
                                 : ts_error_set(err, TS_ERR_IO,
                                                "%s: cannot create the folder: %s of that name is "
                                                "there",
                                                path, ts_file_kind(info.st_mode));
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
        return ts_file_error(path, "remove", errno, err);
    }
    return TS_OK;
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
