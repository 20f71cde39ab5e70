// Files: read whole or mapped, written whole or not at all. Only regular files are read. Anything
// else (a pipe, a device, a socket, a folder) is refused with an error that says what it is, before
// it is opened: opening it could wait for ever. /dev/null reads as an empty file.
#ifndef TS_BASE_FILE_H
#define TS_BASE_FILE_H

#include "base/text.h"

struct ts_os_info;

// Opens a file with the flags of base/os.h (TS_OS_READ, ...). TS_ERR_IO where it cannot be opened,
// or where it is there and is no regular file. *info (`info` may be NULL) describes what was
// opened. Close *file with ts_os_close.
ts_status ts_file_open(const char *path, unsigned how, int *file, struct ts_os_info *info,
                       ts_error *err);

// Appends the file's content to *out. TS_ERR_IO names the path; a file above `max_bytes` is
// refused with TS_ERR_FORMAT before it is read.
ts_status ts_file_read(const char *path, uint64_t max_bytes, ts_text *out, ts_error *err);

// A read-only mapping of a whole file. Starts zeroed.
typedef struct ts_map {
    const unsigned char *bytes;
    uint64_t len;
    struct ts_map_file *file; // the file as it was when it was mapped; NULL for an empty one
} ts_map;
ts_status ts_map_open(const char *path, ts_map *out, ts_error *err);
void ts_map_close(ts_map *map);
// TS_ERR_IO where somebody has written to the mapped file, or cut it short, since it was mapped: a
// mapping shows what the file holds now. A file that was replaced by another of its name is fine,
// the mapping still shows the old one. Costs one fstat.
ts_status ts_map_check(const ts_map *map, ts_error *err);
// The path of the mapping that `address` lies in, or NULL. For a SIGBUS handler: reading past the
// new end of a file that was cut short raises that signal. Takes no lock and allocates nothing.
const char *ts_map_path_of(const void *address);
// Tells the system that bytes[0..len) of the mapping are not needed for now, so that their pages
// can leave memory. The next access reads them from the file again.
void ts_map_release(const ts_map *map, const void *bytes, uint64_t len);

// Writes a temporary file beside `path`, syncs it, renames it over `path` and syncs the folder:
// at every moment the path holds either the old content or all of the new. An existing file's
// permissions and, where the system allows it, its owner are kept. A link is followed: its target
// is what is written, also where that is not there yet. A pipe that somebody reads, a device such
// as /dev/null, and an open descriptor (/dev/stdout, /dev/fd/N) are written to directly; folders,
// disks and sockets are refused. Temporary files that killed processes left are removed.
ts_status ts_file_write(const char *path, const void *bytes, uint64_t len, ts_error *err);

// The same for a file that is written piece by piece, and need never be in memory as a whole.
// Starts zeroed.
typedef struct ts_file_out {
    ts_text path;      // as it was named, for messages
    ts_text target;    // with links followed; empty: `path` is written to directly
    ts_text temporary; // what is renamed to the target; empty after that
    int file;
    bool open;
} ts_file_out;
ts_status ts_file_begin(const char *path, ts_file_out *out, ts_error *err);
ts_status ts_file_add(ts_file_out *out, const void *bytes, uint64_t len, ts_error *err);
// Makes the file appear under its name. Zeroes *out, after an error too.
ts_status ts_file_end(ts_file_out *out, ts_error *err);
void ts_file_drop(ts_file_out *out); // removes an unfinished file; zeroed is fine

// Writes and syncs a file in place. For files inside a folder that is itself still temporary
// (see ts_folder_commit), where a half-written file can never be seen under its final name.
ts_status ts_file_write_plain(const char *path, const void *bytes, uint64_t len, ts_error *err);

// Writes FOLDER/NAME by one of the two functions above that write a whole file.
typedef ts_status (*ts_file_writer)(const char *path, const void *bytes, uint64_t len,
                                    ts_error *err);
ts_status ts_file_write_in(const char *folder, const char *name, const void *bytes, uint64_t len,
                           ts_file_writer write, ts_error *err);

// A file that grows by whole pieces, as a log does: after a write that failed none of the piece is
// there. A process that is killed may leave a part of the last one, which whoever opens the file
// again cuts off by `keep`. Adding allocates nothing. Starts zeroed.
typedef struct ts_file_append {
    ts_text path;
    uint64_t bytes; // that the file has
    int file;
    bool open;
} ts_file_append;
// Opens or makes the file, keeps its first `keep` bytes and locks it. TS_ERR_ARGUMENT where another
// process has it open so.
ts_status ts_file_append_open(const char *path, uint64_t keep, ts_file_append *out, ts_error *err);
ts_status ts_file_append_add(ts_file_append *file, const void *bytes, uint64_t len, ts_error *err);
void ts_file_append_close(ts_file_append *file); // zeroed is fine

// Whether ts_file_write could write `path` as things are now: TS_ERR_IO with the reason where its
// folder is not there or not writable, or something is there that it refuses. Commands call it
// before long work, so that the result is not lost at the end.
ts_status ts_file_check_writable(const char *path, ts_error *err);

bool ts_file_exists(const char *path); // file or folder; false too where the system does not tell
// The same for an optional file, with errors: it counts as absent only where nothing is there. A
// dangling link, a folder that may not be searched and the like are TS_ERR_IO.
ts_status ts_file_find(const char *path, bool *found, ts_error *err);
bool ts_folder_exists(const char *path);
ts_status ts_folder_make(const char *path, ts_error *err);   // with its parents; existing is fine
ts_status ts_folder_remove(const char *path, ts_error *err); // with all it holds; absent is fine

// Makes a folder that was filled under `temporary` appear as `final`: syncs it and its files'
// entries, renames it, syncs the parent. An older `final` is replaced: in one step where the file
// system can, otherwise it is moved aside first and then removed. A crash at any point leaves at
// least one of the two whole.
ts_status ts_folder_commit(const char *temporary, const char *final, ts_error *err);

// Sets *out to "a/b" for "a" and "b". The caller frees it with ts_text_free.
ts_status ts_path_join(const char *folder, const char *name, ts_text *out, ts_error *err);
// The part of `path` after its last '/'.
const char *ts_path_name(const char *path);

// TS_ERR_FORMAT where the content is a git-lfs pointer: what stands in a file's place until git-lfs
// has fetched the file itself.
ts_status ts_file_refuse_pointer(const char *path, const void *bytes, uint64_t len, ts_error *err);

// SHA-256 as 64 lower-case hex digits and a NUL.
void ts_sha256_hex(const void *bytes, uint64_t len, char out[65]);

#endif
