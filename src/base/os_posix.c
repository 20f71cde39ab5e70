// Linux, by POSIX where that is enough.
#include "base/os.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { WALK_OPEN_FOLDERS = 16, MOST_AT_ONCE = 1 << 30 };

// 0 where a call returned 0, otherwise the errno that it set.
static int reason_of(int result)
{
    return result == 0 ? 0 : errno;
}

// ---- What a path leads to

static ts_os_kind kind_of(const struct stat *info)
{
    mode_t mode = info->st_mode;
    return S_ISREG(mode)    ? TS_OS_FILE
           : S_ISDIR(mode)  ? TS_OS_FOLDER
           : S_ISLNK(mode)  ? TS_OS_LINK
           : S_ISFIFO(mode) ? TS_OS_PIPE
           : S_ISSOCK(mode) ? TS_OS_SOCKET
           : S_ISBLK(mode)  ? TS_OS_DISK
           : S_ISCHR(mode) && info->st_rdev == makedev(1, 3) // /dev/null
               ? TS_OS_NULL
               : TS_OS_DEVICE;
}

static int tell(int result, const struct stat *info, ts_os_info *out)
{
    if (result != 0) {
        return errno;
    }
    *out = (ts_os_info){.kind = kind_of(info),
                        .bytes = (uint64_t)info->st_size,
                        .volume = info->st_dev,
                        .number = info->st_ino,
                        .written_s = info->st_mtim.tv_sec,
                        .written_ns = info->st_mtim.tv_nsec,
                        .permissions = info->st_mode & 07777,
                        .owner = info->st_uid,
                        .group = info->st_gid};
    return 0;
}

int ts_os_stat(const char *path, ts_os_info *out)
{
    struct stat info;
    return tell(stat(path, &info), &info, out);
}

int ts_os_stat_link(const char *path, ts_os_info *out)
{
    struct stat info;
    return tell(lstat(path, &info), &info, out);
}

int ts_os_stat_open(int file, ts_os_info *out)
{
    struct stat info;
    return tell(fstat(file, &info), &info, out);
}

int ts_os_may(const char *path, unsigned what)
{
    int mode = (what & TS_OS_MAY_READ ? R_OK : 0) | (what & TS_OS_MAY_WRITE ? W_OK : 0) |
               (what & TS_OS_MAY_ENTER ? X_OK : 0);
    return reason_of(faccessat(AT_FDCWD, path, mode, AT_EACCESS));
}

// ---- Open files

int ts_os_open(const char *path, unsigned how, int *file)
{
    static const struct {
        unsigned how;
        int flag;
    } flags[] = {{TS_OS_CREATE, O_CREAT},
                 {TS_OS_NEW, O_EXCL},
                 {TS_OS_EMPTY, O_TRUNC},
                 {TS_OS_NO_LINK, O_NOFOLLOW},
                 {TS_OS_NO_WAIT, O_NONBLOCK}};
    unsigned both = TS_OS_READ | TS_OS_WRITE;
    int mode = O_CLOEXEC | O_NOCTTY;
    mode |= (how & both) == both ? O_RDWR : how & TS_OS_WRITE ? O_WRONLY : O_RDONLY;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        mode |= how & flags[i].how ? flags[i].flag : 0;
    }
    do {
        *file = open(path, mode, 0666);
    } while (*file < 0 && errno == EINTR);
    return *file < 0 ? errno : 0;
}

int ts_os_close(int file)
{
    return reason_of(close(file));
}

int ts_os_read(int file, void *out, size_t size, size_t *got)
{
    ssize_t count;
    do {
        count = read(file, out, size);
    } while (count < 0 && errno == EINTR);
    *got = count > 0 ? (size_t)count : 0;
    return count < 0 ? errno : 0;
}

int ts_os_read_at(int file, void *out, size_t size, uint64_t at, size_t *got)
{
    ssize_t count;
    do {
        count = pread(file, out, size, (off_t)at);
    } while (count < 0 && errno == EINTR);
    *got = count > 0 ? (size_t)count : 0;
    return count < 0 ? errno : 0;
}

// Writes at offset `at`, or at the file's current position where `at` is -1.
static int write_all(int file, const char *bytes, uint64_t len, off_t at)
{
    while (len > 0) {
        size_t part = len < MOST_AT_ONCE ? (size_t)len : MOST_AT_ONCE;
        ssize_t wrote = at < 0 ? write(file, bytes, part) : pwrite(file, bytes, part, at);
        if (wrote == 0) {
            return EIO;
        }
        if (wrote < 0 && errno != EINTR) {
            return errno;
        }
        if (wrote > 0) {
            bytes += wrote;
            len -= (uint64_t)wrote;
            at += at < 0 ? 0 : wrote;
        }
    }
    return 0;
}

