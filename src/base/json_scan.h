// Whether a text is JSON, and if not, where and why.
#ifndef TS_BASE_JSON_SCAN_H
#define TS_BASE_JSON_SCAN_H

#include "base/error.h"

#include <stddef.h>

// Checks the JSON value at the start of bytes[0..len); TS_ERR_FORMAT says what is wrong and where.
// `name`, `line` and `column` are for that message, as in ts_json_parse_at. Where `end` is NULL
// only blanks may follow the value; otherwise *end receives where the value ends. *nuls receives
// how many \u0000 stand in its strings.
ts_status ts_json_scan(const char *bytes, size_t len, const char *name, size_t line, size_t column,
                       size_t *end, size_t *nuls, ts_error *err);

#endif
