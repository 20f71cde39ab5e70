// What file.c, which reads, and file_write.c share.
#ifndef TS_BASE_FILE_PARTS_H
#define TS_BASE_FILE_PARTS_H

#include "base/file.h"
#include "base/os.h"

// TS_ERR_IO "PATH: cannot DOING: REASON" of an errno that was saved where the call failed: whatever
// runs in between may change it. A long path is shown by its ends, so that the reason fits.
ts_status ts_file_error(const char *path, const char *doing, int reason, ts_error *err);

// For messages: "a folder", "a pipe".
const char *ts_file_kind(ts_os_kind kind);

#endif
