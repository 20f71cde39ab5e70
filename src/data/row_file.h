// Reads a file of rows, a JSON array or JSON lines, one row at a time. So every error names its
// line, and memory holds the JSON of one row, not of the whole file.
#ifndef TS_DATA_ROW_FILE_H
#define TS_DATA_ROW_FILE_H

#include "base/json.h"
#include "base/mistakes.h"

// Called for each row. The row starts at `line`; `name` is "FILE:LINE", or "FILE:LINE: row N" if
// the row's number differs from the line's. An error that is the row's own (ts_mistakes_is_one) is
// collected in the list of mistakes. Any other error ends the reading.
typedef ts_status (*ts_row_callback)(void *user, const cJSON *row, uint32_t line, const char *name,
                                     ts_error *err);

// Calls `take` for every row of the file and collects all mistakes, those of its JSON among them.
// The caller reports them (ts_mistakes_tell). A file without rows is a mistake, and so is a file
// that is not JSON at all (data/file_kind.h). A UTF-8 byte order mark is skipped. After an error in
// the JSON itself, reading continues at the next line, or in an array at the next row if it is
// clear where that starts.
ts_status ts_row_file_read(const char *path, ts_row_callback take, void *user,
                           ts_mistakes *mistakes, ts_error *err);

// The same with another limit on the bytes of one row.
#define TS_ROW_MOST_BYTES ((size_t)64 << 20)
ts_status ts_row_file_read_limited(const char *path, size_t most_row_bytes, ts_row_callback take,
                                   void *user, ts_mistakes *mistakes, ts_error *err);

#endif
