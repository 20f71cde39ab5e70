// A file of rows, a JSON array or JSON lines, walked row by row: each error names its line, and
// memory holds one row's JSON, not the file's.
#ifndef TS_DATA_ROW_FILE_H
#define TS_DATA_ROW_FILE_H

#include "base/json.h"
#include "base/mistakes.h"

// What is done with a row that begins at `line`; `name` is "FILE:LINE", or "FILE:LINE: row N" where
// N is another number. A mistake in it
// (ts_mistakes_is_one) is noted, any other failure ends the walk.
typedef ts_status (*ts_row_callback)(void *user, const cJSON *row, uint32_t line, const char *name,
                                     ts_error *err);

// Takes every row of the file and notes all mistakes, those of its JSON among them; the caller
// tells them (ts_mistakes_tell). A file without rows is a mistake, and so is one that is no JSON at
// all (file_kind.h). A UTF-8 byte order mark is passed over. After a mistake in the JSON itself the
// walk goes on at the next line; in an array, where it is clear, at the next row.
ts_status ts_row_file_read(const char *path, ts_row_callback take, void *user,
                           ts_mistakes *mistakes, ts_error *err);

// The same with another limit on the length of a row than this one.
#define TS_ROW_MOST_BYTES ((size_t)64 << 20)
ts_status ts_row_file_read_limited(const char *path, size_t most_row_bytes, ts_row_callback take,
                                   void *user, ts_mistakes *mistakes, ts_error *err);

#endif
