// One request to a hub and its response. libcurl makes it; which URL may follow which and who
// sees the token is decided here and above: libcurl follows no redirect.
#ifndef TS_DATA_HUB_REQUEST_H
#define TS_DATA_HUB_REQUEST_H

#include "data/hub_parts.h"

enum { TS_HUB_VALUE_BYTES = 256, TS_HUB_MAX_WAIT_S = 30 };

// The status and what matters of the headers; values are empty where the header is missing or
// longer than any sound one. Starts zeroed.
typedef struct ts_hub_reply {
    long code;
    char commit[TS_HUB_VALUE_BYTES], reason[TS_HUB_VALUE_BYTES];
    char etag[TS_HUB_VALUE_BYTES], linked_etag[TS_HUB_VALUE_BYTES];
    char length[TS_HUB_VALUE_BYTES], linked_size[TS_HUB_VALUE_BYTES], range[TS_HUB_VALUE_BYTES];
    bool redirects, relative;
    size_t header_bytes;
    long wait_s;      // Retry-After, at most TS_HUB_MAX_WAIT_S
    ts_text redirect; // where to, as a full URL; may hold a secret
} ts_hub_reply;

// A file that a response's body fills.
typedef struct ts_hub_body {
    ts_hub *hub;
    const char *file;
    ts_hub_reply *reply;
    int fd;
    uint64_t at, size;
    bool begun, keep; // keep: the body is the file's content, not an error's page
    size_t ignored;
    ts_status status; // not TS_OK: why it was given up; err has the story
    bool worthless;   // what came cannot be right
    ts_error *err;
} ts_hub_body;

// One request and its response, whatever its status: a GET of what `body` lacks, or a HEAD where
// body is NULL. On an error *again says whether to try once more; statuses that ask for that
// (408, 429, 5xx) are errors too. The token goes to the hub's own origin only. Replaces *reply.
ts_status ts_hub_request(ts_hub *hub, const char *url, ts_hub_reply *reply, ts_hub_body *body,
                         bool *again, ts_error *err);

// Whether the URL leads to the hub's own server.
bool ts_hub_is_own(const ts_hub *hub, const char *url);

#endif
