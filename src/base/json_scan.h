// Whether a text is JSON, and if not, where and why.
#ifndef TS_BASE_JSON_SCAN_H
#define TS_BASE_JSON_SCAN_H

#include "base/error.h"

#include <stddef.h>

// Checks the JSON value that bytes[0..len) start with, as ts_json_parse_prefix does, which calls
// it. Where `end` is NULL nothing may follow the value, otherwise it receives where the value ends.
// *nuls: how often \u0000 stands in a text.
ts_status ts_json_scan(const char *bytes, size_t len, const char *name, size_t line, size_t column,
                       size_t *end, size_t *nuls, ts_error *err);

#endif