int ts_os_write(int file, const void *bytes, uint64_t len)
{
    return write_all(file, bytes, len, -1);
}

int ts_os_write_at(int file, const void *bytes, uint64_t len, uint64_t at)
{
    return write_all(file, bytes, len, (off_t)at);
}

int ts_os_cut(int file, uint64_t bytes)
{
    return reason_of(ftruncate(file, (off_t)bytes));
}

int ts_os_sync(int file)
{
    // Pipes, devices and the folders of some file systems say EINVAL: there is nothing to sync.
    return fsync(file) == 0 || errno == EINVAL ? 0 : errno;
}

int ts_os_sync_folder(const char *path)
{
    int file, reason = 0;
    do {
        file = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    } while (file < 0 && errno == EINTR);
    if (file < 0) {
        return errno;
    }
    reason = ts_os_sync(file);
    close(file);
    return reason;
}

int ts_os_lock(int file, bool exclusive)
{
    int result;
    do {
        result = flock(file, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB);
    } while (result != 0 && errno == EINTR);
    return reason_of(result);
}

void ts_os_copy_owner(int file, const ts_os_info *from)
{
    // Only root may give a file away; others may, at most, keep its group.
    if (fchown(file, from->owner, from->group) != 0) {
        (void)!fchown(file, (uid_t)-1, from->group);
    }
    fchmod(file, from->permissions); // after chown, which may clear bits
}

void ts_os_let_wait(int file)
{
    fcntl(file, F_SETFL, fcntl(file, F_GETFL) & ~O_NONBLOCK);
}

// What such a link points to is often no path ("pipe:[123]"), so these are known by their names.
int ts_os_named_file(const char *path)
{
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        size_t len = strlen(folders[i]);
        int number = -1, end = 0;
        if (strncmp(path, folders[i], len) == 0 && sscanf(path + len, "%d%n", &number, &end) == 1 &&
            path[len + (size_t)end] == '\0') {
            return number;
        }
    }
    return -1;
}

int ts_os_duplicate(int file, int *out)
{
    *out = fcntl(file, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return *out < 0 ? errno : 0;
}

// ---- Names

int ts_os_rename(const char *from, const char *to)
{
    return reason_of(rename(from, to));
}

int ts_os_exchange(const char *a, const char *b)
{
    return reason_of(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE));
}

int ts_os_delete(const char *path)
{
    return reason_of(unlink(path));
}

int ts_os_make_link(const char *target, const char *path)
{
    return reason_of(symlink(target, path));
}

int ts_os_read_link(const char *path, char *out, size_t size)
{
    ssize_t len = readlink(path, out, size - 1);
    if (len < 0) {
        return errno;
    }
    out[len] = '\0';
    return 0;
}

int ts_os_make_folder(const char *path)
{
    return reason_of(mkdir(path, 0777));
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(ts_os_names *names, size_t *capacity, const char *name)
{
    if (names->count == *capacity) {
        size_t grown = *capacity > 0 ? 2 * *capacity : 16;
        char **larger = realloc(names->names, grown * sizeof *larger);
        if (larger == NULL) {
            return ENOMEM;
        }
        names->names = larger;
        *capacity = grown;
    }
    char *copy = strdup(name);
    if (copy == NULL) {
        return ENOMEM;
    }
    names->names[names->count++] = copy;
    return 0;
}

int ts_os_list(const char *folder, ts_os_names *out)
{
    int reason = 0;
    size_t capacity = 0;
    *out = (ts_os_names){0};
    DIR *entries = opendir(folder);
    if (entries == NULL) {
        return errno;
    }
    while (reason == 0) {
        errno = 0;
        const struct dirent *entry = readdir(entries);
        if (entry == NULL) {
            reason = errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            reason = add_name(out, &capacity, entry->d_name);
        }
    }
    closedir(entries);
    if (reason != 0) {
        ts_os_names_free(out);
    } else if (out->count > 0) {
        qsort(out->names, out->count, sizeof *out->names, by_bytes);
    }
    return reason;
}

void ts_os_names_free(ts_os_names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->names[i]);
    }
    free(names->names);
    *names = (ts_os_names){0};
}

// What visit_entry calls. It is kept here because nftw cannot pass an argument to its callback.
static _Thread_local int (*visiting)(const char *path, ts_os_kind kind);

static int visit_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)place;
    return visiting(path, kind == FTW_NS ? TS_OS_DEVICE : kind_of(info)); // NS: stat failed
}

