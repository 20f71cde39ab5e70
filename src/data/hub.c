#include "data/hub.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "data/gguf_split.h"
#include "data/hf_files.h"
#include "data/hub_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_NAME_BYTES = 96, // of ORG/NAME
    MAX_REVISION_BYTES = 128,
    MAX_FILE_NAME_BYTES = 128, // of a shard
    MAX_SHARDS = 1024,
    MAX_SMALL_BYTES = 1 << 28, // of a file that is not weights
    HASH_BUFFER_BYTES = 1 << 18,
};

// ---- Names

static bool is_name_part(const char *text, size_t len)
{
    if (len == 0 || text[0] == '.' || text[0] == '-' || text[len - 1] == '.' ||
        text[len - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        bool letter = (text[i] | 32) >= 'a' && (text[i] | 32) <= 'z';
        bool doubled = i > 0 && text[i] == text[i - 1] && (text[i] == '.' || text[i] == '-');
        if (doubled || (!letter && strchr("0123456789._-", text[i]) == NULL)) {
            return false;
        }
    }
    return true;
}

bool ts_hub_is_name(const char *model)
{
    const char *slash = strchr(model, '/');
    return slash != NULL && strlen(model) <= MAX_NAME_BYTES &&
           is_name_part(model, (size_t)(slash - model)) &&
           is_name_part(slash + 1, strlen(slash + 1));
}

// Whether it names a file inside the folder, not hidden, without characters that some system treats
// differently.
static bool is_plain_file_name(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._-";
    size_t len = strlen(name);
    return len > 0 && len <= MAX_FILE_NAME_BYTES && strspn(name, allowed) == len &&
           name[0] != '.' && name[0] != '-' && strstr(name, "..") == NULL;
}

// Splits ORG/NAME/FILE.gguf into the model's name and the file, which points into `text`. NULL
// where the text has another form.
static const char *split_gguf(const char *text, ts_text *model, ts_error *err)
{
    static const char ending[] = ".gguf";
    const char *slash = strrchr(text, '/');
    const size_t len = strlen(text), tail = sizeof ending - 1;
    if (slash == NULL || len < tail || strcmp(text + len - tail, ending) != 0 ||
        !is_plain_file_name(slash + 1) ||
        ts_text_append(model, text, (size_t)(slash - text), err) != TS_OK) {
        return NULL;
    }
    return ts_hub_is_name(model->bytes) ? slash + 1 : NULL;
}

// Whether it can be a branch, tag or commit. It becomes a path below refs/ and a part of a URL.
static bool is_revision(const char *text)
{
    char copy[MAX_REVISION_BYTES + 1];
    size_t len = strlen(text);
    if (len == 0 || len > MAX_REVISION_BYTES || text[0] == '/' || text[len - 1] == '/' ||
        strstr(text, "//") != NULL) {
        return false;
    }
    memcpy(copy, text, len + 1);
    char *rest = NULL;
    for (char *part = strtok_r(copy, "/", &rest); part != NULL; part = strtok_r(NULL, "/", &rest)) {
        if (!is_plain_file_name(part)) {
            return false;
        }
    }
    return true;
}

// ---- Shards

// The distinct files that the index's weight_map names. *names is an array that the caller frees;
// it points into *index, which the caller deletes.
static ts_status read_shards(const ts_hub *hub, cJSON **index, const char ***names, size_t *count,
                             ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    size_t capacity = 0;
    TS_TRY(ts_hub_path(hub, &path, err, "snapshots/%s/%s", hub->commit, TS_HF_WEIGHTS_INDEX));
    TS_TRY(ts_json_parse_file(path.bytes, index, err));
    const cJSON *map = ts_json_get(*index, "weight_map");
    if (!cJSON_IsObject(map) || map->child == NULL) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'weight_map': expected an object with files' names",
                TS_HF_WEIGHTS_INDEX);
    }
    for (const cJSON *entry = map->child; entry != NULL; entry = entry->next) {
        if (!cJSON_IsString(entry) || !is_plain_file_name(entry->valuestring)) {
            TS_FAIL(TS_ERR_FORMAT,
                    "%s: names a shard that is no plain file name; it will not be fetched",
                    TS_HF_WEIGHTS_INDEX);
        }
        size_t i = *count; // search backwards: the tensor before is mostly in the same file
        while (i > 0 && strcmp((*names)[i - 1], entry->valuestring) != 0) {
            i--;
        }
        if (i > 0) {
            continue;
        }
        if (*count == MAX_SHARDS) {
            TS_FAIL(TS_ERR_FORMAT, "%s: names more than %d shards", TS_HF_WEIGHTS_INDEX,
                    MAX_SHARDS);
        }
        TS_TRY(ts_grow(names, &capacity, *count + 1, sizeof **names, err));
        (*names)[(*count)++] = entry->valuestring;
    }
