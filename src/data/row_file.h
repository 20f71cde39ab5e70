// A file of rows, a JSON array or JSON lines, walked row by row: each error names its line, and
// memory holds one row's JSON, not the file's.
#ifndef TS_DATA_ROW_FILE_H
#define TS_DATA_ROW_FILE_H

#include "base/json.h"
#include "base/mistakes.h"

// What is done with a row that begins at `line`; `name` is "FILE:LINE". A mistake in it
// (ts_mistakes_is_one) is noted, any other failure ends the walk.
typedef ts_status (*ts_row_taker)(void *user, const cJSON *row, uint32_t line, const char *name,
                                  ts_error *err);

// Takes every row of the file and notes all mistakes, those of its JSON among them; the caller
// tells them (ts_mistakes_tell). A file without rows is a mistake.
ts_status ts_row_file_walk(const char *path, ts_row_taker take, void *user, ts_mistakes *mistakes,
                           ts_error *err);

#endif