int ts_os_walk(const char *folder, int (*visit)(const char *path, ts_os_kind kind))
{
    visiting = visit;
    int result = nftw(folder, visit_entry, WALK_OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
    return result < 0 ? errno : result;
}

int ts_os_remove(const char *path)
{
    return reason_of(remove(path));
}

int ts_os_free_bytes(const char *folder, uint64_t *out)
{
    struct statvfs info;
    if (statvfs(folder, &info) != 0) {
        return errno;
    }
    *out = (uint64_t)info.f_bavail * info.f_frsize;
    return 0;
}

// ---- Mappings

int ts_os_map(int file, uint64_t len, const void **out)
{
    void *bytes = mmap(NULL, (size_t)len, PROT_READ, MAP_PRIVATE, file, 0);
    if (bytes == MAP_FAILED) {
        return errno;
    }
    *out = bytes;
    return 0;
}

void ts_os_unmap(const void *bytes, uint64_t len)
{
    munmap((void *)bytes, len);
}

void ts_os_release_pages(const void *bytes, uint64_t len)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)bytes;
    uintptr_t first = (begin + page - 1) / page * page, end = (begin + len) / page * page;
    if (first < end) {
        madvise((void *)first, end - first, MADV_DONTNEED); // a hint: failure changes nothing
    }
}

// ---- Processes, time, the machine

long ts_os_process(void)
{
    return (long)getpid();
}

bool ts_os_process_is_gone(long process)
{
    return kill((pid_t)process, 0) != 0 && errno == ESRCH;
}

void ts_os_sleep(double seconds)
{
    time_t whole = (time_t)seconds;
    nanosleep(&(struct timespec){whole, (long)((seconds - (double)whole) * 1e9)}, NULL);
}

double ts_clock_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void ts_os_host_name(char *out, size_t size)
{
    out[0] = '\0';
    gethostname(out, size);
    out[size - 1] = '\0'; // a longer name is cut, maybe without its NUL
}

void ts_os_describe(char *out, size_t size)
{
    struct utsname name;
    out[0] = '\0';
    if (uname(&name) == 0) {
        snprintf(out, size, "%s %s %s", name.sysname, name.release, name.machine);
    }
}

int ts_os_program_path(char *out, size_t size)
{
    return ts_os_read_link("/proc/self/exe", out, size);
}

void ts_os_memory(uint64_t *bytes, uint64_t *available)
{
    unsigned long long kib = 0;
    char line[128];
    FILE *file = fopen("/proc/meminfo", "r");
    *bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    while (file != NULL && kib == 0 && fgets(line, sizeof line, file) != NULL) {
        sscanf(line, "MemAvailable: %llu kB", &kib);
    }
    if (file != NULL) {
        fclose(file);
    }
    *available = kib > 0 ? kib * 1024 : *bytes;
}

int ts_os_become(const char *const *argv)
{
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    return errno;
}

void ts_os_set_variable(const char *name, const char *value)
{
    setenv(name, value, 0);
}

// ---- Terminals

bool ts_os_is_terminal(FILE *stream)
{
    return isatty(fileno(stream)) == 1;
}

int ts_os_terminal_columns(FILE *stream)
{
    struct winsize window;
    return ioctl(fileno(stream), TIOCGWINSZ, &window) == 0 ? window.ws_col : 0;
}

// ---- Libraries

void *ts_os_library_open(const char *name, char *problem, size_t size)
{
    void *library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
    const char *why = library == NULL ? dlerror() : NULL;
    snprintf(problem, size, "%s", library != NULL ? "" : why != NULL ? why : "unknown");
    return library;
}

void ts_os_library_close(void *library)
{
    dlclose(library);
}

void *ts_os_library_find(void *library, const char *name)
{
    return dlsym(library, name);
}

// ---- Being asked to stop

static void (*stop_came)(ts_os_stop stop, int number);

static void on_signal(int number)
{
    int kept = errno;
    stop_came(number == SIGINT   ? TS_OS_STOP_KEY
              : number == SIGHUP ? TS_OS_STOP_TERMINAL
                                 : TS_OS_STOP_REQUEST,
              number);
    errno = kept;
}

void ts_os_watch_stops(void (*came)(ts_os_stop stop, int number))
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;
    sigemptyset(&action.sa_mask);
    stop_came = came;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL); // which mpirun passes on to its ranks as it is
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
        sigaction(SIGHUP, &action, NULL);
    }
}

void ts_os_end_after(double seconds)
{
    alarm((unsigned)seconds); // nobody handles SIGALRM
}

_Noreturn void ts_os_exit_now(int code)
{
    fflush(NULL);
    _exit(code);
}

void ts_os_end_by(int number)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
    raise(number); // within a handler it takes effect when the handler returns
}

void ts_os_say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0) {
        return; // there is no other place to report it
    }
}
