// What the program asks of the operating system. One file answers for each system: os_posix.c for
// Linux. Another system needs one more file with these functions, and no change elsewhere.
//
// Paths are UTF-8. A function that returns int and can fail returns 0, or a number of <errno.h>
// that strerror explains; its results hold nothing then.
#ifndef TS_BASE_OS_H
#define TS_BASE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// ---- What a path leads to

typedef enum ts_os_kind {
    TS_OS_FILE, // an ordinary one
    TS_OS_FOLDER,
    TS_OS_LINK,
    TS_OS_PIPE,
    TS_OS_SOCKET,
    TS_OS_DISK,
    TS_OS_NULL, // the device that reads as an empty file
    TS_OS_DEVICE,
} ts_os_kind;

// What is known of something without opening it.
typedef struct ts_os_info {
    ts_os_kind kind;
    uint64_t bytes;
    uint64_t volume, number;       // both together tell one file from all others
    int64_t written_s, written_ns; // when its content last changed
    unsigned permissions;          // as the system counts them,
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
    TS_OS_CREATE = 4,   // where it is not there
    TS_OS_NEW = 8,      // with CREATE: EEXIST where it is there
    TS_OS_EMPTY = 16,   // what it holds goes
    TS_OS_NO_LINK = 32, // a link is an error
    TS_OS_NO_WAIT = 64, // what would wait for another program is an error, or returns at once
};
// A child process does not get it. New files have the permissions that the user asks for (umask).
int ts_os_open(const char *path, unsigned how, int *file);
int ts_os_close(int file);
int ts_os_read(int file, void *out, size_t size, size_t *got); // *got is 0 at the end
int ts_os_read_at(int file, void *out, size_t size, uint64_t at, size_t *got);
int ts_os_write(int file, const void *bytes, uint64_t len); // all of them
int ts_os_write_at(int file, const void *bytes, uint64_t len, uint64_t at);
int ts_os_cut(int file, uint64_t bytes); // to this length
int ts_os_sync(int file);                // to the disk; fine where there is none to sync
int ts_os_sync_folder(const char *path); // the names in it
// Shared or exclusive, until it is closed. Never waits: EWOULDBLOCK where another process has it.
int ts_os_lock(int file, bool exclusive);
// Gives an open file another's owner, as far as the system allows it, and permissions.
void ts_os_copy_owner(int file, const ts_os_info *from);
// Turns TS_OS_NO_WAIT off.
void ts_os_let_wait(int file);

// The number of the open file that a path such as /dev/stdout's target stands for, or -1.
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

// Calls `visit` for all that lies in a folder and then for itself: files before their folder, links
// not followed. Ends with the first number that is not 0.
int ts_os_walk(const char *folder, int (*visit)(const char *path, ts_os_kind kind));
int ts_os_remove(const char *path); // a file, or a folder that is empty

int ts_os_free_bytes(const char *folder, uint64_t *out); // of the disk that it is on

// ---- Mappings: a file's content as memory, to be read

int ts_os_map(int file, uint64_t len, const void **out); // len > 0
void ts_os_unmap(const void *bytes, uint64_t len);
// Says that whole pages within bytes[0..len) are not needed for now.
void ts_os_release_pages(const void *bytes, uint64_t len);

// ---- Processes, time, the machine

long ts_os_process(void); // this one's number
bool ts_os_process_is_gone(long process);
void ts_os_sleep(double seconds);
double ts_clock_s(void); // seconds that never go back
void ts_os_host_name(char *out, size_t size);
void ts_os_describe(char *out, size_t size); // "Linux 6.1.0 x86_64"; "" where it does not tell
int ts_os_program_path(char *out, size_t size);
// Of the whole machine. *available: without swapping.
void ts_os_memory(uint64_t *bytes, uint64_t *available);

// ---- Terminals

bool ts_os_is_terminal(FILE *stream);
int ts_os_terminal_columns(FILE *stream); // 0: it does not tell

// ---- Libraries that are looked for while the program runs

// NULL: `problem` says why.
void *ts_os_library_open(const char *name, char *problem, size_t size);
void ts_os_library_close(void *library);
void *ts_os_library_find(void *library, const char *name); // NULL: it has no such function

// ---- Being asked to stop

typedef enum ts_os_stop {
    TS_OS_STOP_KEY,      // by whoever sits before it (Ctrl-C)
    TS_OS_STOP_REQUEST,  // by another program
    TS_OS_STOP_TERMINAL, // its terminal has gone
} ts_os_stop;
// Has `came` called instead of ending the program; `number` is the signal's, for exit codes. It may
// be called at any moment, and may do only what a signal handler may. A terminal that goes is still
// ignored where it was ignored before (nohup).
void ts_os_watch_stops(void (*came)(ts_os_stop stop, int number));
void ts_os_end_by(int number);    // as if it were not watched
void ts_os_say(const char *text); // to standard error, also from `came`

#endif
