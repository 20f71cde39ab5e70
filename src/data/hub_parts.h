// Internal interfaces of the hub client: hub.c decides what to download, hub_cache.c handles the
// cache on disk, hub_fetch.c downloads one file, hub_request.c sends one request.
#ifndef TS_DATA_HUB_PARTS_H
#define TS_DATA_HUB_PARTS_H

#include "base/digest.h"
#include "data/hub.h"

enum { TS_HUB_COMMIT_DIGITS = 40 };

// The server of a URL. If any of the three parts differs, it is another server, and nothing secret
// that is meant for one may be sent to the other.
typedef struct ts_hub_origin {
    char scheme[8], host[256], port[8];
} ts_hub_origin;

// One model on one server. Starts zeroed.
typedef struct ts_hub {
    const ts_hub_params *params;
    const char *model; // ORG/NAME
    const char *gguf;  // the file that is the model, or its first; NULL: a folder
    const char *revision;
    ts_text endpoint; // without a slash at the end
    ts_hub_origin origin;
    ts_text token;                         // empty: none
    ts_text cache;                         // folder of all models
    ts_text folder;                        // CACHE/models--ORG--NAME
    char commit[TS_HUB_COMMIT_DIGITS + 1]; // empty until it is known
    void *curl;
    bool answered; // the server has answered at least once in this run
} ts_hub;

// What a server reports about a file. Starts zeroed.
typedef struct ts_hub_metadata {
    bool found;
    char commit[TS_HUB_COMMIT_DIGITS + 1];
    char hash[TS_DIGEST_TEXT_BYTES]; // 64 hexadecimal digits: SHA-256; 40: SHA-1 of a git blob
    uint64_t size;                   // bytes
    ts_text location;                // the URL of the content; it may contain a secret
} ts_hub_metadata;

bool ts_hub_is_hex(const char *text, size_t digits); // lower case only

// ---- hub_cache.c

// Fills endpoint, token, cache and folder from the environment. hub->origin is filled by
// ts_hub_connect.
ts_status ts_hub_read_environment(ts_hub *hub, ts_error *err);
bool ts_hub_environment_offline(void);

// Replaces *out by the path of the model's folder in the cache and what `format` adds.
ts_status ts_hub_path(const ts_hub *hub, ts_text *out, ts_error *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// The commit that refs/REVISION names, or the revision itself if it is a commit. False if it is not
// known.
bool ts_hub_cached_commit(const ts_hub *hub, char out[TS_HUB_COMMIT_DIGITS + 1]);
ts_status ts_hub_write_ref(const ts_hub *hub, ts_error *err);

// For the snapshot of hub->commit: whether the file is in the cache, and whether the cache records
// that the commit has no such file.
bool ts_hub_has(const ts_hub *hub, const char *file);
bool ts_hub_is_absent(const ts_hub *hub, const char *file);
ts_status ts_hub_mark_absent(const ts_hub *hub, const char *file, ts_error *err);
// snapshots/COMMIT/FILE -> ../../blobs/HASH
ts_status ts_hub_link(const ts_hub *hub, const char *file, const char *hash, ts_error *err);

// Waits until no other process writes this blob, then locks it. Pass *lock to ts_hub_unlock.
ts_status ts_hub_lock(const ts_hub *hub, const char *hash, int *lock, ts_error *err);
void ts_hub_unlock(int lock); // -1 does nothing

// TS_ERR_IO if the file system of `folder` has less than `bytes` free.
ts_status ts_hub_check_space(const char *folder, uint64_t bytes, ts_error *err);

// ---- hub_request.c and hub_fetch.c

ts_status ts_hub_connect(ts_hub *hub, ts_error *err); // also fills hub->origin
void ts_hub_disconnect(ts_hub *hub);

// Asks the server about FILE, at hub->commit if it is known, else at the revision. out->found is
// false if that commit has no such file. Everything else that goes wrong is an error.
ts_status ts_hub_read_metadata(ts_hub *hub, const char *file, ts_hub_metadata *out, ts_error *err);

// Downloads the rest of the file at `path` until it has metadata->size bytes. Asks for the metadata
// again if the location is refused, because signed URLs expire. On an error the bytes received are
// kept, unless they cannot be right.
ts_status ts_hub_fetch(ts_hub *hub, const char *file, ts_hub_metadata *about, const char *path,
                       ts_error *err);

#endif