out:
    ts_text_free(&path);
    return status;
}

// ---- What the cache has

static ts_status note(ts_text *missing, const char *file, ts_error *err)
{
    return ts_text_format(missing, err, "%s%s", missing->len > 0 ? ", " : "", file);
}

static ts_status note_missing_weights(const ts_hub *hub, ts_text *missing, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *index = NULL;
    const char **names = NULL;
    size_t count = 0;
    if (hub->params->no_weights || ts_hub_has(hub, TS_HF_WEIGHTS)) {
        return TS_OK;
    }
    if (!ts_hub_has(hub, TS_HF_WEIGHTS_INDEX)) {
        return note(missing, TS_HF_WEIGHTS, err);
    }
    TS_TRY(read_shards(hub, &index, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (!ts_hub_has(hub, names[i])) {
            TS_TRY(note(missing, names[i], err));
        }
    }
out:
    free(names);
    cJSON_Delete(index);
    return status;
}

// Of a model in pieces the first must be named.
static ts_status check_piece(const ts_hub *hub, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t number, count;
    ts_text first = {0};
    if (!ts_gguf_split_parse(hub->gguf, &number, &count)) {
        goto out;
    }
    if (count > MAX_SHARDS) {
        TS_FAIL(TS_ERR_ARGUMENT, "%s/%s: of more than %d pieces", hub->model, hub->gguf,
                MAX_SHARDS);
    }
    if (number > 1) {
        TS_TRY(ts_gguf_split_path(hub->gguf, 1, &first, err));
        TS_FAIL(TS_ERR_ARGUMENT, "%s/%s: piece %u of %u of a split model; give the first, %s",
                hub->model, hub->gguf, number, count, first.bytes);
    }
out:
    ts_text_free(&first);
    return status;
}

// Calls `each` for the file that is the model, or for all its pieces.
static ts_status for_gguf(ts_hub *hub,
                          ts_status (*each)(ts_hub *, const char *, void *, ts_error *), void *user,
                          ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t number, count;
    ts_text name = {0};
    if (!ts_gguf_split_parse(hub->gguf, &number, &count)) {
        return each(hub, hub->gguf, user, err);
    }
    for (number = 1; number <= count; number++) {
        TS_TRY(ts_gguf_split_path(hub->gguf, number, &name, err));
        TS_TRY(each(hub, name.bytes, user, err));
    }
out:
    ts_text_free(&name);
    return status;
}

static ts_status note_gguf(ts_hub *hub, const char *file, void *missing, ts_error *err)
{
    return ts_hub_has(hub, file) ? TS_OK : note(missing, file, err);
}

// Appends the names of the files that the snapshot hub->commit lacks. With `all`, also those of
// optional files for which the cache does not record that the model has none.
static ts_status note_missing(ts_hub *hub, bool all, ts_text *missing, ts_error *err)
{
    ts_status status = TS_OK;
    if (hub->gguf != NULL) {
        return for_gguf(hub, note_gguf, missing, err);
    }
    bool tokenizer = ts_hub_has(hub, "tokenizer.json") || ts_hub_has(hub, "tokenizer.model");
    for (size_t i = 0; i < TS_HF_FILE_COUNT; i++) {
        bool there = ts_hub_has(hub, ts_hf_file_names[i]);
        bool needed = i == TS_HF_CONFIG || (all && !ts_hub_is_absent(hub, ts_hf_file_names[i]));
        if (!there && needed) {
            TS_TRY(note(missing, ts_hf_file_names[i], err));
        }
    }
    if (!tokenizer && !all) {
        TS_TRY(note(missing, "tokenizer.json", err));
    }
    TS_TRY(note_missing_weights(hub, missing, err));
out:
    return status;
}

// Whether the cached snapshot can be used without the network.
static bool is_complete(ts_hub *hub, bool all)
{
    ts_text missing = {0};
    bool complete = hub->commit[0] != '\0' && note_missing(hub, all, &missing, NULL) == TS_OK &&
                    missing.len == 0;
    ts_text_free(&missing);
    return complete;
}

// ---- Fetching

static ts_status hash_file(const ts_hub *hub, const char *file, const ts_hub_metadata *about,
                           const char *path, char out[TS_DIGEST_TEXT_BYTES], ts_error *err)
{
    ts_status status = TS_OK;
    ts_digest digest;
    ts_hub_progress progress = {file, 0, about->size, true};
    char *buffer = NULL;
    int opened = -1;
    size_t got = 0;
    TS_TRY(ts_file_open(path, TS_OS_READ, &opened, NULL, err));
    TS_TRY(ts_alloc(HASH_BUFFER_BYTES, 1, &buffer, err));
    if (ts_hub_is_hex(about->hash, 64)) {
        ts_digest_begin_sha256(&digest);
    } else {
        ts_digest_begin_git_blob(&digest, about->size);
    }
    do {
        int reason = ts_os_read(opened, buffer, HASH_BUFFER_BYTES, &got);
        if (reason != 0) {
            TS_FAIL(TS_ERR_IO, "%s: cannot read: %s", path, strerror(reason));
        }
        ts_digest_add(&digest, buffer, got);
        progress.done += got;
        if (got > 0 && hub->params->progress != NULL) {
            hub->params->progress(hub->params->user, &progress);
        }
    } while (got > 0);
    ts_digest_end(&digest, out);
out:
    free(buffer);
    if (opened >= 0) {
        ts_os_close(opened);
    }
    return status;
}

// Downloads to BLOB.incomplete, checks the hash, then renames it to BLOB.
static ts_status fetch_blob(ts_hub *hub, const char *file, ts_hub_metadata *about, const char *blob,
                            ts_error *err)
{
    ts_status status = TS_OK;
    ts_text partial = {0};
    ts_os_info info;
    char hash[TS_DIGEST_TEXT_BYTES];
    TS_TRY(ts_text_format(&partial, err, "%s.incomplete", blob));
    uint64_t here = ts_os_stat(partial.bytes, &info) == 0 ? info.bytes : 0;
    TS_TRY(ts_hub_check_space(hub->folder.bytes, about->size - ts_min_u64(here, about->size), err));
    TS_TRY(ts_hub_fetch(hub, file, about, partial.bytes, err));
    TS_TRY(hash_file(hub, file, about, partial.bytes, hash, err));
    if (strcmp(hash, about->hash) != 0) {
        ts_os_delete(partial.bytes); // its content is wrong, so the download must not be continued
        TS_FAIL(TS_ERR_FORMAT,
                "what came is damaged and was deleted: its hash is %s, the server announced %s",
                hash, about->hash);
    }
    int reason = ts_os_rename(partial.bytes, blob);
    if (reason != 0) {
        TS_FAIL(TS_ERR_IO, "%s: cannot create: %s", blob, strerror(reason));
    }
out:
    ts_text_free(&partial);
    return status;
}

// Links the file to its blob, which is downloaded first if it is missing.
static ts_status store(ts_hub *hub, const char *file, ts_hub_metadata *about, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text blob = {0};
    ts_os_info info;
    int lock = -1;
    TS_TRY(ts_hub_path(hub, &blob, err, "blobs"));
    TS_TRY(ts_folder_make(blob.bytes, err));
    TS_TRY(ts_hub_path(hub, &blob, err, "blobs/%s", about->hash));
    TS_TRY(ts_hub_lock(hub, about->hash, &lock, err));
    if (ts_os_stat(blob.bytes, &info) != 0 || info.kind != TS_OS_FILE ||
        info.bytes != about->size) {
        TS_TRY(fetch_blob(hub, file, about, blob.bytes, err));
    }
    TS_TRY(ts_hub_link(hub, file, about->hash, err));
out:
    ts_hub_unlock(lock);
    ts_text_free(&blob);
    return status;
}

// Downloads the file unless the snapshot has it. *found (may be NULL): whether the model has it.
static ts_status fetch(ts_hub *hub, const char *file, bool weights, bool *found, ts_error *err)
{
    ts_status status = TS_OK;
    ts_hub_metadata about = {0};
    bool first = hub->commit[0] == '\0', there = !first && ts_hub_has(hub, file);
    if (!there && (first || !ts_hub_is_absent(hub, file))) {
        TS_TRY(ts_hub_read_metadata(hub, file, &about, err));
        there = about.found;
        if (!there && found != NULL) {
            TS_TRY(ts_hub_mark_absent(hub, file, err));
        }
    }
    if (found != NULL) {
        *found = there;
    } else if (!there) {
        TS_FAIL(TS_ERR_ARGUMENT, first ? "no such model, or not one that has this file"
                                       : "the model does not have this file");
    }
    if (!about.found) {
        goto out;
    }
    if (first) { // from here on every file is read from this commit, even if the branch moves
        memcpy(hub->commit, about.commit, sizeof hub->commit);
        TS_TRY(ts_hub_write_ref(hub, err));
    }
    if (!weights && about.size > MAX_SMALL_BYTES) {
        TS_FAIL(TS_ERR_FORMAT, "expected at most %d bytes of such a file, found %llu",
                MAX_SMALL_BYTES, (unsigned long long)about.size);
    }
    TS_TRY(store(hub, file, &about, err));
out:
    ts_text_free(&about.location);
    if (status != TS_OK) {
        ts_error_context(err, "%s: %s", hub->model, file);
    }
    return status;
}

static ts_status fetch_weights(ts_hub *hub, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *index = NULL;
    const char **names = NULL;
    size_t count = 0;
    bool found = false;
    TS_TRY(fetch(hub, TS_HF_WEIGHTS, true, &found, err));
    if (found) {
        goto out;
    }
    TS_TRY(fetch(hub, TS_HF_WEIGHTS_INDEX, false, &found, err));
    if (!found) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "%s: has neither %s nor %s; other formats are not read",
                hub->model, TS_HF_WEIGHTS, TS_HF_WEIGHTS_INDEX);
    }
    if ((status = read_shards(hub, &index, &names, &count, err)) != TS_OK) {
        ts_error_context(err, "%s", hub->model);
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        TS_TRY(fetch(hub, names[i], true, NULL, err));
    }
