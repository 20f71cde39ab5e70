// Writing files and folders so that a crash at any moment leaves the old or the new, whole.
#include "base/file_parts.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WALK_OPEN_FOLDERS = 16, TEMPORARY_NAMES = 1000, MOST_LINKS = 40 };

static ts_status sync_folder(const char *path, ts_error *err)
{
    int fd = ts_file_open(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) {
        return ts_file_error(path, "open", errno, err);
    }
    // Some file systems cannot sync a folder and say EINVAL; there is nothing more to do there.
    ts_status status =
        fsync(fd) != 0 && errno != EINVAL ? ts_file_error(path, "sync", errno, err) : TS_OK;
    close(fd);
    return status;
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
        if (wrote > 0) {
            done += (uint64_t)wrote;
        } else if (wrote == 0 || errno != EINTR) {
            status = ts_file_error(path, "write", wrote == 0 ? EIO : errno, err);
        }
    }
    if (status == TS_OK && fsync(fd) != 0 && errno != EINVAL) { // EINVAL: pipes, devices
        status = ts_file_error(path, "sync", errno, err);
    }
    if (close(fd) != 0 && status == TS_OK) {
        status = ts_file_error(path, "close", errno, err);
    }
    return status;
}

// ---- What a path leads to

// Where ts_file_write writes. Starts zeroed.
typedef struct target {
    ts_text path; // with links followed
    bool there;
    struct stat info; // of what is there
    int descriptor;   // an open one that the path names (/dev/stdout); -1: none
} target;

// The number of /dev/fd/N, /proc/self/fd/N and the like, or -1. What such a link reads as
// ("pipe:[123]") is mostly no path.
static int named_descriptor(const char *path)
{
    int number = -1, end = 0;
    if (sscanf(path, "/dev/fd/%d%n", &number, &end) != 1 || path[end] != '\0') {
        number = -1, end = 0;
        if (sscanf(path, "/proc/self/fd/%d%n", &number, &end) != 1 || path[end] != '\0') {
            return -1;
        }
    }
    return number;
}

// Replaces *path, a link, by what it points to.
static ts_status follow(ts_text *path, ts_error *err)
{
    ts_status status = TS_OK;
    char link[PATH_MAX];
    ts_text next = {0};
    ssize_t len = readlink(path->bytes, link, sizeof link - 1);
    if (len < 0) {
        return ts_file_error(path->bytes, "follow the link", errno, err);
    }
    link[len] = '\0';
    if (link[0] != '/') {
        size_t folder = (size_t)(ts_path_name(path->bytes) - path->bytes);
        TS_TRY(ts_text_append(&next, path->bytes, folder, err));
    }
    TS_TRY(ts_text_append(&next, link, (size_t)len, err));
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
    out->descriptor = -1;
    if (len > 0 && path[len - 1] == '/') {
        TS_FAIL(TS_ERR_IO, "%s: names a folder, but a file is to be written", path);
    }
    TS_TRY(ts_text_append(&out->path, path, len, err));
    for (int links = 0;; links++) {
        if ((out->descriptor = named_descriptor(out->path.bytes)) >= 0) {
            goto out;
        }
        if (lstat(out->path.bytes, &out->info) != 0) {
            status = errno == ENOENT && len > 0 ? TS_OK : ts_file_error(path, "write", errno, err);
            goto out;
        }
        if (!S_ISLNK(out->info.st_mode)) {
            out->there = true;
            break;
        }
        if (links == MOST_LINKS) {
            status = ts_file_error(path, "write", ELOOP, err);
            goto out;
        }
        TS_TRY(follow(&out->path, err));
    }
    mode_t kind = out->info.st_mode;
    if (!S_ISREG(kind) && !S_ISFIFO(kind) && !S_ISCHR(kind)) {
        TS_FAIL(TS_ERR_IO, "%s: %s, but a file is to be written", path, ts_file_kind(kind));
    }
    if (S_ISREG(kind) && faccessat(AT_FDCWD, out->path.bytes, W_OK, AT_EACCESS) != 0) {
        status = ts_file_error(path, "write", errno, err); // renaming over it would be allowed
    }
out:
    return status;
}

