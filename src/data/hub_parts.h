// What the hub's files share: hub.c decides, hub_cache.c knows the disk, hub_fetch.c what to ask
// the network for, hub_request.c how.
#ifndef TS_DATA_HUB_PARTS_H
#define TS_DATA_HUB_PARTS_H

#include "base/digest.h"
#include "data/hub.h"

enum { TS_HUB_COMMIT_DIGITS = 40 };

// Where a URL leads. Two servers that differ in any of the three are strangers: neither sees what
// was meant for the other.
typedef struct ts_hub_origin {
    char scheme[8], host[256], port[8];
} ts_hub_origin;

// One model on one server. Starts zeroed.
typedef struct ts_hub {
    const ts_hub_params *params;
    const char *model; // ORG/NAME
    const char *revision;
    ts_text endpoint; // without a slash at the end
    ts_hub_origin origin;
    ts_text token;                         // empty: none
    ts_text cache;                         // folder of all models
    ts_text folder;                        // CACHE/models--ORG--NAME
    char commit[TS_HUB_COMMIT_DIGITS + 1]; // empty until known
    void *curl;
    bool answered; // the server has answered at least once in this run
} ts_hub;

// What a server says of a file. Starts zeroed.
typedef struct ts_hub_metadata {
    bool found;
    char commit[TS_HUB_COMMIT_DIGITS + 1];
    char hash[TS_DIGEST_TEXT_BYTES]; // 64 digits: SHA-256; 40: git blob
    uint64_t size;                   // bytes
    ts_text location;                // the URL of the content; may hold a secret
} ts_hub_metadata;

bool ts_hub_is_hex(const char *text, size_t digits); // lower case

// ---- hub_cache.c

// Fills endpoint (not its origin), token, cache and folder from the environment.
ts_status ts_hub_read_environment(ts_hub *hub, ts_error *err);
bool ts_hub_environment_offline(void);

// The path of the model's folder and the formatted rest.
ts_status ts_hub_path(const ts_hub *hub, ts_text *out, ts_error *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// The commit that refs/REVISION names, or the revision itself if it is one; false: unknown.
bool ts_hub_cached_commit(const ts_hub *hub, char out[TS_HUB_COMMIT_DIGITS + 1]);
ts_status ts_hub_write_ref(const ts_hub *hub, ts_error *err);

// Of the snapshot hub->commit: whether the file is there, and whether it is known not to exist.
bool ts_hub_has(const ts_hub *hub, const char *file);
bool ts_hub_is_absent(const ts_hub *hub, const char *file);
ts_status ts_hub_mark_absent(const ts_hub *hub, const char *file, ts_error *err);
// snapshots/COMMIT/FILE -> ../../blobs/HASH
ts_status ts_hub_link(const ts_hub *hub, const char *file, const char *hash, ts_error *err);

// Waits until no other process writes the blob. *lock is what ts_hub_unlock takes.
ts_status ts_hub_lock(const ts_hub *hub, const char *hash, int *lock, ts_error *err);
void ts_hub_unlock(int lock); // -1 is fine

// TS_ERR_IO where the file system of `folder` has less than `bytes` free.
ts_status ts_hub_check_space(const char *folder, uint64_t bytes, ts_error *err);

// ---- hub_request.c and hub_fetch.c

ts_status ts_hub_connect(ts_hub *hub, ts_error *err); // also reads endpoint's origin
void ts_hub_disconnect(ts_hub *hub);

// What the server knows of FILE at the known commit, or at the revision before one is known.
// found is false where that commit has no such file; all else that is wrong is an error.
ts_status ts_hub_read_metadata(ts_hub *hub, const char *file, ts_hub_metadata *out, ts_error *err);

// Brings the file at `path` to about->size bytes, going on from what is there; asks again where
// the location is refused. On an error what came is kept, except where it cannot be right.
ts_status ts_hub_fetch(ts_hub *hub, const char *file, ts_hub_metadata *about, const char *path,
                       ts_error *err);

#endif
