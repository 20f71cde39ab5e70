// Files that people hand over as training data and that are something else than JSON.
#ifndef TS_DATA_FILE_KIND_H
#define TS_DATA_FILE_KIND_H

#include "base/error.h"

#include <stddef.h>

// TS_ERR_FORMAT where bytes[0..len), a file's content, is of a known other kind (Parquet, a zip,
// CSV, UTF-16, a web page, ...): names the kind and how to make JSON of it. `path` starts the
// message, its ending tells CSV.
ts_status ts_file_kind_check(const char *path, const char *bytes, size_t len, ts_error *err);

#endif
