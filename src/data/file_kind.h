// Recognises files that people give as training data although they are not JSON.
#ifndef TS_DATA_FILE_KIND_H
#define TS_DATA_FILE_KIND_H

#include "base/error.h"

#include <stddef.h>

// TS_ERR_FORMAT if bytes[0..len), the content of a file, is of another known kind (Parquet, zip,
// CSV, UTF-16, a web page, ...). The message starts with `path`, names the kind and says how to
// convert it to JSON. CSV is recognised by the ending of `path`.
ts_status ts_file_kind_check(const char *path, const char *bytes, size_t len, ts_error *err);

#endif
