// Models by name: ORG/NAME is downloaded once into Hugging Face's cache, which its Python
// libraries read and fill too, and from then on found there without any network.
//
//     <cache>/models--ORG--NAME/blobs/<hash>                 the content
//                               refs/<revision>              which commit a branch stands at
//                               snapshots/<commit>/FILE      -> ../../blobs/<hash>
//                               .no_exist/<commit>/FILE      asked for, and not in that commit
//     <cache>/.locks/models--ORG--NAME/<hash>.lock           held while that blob is written
//
// The environment, as Hugging Face reads it: HF_HUB_CACHE, HF_HOME and XDG_CACHE_HOME place the
// cache, HF_ENDPOINT names another server, HF_TOKEN or HF_TOKEN_PATH or $HF_HOME/token opens gated
// models, HF_HUB_OFFLINE forbids the network. CURL_CA_BUNDLE or SSL_CERT_FILE name other roots
// for TLS; libcurl reads the usual proxy variables.
#ifndef TS_DATA_HUB_H
#define TS_DATA_HUB_H

#include "base/text.h"

// One file on its way: `done` of `total` bytes are here, or hashed where `checking`.
typedef struct ts_hub_progress {
    const char *file;
    uint64_t done, total;
    bool checking;
} ts_hub_progress;

// All may stay zero.
typedef struct ts_hub_params {
    const char *revision; // branch, tag or commit; NULL: main
    bool offline;         // as HF_HUB_OFFLINE=1
    bool no_weights;      // only the small files: who needs the tokenizer alone
    void (*progress)(void *user, const ts_hub_progress *progress);
    void *user;
    double backoff_s; // the first wait before another attempt, doubled each time; 0: 1
    uint32_t stall_s; // a connection silent for so long counts as cut; 0: 30
} ts_hub_params;

// Whether `model` can be a name on the hub: ORG/NAME of letters, digits, '-', '_' and '.'.
bool ts_hub_is_name(const char *model);

// Replaces *folder by the folder that holds the model's config, tokenizer and weights: `model`
// itself where that is a folder, otherwise the snapshot of ORG/NAME, downloaded as far as it is
// not there. Each file's hash is checked before it gets its name; a download that is cut goes on
// where it stopped, in this run or the next. TS_ERR_ARGUMENT: no such model, revision or
// permission; TS_ERR_IO: network or disk; TS_ERR_FORMAT: the server's answers make no sense or a
// file's hash is wrong.
ts_status ts_hub_resolve(const char *model, const ts_hub_params *params, ts_text *folder,
                         ts_error *err);

#endif
