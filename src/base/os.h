// What the program asks of the operating system. One file implements it for each system:
// os_posix.c for Linux. Another system needs one more file with these functions, and no change
// elsewhere.
//
// Paths are UTF-8. A function that returns int and can fail returns 0, or an error number of
// <errno.h>, which strerror explains; its results are undefined then.
#ifndef TS_BASE_OS_H
#define TS_BASE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// ---- What a path leads to

typedef enum ts_os_kind {
    TS_OS_FILE, // a regular file
    TS_OS_FOLDER,
    TS_OS_LINK,
    TS_OS_PIPE,
    TS_OS_SOCKET,
    TS_OS_DISK,
    TS_OS_NULL, // /dev/null, which reads as an empty file
    TS_OS_DEVICE,
} ts_os_kind;

// What is known of something without opening it.
typedef struct ts_os_info {
    ts_os_kind kind;
    uint64_t bytes;
    uint64_t volume, number;       // together they identify a file
    int64_t written_s, written_ns; // when its content last changed
    unsigned permissions;          // in the system's own numbers,
    unsigned owner, group;         // for ts_os_copy_owner
} ts_os_info;

int ts_os_stat(const char *path, ts_os_info *out);      // links are followed
int ts_os_stat_link(const char *path, ts_os_info *out); // of a link itself
int ts_os_stat_open(int file, ts_os_info *out);
static inline bool ts_os_same_file(const ts_os_info *a, const ts_os_info *b)
{
    return a->volume == b->volume && a->number == b->number;
}

// Whether this user may read, write or (of a folder) enter what is there.
enum { TS_OS_MAY_READ = 1, TS_OS_MAY_WRITE = 2, TS_OS_MAY_ENTER = 4 };
int ts_os_may(const char *path, unsigned what);

// ---- Open files, by a number as C's file descriptors are

enum {
    TS_OS_READ = 1,
    TS_OS_WRITE = 2,
    TS_OS_CREATE = 4,   // make it where it is not there
    TS_OS_NEW = 8,      // with CREATE: EEXIST where it is there
    TS_OS_EMPTY = 16,   // drop what it holds
    TS_OS_NO_LINK = 32, // a link is an error
    TS_OS_NO_WAIT = 64, // never wait for another program: return at once, maybe with an error
};
// Child processes do not inherit the file. A new file has the permissions that the umask allows.
int ts_os_open(const char *path, unsigned how, int *file);
int ts_os_close(int file);
int ts_os_read(int file, void *out, size_t size, size_t *got); // *got is 0 at the end
int ts_os_read_at(int file, void *out, size_t size, uint64_t at, size_t *got);
int ts_os_write(int file, const void *bytes, uint64_t len); // all of them
int ts_os_write_at(int file, const void *bytes, uint64_t len, uint64_t at);
int ts_os_cut(int file, uint64_t bytes); // to this length
int ts_os_sync(int file);                // to the disk; fine where there is none to sync
int ts_os_sync_folder(const char *path); // the names in it
// Locks a file, shared or exclusively, until it is closed. Never waits: EWOULDBLOCK where another
// process has a lock that excludes this one.
int ts_os_lock(int file, bool exclusive);
// Gives an open file the owner (as far as the system allows) and permissions of another.
void ts_os_copy_owner(int file, const ts_os_info *from);
// Turns TS_OS_NO_WAIT off.
void ts_os_let_wait(int file);

// The open file that a path such as /dev/fd/1 or /proc/self/fd/1 stands for, or -1.
int ts_os_named_file(const char *path);
int ts_os_duplicate(int file, int *out);

// ---- Names

int ts_os_rename(const char *from, const char *to); // replaces a file that is there
int ts_os_exchange(const char *a, const char *b);   // in one step, where the file system can
int ts_os_delete(const char *path);                 // a file or link
int ts_os_make_link(const char *target, const char *path);
int ts_os_read_link(const char *path, char *out, size_t size); // ends in a NUL
int ts_os_make_folder(const char *path);

// The names in a folder but for "." and "..", sorted by their bytes.
typedef struct ts_os_names {
    char **names;
    size_t count;
} ts_os_names;
int ts_os_list(const char *folder, ts_os_names *out);
void ts_os_names_free(ts_os_names *names); // a zeroed one is fine

// Calls `visit` for everything in a folder, then for the folder itself. Each folder comes after
// what it holds, and links are not followed. Stops at the first result of `visit` that is not 0 and
// returns it.
int ts_os_walk(const char *folder, int (*visit)(const char *path, ts_os_kind kind));
int ts_os_remove(const char *path); // a file, or a folder that is empty

int ts_os_free_bytes(const char *folder, uint64_t *out); // of the disk that it is on

// ---- Mappings: a file's content as memory, to be read

int ts_os_map(int file, uint64_t len, const void **out); // len > 0
void ts_os_unmap(const void *bytes, uint64_t len);
// Says that whole pages within bytes[0..len) are not needed for now.
void ts_os_release_pages(const void *bytes, uint64_t len);

// ---- Processes, time, the machine

long ts_os_process(void); // the number of this process
bool ts_os_process_is_gone(long process);
void ts_os_sleep(double seconds);
double ts_clock_s(void); // seconds since some moment; it never goes back
void ts_os_host_name(char *out, size_t size);
void ts_os_describe(char *out, size_t size); // "Linux 6.1.0 x86_64"; "" where it does not tell
int ts_os_program_path(char *out, size_t size);
// The memory of the whole machine; *available is what programs can still get without swapping.
void ts_os_memory(uint64_t *bytes, uint64_t *available);

// Becomes another program, found in PATH where its name has no slash; argv ends with NULL. Returns
// only where it fails.
int ts_os_become(const char *const *argv);
void ts_os_set_variable(const char *name, const char *value); // of this process; stays if it is set

// ---- Terminals

bool ts_os_is_terminal(FILE *stream);
int ts_os_terminal_columns(FILE *stream); // 0: it does not tell

// ---- Libraries that are loaded while the program runs

// NULL where it cannot be loaded; `problem` then says why.
void *ts_os_library_open(const char *name, char *problem, size_t size);
void ts_os_library_close(void *library);
void *ts_os_library_find(void *library, const char *name); // NULL: it has no such function

// ---- Being asked to stop

typedef enum ts_os_stop {
    TS_OS_STOP_KEY,      // by the user at the keyboard (Ctrl-C)
    TS_OS_STOP_REQUEST,  // by another program
    TS_OS_STOP_TERMINAL, // its terminal was closed
} ts_os_stop;
// From now on such a request calls `came` instead of ending the program. `number` is the signal's,
// for exit codes. `came` runs as a signal handler: at any moment, and limited to what one may do.
// A closed terminal is still ignored where it was ignored before (nohup).
void ts_os_watch_stops(void (*came)(ts_os_stop stop, int number));
void ts_os_end_after(double seconds); // ends the program then, whatever it does
// Ends it now with this code, without what exit() runs. What was printed is written.
_Noreturn void ts_os_exit_now(int code);
void ts_os_end_by(int number);        // ends the program by this signal, as if it were not watched
void ts_os_say(const char *text);     // to standard error; `came` may call it

#endif
