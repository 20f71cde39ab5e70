// One request to a hub and its response. libcurl sends the request but follows no redirect: which
// URL may follow which, and which server gets the token, is decided in this file and in
// hub_fetch.c.
#ifndef TS_DATA_HUB_REQUEST_H
#define TS_DATA_HUB_REQUEST_H

#include "data/hub_parts.h"

enum { TS_HUB_VALUE_BYTES = 256, TS_HUB_MAX_WAIT_S = 30 };

// The status code and the headers that matter. A value is empty if its header is missing or too
// long to be valid. Starts zeroed.
typedef struct ts_hub_reply {
    long code;
    char commit[TS_HUB_VALUE_BYTES], reason[TS_HUB_VALUE_BYTES];
    char etag[TS_HUB_VALUE_BYTES], linked_etag[TS_HUB_VALUE_BYTES];
    char length[TS_HUB_VALUE_BYTES], linked_size[TS_HUB_VALUE_BYTES], range[TS_HUB_VALUE_BYTES];
    bool redirects, relative;
    size_t header_bytes;
    long wait_s;      // Retry-After, at most TS_HUB_MAX_WAIT_S
    ts_text redirect; // the full URL of a redirect; it may contain a secret
} ts_hub_reply;

// Where the body of a response is written to.
typedef struct ts_hub_body {
    ts_hub *hub;
    const char *file;
    ts_hub_reply *reply;
    int opened;
    uint64_t at, size;
    bool begun, keep; // keep: the body is the content of the file, not an error page
    size_t ignored;
    ts_status status; // not TS_OK: why the transfer was aborted; err has the message
    bool worthless;   // the received bytes cannot be right
    ts_error *err;
} ts_hub_body;

// Sends one request and reads its response into *reply, whatever the status code: a GET of the
// bytes that `body` lacks, or a HEAD if `body` is NULL. On an error *again says whether another
// attempt makes sense. Status codes that ask for another attempt (408, 429, 5xx) are errors too.
// The token is sent to the hub's own server only.
ts_status ts_hub_request(ts_hub *hub, const char *url, ts_hub_reply *reply, ts_hub_body *body,
                         bool *again, ts_error *err);

// Whether the URL leads to the hub's own server.
bool ts_hub_is_own(const ts_hub *hub, const char *url);

#endif