ts_status ts_file_check_writable(const char *path, ts_error *err)
{
    ts_text folder = {0};
    target to = {0};
    ts_status status = TS_OK;
    TS_TRY(find_target(path, &to, err));
    if (to.descriptor < 0 && (!to.there || S_ISREG(to.info.st_mode))) {
        TS_TRY(parent_of(to.path.bytes, &folder, err));
        if (faccessat(AT_FDCWD, folder.bytes, W_OK | X_OK, AT_EACCESS) != 0) {
            status = ts_file_error(path, "write", errno, err);
        }
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
    int end_len = snprintf(end, sizeof end, ".tmp-%ld-%u", (long)getpid(), number);
    size_t len = strlen(path), most = (size_t)(ts_path_name(path) - path) + NAME_MAX - sizeof end;
    ts_text_clear(out);
    ts_status status = ts_text_append(out, path, ts_min_u64(len, most), err);
    return status == TS_OK ? ts_text_append(out, end, (size_t)end_len, err) : status;
}

// A new file beside `path`, with the permissions the user's umask asks for (mkstemp would give
// 0600). Its lock says to others that somebody writes it.
static ts_status open_temporary(const char *path, ts_text *name, int *fd, ts_error *err)
{
    int reason = 0;
    *fd = -1;
    for (unsigned i = 0; i < TEMPORARY_NAMES; i++) {
        ts_status status = name_temporary(path, i, name, err);
        if (status != TS_OK) {
            return status;
        }
        *fd = ts_file_open(name->bytes, O_WRONLY | O_CREAT | O_EXCL);
        reason = errno;
        if (*fd >= 0 || reason != EEXIST) {
            break;
        }
    }
    if (*fd < 0) {
        return ts_file_error(path, "write", reason, err);
    }
    flock(*fd, LOCK_EX | LOCK_NB); // a file system without locks is fine
    return TS_OK;
}

// Whether `name` is that of a temporary file of `stem` whose process is gone. Our own number counts
// as gone: in a container every run may have the same, and the lock keeps what is being written.
static bool is_abandoned(const char *name, const char *stem, size_t stem_len)
{
    long pid = 0;
    unsigned number = 0;
    int end = 0;
    return strncmp(name, stem, stem_len) == 0 &&
           sscanf(name + stem_len, ".tmp-%ld-%u%n", &pid, &number, &end) == 2 &&
           name[stem_len + (size_t)end] == '\0' && pid > 0 &&
           (pid == (long)getpid() || (kill((pid_t)pid, 0) != 0 && errno == ESRCH));
}

// Removes what killed processes left beside `path`; nothing here can fail the write.
static void remove_abandoned(const char *path)
{
    ts_text folder = {0}, stem = {0};
    DIR *dir = NULL;
    if (parent_of(path, &folder, NULL) == TS_OK && name_temporary(path, 0, &stem, NULL) == TS_OK) {
        dir = opendir(folder.bytes);
    }
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        const char *name = ts_path_name(stem.bytes);
        size_t len = (size_t)(strrchr(name, '.') - name);
        if (!is_abandoned(entry->d_name, name, len)) {
            continue;
        }
        int fd = openat(dirfd(dir), entry->d_name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
            unlinkat(dirfd(dir), entry->d_name, 0);
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    ts_text_free(&stem);
    ts_text_free(&folder);
}

// ---- Writing

// Into what is no regular file, as it is.
static ts_status write_through(const target *to, const char *path, const void *bytes, uint64_t len,
                               ts_error *err)
{
    int fd;
    if (to->descriptor >= 0) {
        fflush(stdout); // what was printed before comes first
        fd = fcntl(to->descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    } else { // a pipe that nobody reads is an error then, instead of a wait
        fd = ts_file_open(to->path.bytes, O_WRONLY | O_NONBLOCK);
    }
    if (fd < 0 && errno == ENXIO) {
        return ts_error_set(err, TS_ERR_IO, "%s: %s that nobody reads", path,
                            ts_file_kind(to->info.st_mode));
    }
    if (fd < 0) {
        return ts_file_error(path, "write", errno, err);
    }
    if (to->descriptor < 0) {
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    }
    return fill(fd, path, bytes, len, err);
}

// By a temporary file that takes the place of the target.
static ts_status replace_file(const target *to, const char *path, const void *bytes, uint64_t len,
                              ts_error *err)
{
    ts_status status = TS_OK;
    ts_text temporary = {0};
    int fd = -1;
    remove_abandoned(to->path.bytes);
    TS_TRY(open_temporary(to->path.bytes, &temporary, &fd, err));
    if (to->there) {
        // Only root may give a file away; others may, at most, keep its group.
        if (fchown(fd, to->info.st_uid, to->info.st_gid) != 0) {
            (void)!fchown(fd, (uid_t)-1, to->info.st_gid);
        }
        fchmod(fd, to->info.st_mode & 07777); // after chown, which may clear bits
    }
    status = fill(fd, path, bytes, len, err);
    if (status == TS_OK && rename(temporary.bytes, to->path.bytes) != 0) {
        status = ts_file_error(path, "replace", errno, err);
    }
    if (status != TS_OK) {
        unlink(temporary.bytes);
        goto out;
    }
    TS_TRY(sync_parent(to->path.bytes, err));
out:
    ts_text_free(&temporary);
    return status;
}

ts_status ts_file_write(const char *path, const void *bytes, uint64_t len, ts_error *err)
{
    ts_status status = TS_OK;
    target to = {0};
    TS_TRY(find_target(path, &to, err));
    bool whole = to.descriptor < 0 && (!to.there || S_ISREG(to.info.st_mode));
    TS_TRY(whole ? replace_file(&to, path, bytes, len, err)
                 : write_through(&to, path, bytes, len, err));
out:
    ts_text_free(&to.path);
    return status;
}

ts_status ts_file_write_plain(const char *path, const void *bytes, uint64_t len, ts_error *err)
{
    int fd = ts_file_open(path, O_WRONLY | O_CREAT | O_TRUNC);
    return fd < 0 ? ts_file_error(path, "write", errno, err) : fill(fd, path, bytes, len, err);
}

// ---- Folders

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
        status = ts_file_error(final, "move aside", errno, err);
        goto out;
    }
    if (rename(temporary, final) != 0) {
        status = ts_file_error(final, "replace", errno, err);
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
        return ts_file_error(temporary, "sync", errno, err);
    }
    if (ts_file_exists(final)) {
        return replace_folder(temporary, final, err);
    }
    if (rename(temporary, final) != 0) {
        return ts_file_error(final, "create", errno, err);
    }
    TS_TRY(sync_parent(final, err));
out:
    return status;
}