out:
    free(names);
    cJSON_Delete(index);
    return status;
}

static ts_status fetch_gguf(ts_hub *hub, const char *file, void *unused, ts_error *err)
{
    (void)unused;
    return fetch(hub, file, true, NULL, err);
}

// Weights are downloaded last: a snapshot that has them has all the rest.
static ts_status download(ts_hub *hub, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_hub_connect(hub, err));
    // A branch may have moved since the last run. A commit never changes.
    if (!ts_hub_is_hex(hub->revision, TS_HUB_COMMIT_DIGITS)) {
        hub->commit[0] = '\0';
    }
    if (hub->gguf != NULL) {
        TS_TRY(for_gguf(hub, fetch_gguf, NULL, err));
        goto out;
    }
    for (size_t i = 0; i < TS_HF_FILE_COUNT; i++) {
        bool found;
        TS_TRY(fetch(hub, ts_hf_file_names[i], false, i == TS_HF_CONFIG ? NULL : &found, err));
    }
    if (!ts_hub_has(hub, "tokenizer.json") && !ts_hub_has(hub, "tokenizer.model")) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "%s: has neither tokenizer.json nor tokenizer.model",
                hub->model);
    }
    if (!hub->params->no_weights) {
        TS_TRY(fetch_weights(hub, err));
    }
