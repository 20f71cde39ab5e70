// What file.c, which reads, and file_write.c share.
#ifndef TS_BASE_FILE_PARTS_H
#define TS_BASE_FILE_PARTS_H

#include "base/file.h"

// TS_ERR_IO "PATH: cannot DOING: REASON" of an errno that was saved where the call failed: whatever
// runs in between may change it. A long path is shown by its ends, so that the reason fits.
ts_status ts_file_error(const char *path, const char *doing, int reason, ts_error *err);

// What stat's st_mode says something is, for messages: "a folder", "a pipe".
const char *ts_file_kind(unsigned mode);

// open, again where a signal interrupts it, closed in children. -1: errno says why.
int ts_file_open(const char *path, int flags);

#endif
