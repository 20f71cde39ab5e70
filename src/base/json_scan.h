// Whether a text is JSON, and if not, where and why.
#ifndef TS_BASE_JSON_SCAN_H
#define TS_BASE_JSON_SCAN_H

#include "base/error.h"

#include <stddef.h>

// As ts_json_parse_at, which calls it, but only checks. *nuls: how often \u0000 stands in a text.
ts_status ts_json_scan(const char *bytes, size_t len, const char *name, size_t line, size_t column,
                       size_t *nuls, ts_error *err);

#endif