out:
    ts_hub_disconnect(hub);
    return status;
}

// ---- Where the model comes from

static ts_status refuse_offline(ts_hub *hub, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text missing = {0};
    if (hub->commit[0] == '\0') {
        TS_FAIL(TS_ERR_IO, "%s: offline, and revision '%s' is not in %s", hub->model, hub->revision,
                hub->folder.bytes);
    }
    TS_TRY(note_missing(hub, false, &missing, err));
    TS_FAIL(TS_ERR_IO, "%s: offline, and %s/snapshots/%s lacks %s", hub->model, hub->folder.bytes,
            hub->commit, missing.bytes);
out:
    ts_text_free(&missing);
    return status;
}

// Sets hub->commit to a commit whose snapshot is complete, downloading it if needed.
static ts_status settle(ts_hub *hub, ts_error *err)
{
    char cached[sizeof hub->commit] = "";
    if (ts_hub_cached_commit(hub, cached)) {
        memcpy(hub->commit, cached, sizeof hub->commit);
    }
    bool offline = hub->params->offline || ts_hub_environment_offline();
    if (is_complete(hub, !offline)) {
        return TS_OK;
    }
    if (offline) {
        return refuse_offline(hub, err);
    }
    ts_status status = download(hub, err);
    if (status == TS_ERR_IO && !hub->answered) {
        memcpy(hub->commit, cached, sizeof hub->commit);
        if (is_complete(hub, false)) {
            ts_log(TS_LOG_WARN, "%s; what is in the cache is used", err->message);
            *err = (ts_error){0};
            status = TS_OK;
        }
    }
    return status;
}

