// Models by name: ORG/NAME is downloaded once into Hugging Face's cache and found there from then
// on, without a network. The layout is the one that Hugging Face's Python libraries read and write:
//
//     <cache>/models--ORG--NAME/blobs/<hash>                 the content
//                               refs/<revision>              which commit a branch stands at
//                               snapshots/<commit>/FILE      -> ../../blobs/<hash>
//                               .no_exist/<commit>/FILE      asked for, and not in that commit
//     <cache>/.locks/models--ORG--NAME/<hash>.lock           held while that blob is written
//
// Environment variables mean what they mean to Hugging Face's libraries. HF_HUB_CACHE, HF_HOME and
// XDG_CACHE_HOME decide where the cache is. HF_ENDPOINT is the address of another server. HF_TOKEN,
// the file HF_TOKEN_PATH or $HF_HOME/token gives access to gated models. HF_HUB_OFFLINE forbids
// network access. CURL_CA_BUNDLE or SSL_CERT_FILE replaces the TLS root certificates, and libcurl
// reads the usual proxy variables.
#ifndef TS_DATA_HUB_H
#define TS_DATA_HUB_H

#include "base/text.h"

// How far the download of one file is: `done` of `total` bytes are on the disk. With `checking`,
// `done` is how many of them have been hashed.
typedef struct ts_hub_progress {
    const char *file;
    uint64_t done, total;
    bool checking;
} ts_hub_progress;

// All members may be zero.
typedef struct ts_hub_params {
    const char *revision; // branch, tag or commit; NULL: main
    bool offline;         // as HF_HUB_OFFLINE=1
    bool no_weights;      // only the small files, for a caller that needs just the tokenizer
    void (*progress)(void *user, const ts_hub_progress *progress);
    void *user;
    double backoff_s; // seconds before the second attempt, doubled for each further one; 0: 1
    uint32_t stall_s; // a connection that sends nothing for this long is closed; 0: 30
} ts_hub_params;

// Whether `model` has the form of a name on the hub: ORG/NAME of letters, digits, '-', '_' and '.'.
// ORG/NAME/FILE.gguf, which ts_hub_resolve takes too, has not.
bool ts_hub_is_name(const char *model);

// Replaces *folder by the path of the folder with the model's config, tokenizer and weights. If
// `model` is a folder or a GGUF file, that is the answer. Otherwise it is the cached snapshot of
// ORG/NAME, and missing files are downloaded first. For ORG/NAME/FILE.gguf it is the path of that
// file, the only one that is downloaded, or one of all its pieces. A file gets its final name only after its hash was
// checked. An interrupted download is continued where it stopped, in this run or the next.
// TS_ERR_ARGUMENT: no such model or revision, or no permission. TS_ERR_IO: network or disk.
// TS_ERR_FORMAT: a response of the server is not valid, or a hash does not match.
ts_status ts_hub_resolve(const char *model, const ts_hub_params *params, ts_text *folder,
                         ts_error *err);

#endif
