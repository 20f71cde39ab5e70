// The render node /dev/dri/renderD128 and what libdrm reads of it in /sys, for a process that
// preloads this. A folder of real files replaces /dev/dri and /sys/dev/char/226:*, and most calls
// here only change paths to it. Three do more: opening the node opens the memory's file
// (null_gpu.h), stat says that either of the two is a character device, and ioctl is answered here.
//
// The real calls are reached through their variants that take a folder (openat, fstatat, ...).
#include "null_gpu.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define NODE "/dev/dri/renderD128"
#define SYS "/sys/dev/char/226:128"
enum { MAJOR = 226, MINOR = 128 };

static char tree[32]; // the folder; empty until one is made

static void must(bool done, const char *what)
{
    if (!done) {
        fprintf(stderr, "null_gpu: cannot make %s%s: %s\n", tree, what, strerror(errno));
        _exit(1);
    }
}

static void make_folder(const char *path)
{
    char full[PATH_MAX];
    snprintf(full, sizeof full, "%s%s", tree, path);
    for (char *slash = full + strlen(tree) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        must(mkdir(full, 0700) == 0 || errno == EEXIST, path);
        *slash = '/';
    }
    must(mkdir(full, 0700) == 0 || errno == EEXIST, path);
}

__attribute__((format(printf, 2, 3))) static void make_file(const char *path, const char *format,
                                                            ...)
{
    char full[PATH_MAX];
    va_list arguments;
    snprintf(full, sizeof full, "%s%s", tree, path);
    int file = openat(AT_FDCWD, full, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    must(file >= 0, path);
    va_start(arguments, format);
    vdprintf(file, format, arguments);
    va_end(arguments);
    close(file);
}

static void make_tree(void)
{
    char template[] = "/tmp/null-gpu-XXXXXX", bus[PATH_MAX];
    must(mkdtemp(template) != NULL, template);
    strcpy(tree, template);
    snprintf(bus, sizeof bus, "%s/bus/%s", tree, null_device->vendor != 0 ? "pci" : "platform");
    make_folder(bus + strlen(tree));
    make_folder("/dev/dri");
    make_file(NODE, "%s", "");
    make_folder(SYS "/device/drm/renderD128");
    make_file(SYS "/uevent", "MAJOR=%d\nMINOR=%d\nDEVNAME=dri/renderD128\nDEVTYPE=drm_minor\n",
              MAJOR, MINOR);
    char link[PATH_MAX];
    snprintf(link, sizeof link, "%s" SYS "/device/subsystem", tree);
    must(symlink(bus, link) == 0, "subsystem");
    if (null_device->vendor == 0) {
        make_file(SYS "/device/uevent",
                  "DRIVER=%s\nOF_FULLNAME=/soc/gpu\nOF_COMPATIBLE_N=1\n"
                  "OF_COMPATIBLE_0=qcom,adreno\n",
                  null_device->kernel->name);
        return;
    }
    make_file(SYS "/device/uevent",
              "DRIVER=%s\nPCI_CLASS=30000\nPCI_ID=%04X:%04X\n"
              "PCI_SLOT_NAME=0000:03:00.0\n",
              null_device->kernel->name, null_device->vendor, null_device->device);
    make_file(SYS "/device/vendor", "0x%04x\n", null_device->vendor);
    make_file(SYS "/device/device", "0x%04x\n", null_device->device);
    make_file(SYS "/device/subsystem_vendor", "0x%04x\n", null_device->vendor);
    make_file(SYS "/device/subsystem_device", "0x%04x\n", null_device->device);
    make_file(SYS "/device/revision", "0x00\n");
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about, (void)kind, (void)where;
    return remove(path);
}

__attribute__((destructor)) static void remove_tree(void)
{
    if (tree[0] != '\0') {
        nftw(tree, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
}

// `path`, or where it is in the folder, written into `full`.
static const char *moved(const char *path, char full[PATH_MAX])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static const char *const places[] = {"/dev/dri", "/sys/dev/char/226:"};
    for (size_t i = 0; null_device != NULL && path != NULL && i < 2; i++) {
        if (strncmp(path, places[i], strlen(places[i])) == 0) {
            pthread_once(&once, make_tree);
            snprintf(full, PATH_MAX, "%s%s", tree, path);
            return full;
        }
    }
    return path;
}

static bool is_node(const struct stat *about)
{
    struct stat memory;
    return null_device != NULL && fstatat(null_memory_file(), "", &memory, AT_EMPTY_PATH) == 0 &&
           memory.st_dev == about->st_dev && memory.st_ino == about->st_ino;
}

static void describe_node(struct stat *about)
{
    about->st_mode = S_IFCHR | 0666;
    about->st_rdev = makedev(MAJOR, MINOR);
}

int stat(const char *restrict path, struct stat *restrict about)
{
    char full[PATH_MAX];
    int result = fstatat(AT_FDCWD, moved(path, full), about, 0);
    if (result == 0 && null_device != NULL && strcmp(path, NODE) == 0) {
        describe_node(about);
    }
    return result;
}

int fstat(int file, struct stat *about)
{
    int result = fstatat(file, "", about, AT_EMPTY_PATH);
    if (result == 0 && is_node(about)) {
        describe_node(about);
    }
    return result;
}

int open(const char *path, int flags, ...)
{
    char full[PATH_MAX];
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (null_device != NULL && strcmp(path, NODE) == 0) {
        return fcntl(null_memory_file(), F_DUPFD_CLOEXEC, 0);
    }
    return openat(AT_FDCWD, moved(path, full), flags, mode);
}

FILE *fopen(const char *restrict path, const char *restrict mode)
{
    static FILE *(*true_fopen)(const char *, const char *);
    char full[PATH_MAX];
    if (true_fopen == NULL) {
        *(void **)&true_fopen = dlsym(RTLD_NEXT, "fopen");
    }
    return true_fopen(moved(path, full), mode);
}

int access(const char *path, int mode)
{
    char full[PATH_MAX];
    return faccessat(AT_FDCWD, moved(path, full), mode, 0);
}

DIR *opendir(const char *path)
{
    char full[PATH_MAX];
    int file = openat(AT_FDCWD, moved(path, full), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return file < 0 ? NULL : fdopendir(file);
}

ssize_t readlink(const char *restrict path, char *restrict out, size_t size)
{
    char full[PATH_MAX];
    return readlinkat(AT_FDCWD, moved(path, full), out, size);
}

char *realpath(const char *restrict path, char *restrict out)
{
    char full[PATH_MAX], *found = canonicalize_file_name(moved(path, full));
    if (found != NULL && out != NULL) {
        strcpy(out, found);
        free(found);
        return out;
    }
    return found;
}

int ioctl(int file, unsigned long request, ...)
{
    struct stat about;
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (_IOC_TYPE(request) == 'd' && fstatat(file, "", &about, AT_EMPTY_PATH) == 0 &&
        is_node(&about)) {
        int result = null_answer(request, argument);
        errno = -result;
        return result == 0 ? 0 : -1;
    }
    return (int)syscall(SYS_ioctl, file, request, argument);
}

// The same under the names that programs with 64-bit offsets call. On 64-bit machines both are the
// same.
int stat64(const char *restrict path, struct stat64 *restrict about)
{
    return stat(path, (struct stat *)about);
}

int fstat64(int file, struct stat64 *about)
{
    return fstat(file, (struct stat *)about);
}

FILE *fopen64(const char *restrict path, const char *restrict mode)
{
    return fopen(path, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));