ts_status ts_hub_resolve(const char *model, const ts_hub_params *params, ts_text *folder,
                         ts_error *err)
{
    static const ts_hub_params defaults = {0};
    ts_status status = TS_OK;
    ts_hub hub = {.params = params != NULL ? params : &defaults, .model = model};
    ts_text name = {0};
    bool found;
    hub.revision = hub.params->revision != NULL ? hub.params->revision : "main";
    ts_text_clear(folder);
    TS_TRY(ts_file_find(model, &found, err));
    if (ts_folder_exists(model) || ts_gguf_is_at(model)) {
        return ts_text_format(folder, err, "%s", model);
    }
    if (found) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "%s: expected a model's folder or GGUF file, not another file", model);
    }
    if (strstr(model, "://") != NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "%s: expected a model's name, ORG/NAME, not its address", model);
    }
    hub.gguf = split_gguf(model, &name, err);
    hub.model = hub.gguf != NULL ? name.bytes : model;
    if (!ts_hub_is_name(hub.model)) {
        TS_FAIL(TS_ERR_IO,
                "%s: no such folder, and no name of a model to download (ORG/NAME, or "
                "ORG/NAME/FILE.gguf)",
                model);
    }
    if (hub.gguf != NULL) {
        TS_TRY(check_piece(&hub, err));
    }
    if (!is_revision(hub.revision)) {
        TS_FAIL(TS_ERR_ARGUMENT, "revision '%s': not a branch, tag or commit", hub.revision);
    }
    TS_TRY(ts_hub_read_environment(&hub, err));
    TS_TRY(settle(&hub, err));
    TS_TRY(ts_hub_path(&hub, folder, err, "snapshots/%s%s%s", hub.commit,
                       hub.gguf != NULL ? "/" : "", hub.gguf != NULL ? hub.gguf : ""));
out:
    ts_text_free(&name);
    ts_text_free(&hub.endpoint);
    ts_text_free(&hub.token);
    ts_text_free(&hub.cache);
    ts_text_free(&hub.folder);
    return status;
}
