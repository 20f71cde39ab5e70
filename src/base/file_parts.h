// What file.c, which reads, and file_write.c share.
#ifndef TS_BASE_FILE_PARTS_H
#define TS_BASE_FILE_PARTS_H

#include "base/file.h"
#include "base/os.h"

// Fails with TS_ERR_IO "PATH: cannot DOING: REASON". `reason` is the errno that the caller saved
// right after the failed call, since later calls may change it. Of a long path only the two ends
// are shown, so that the reason fits.
ts_status ts_file_error(const char *path, const char *doing, int reason, ts_error *err);

// For messages: "a folder", "a pipe".
const char *ts_file_kind(ts_os_kind kind);

#endif
