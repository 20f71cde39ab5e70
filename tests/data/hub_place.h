// A hub on loopback with a small model, and a cache that only this test uses.
#ifndef TESTS_DATA_HUB_PLACE_H
#define TESTS_DATA_HUB_PLACE_H

#include "data/hub.h"
#include "data_test.h"
#include "hub_server.h"

#include <errno.h>
#include <sys/stat.h>

#define WEIGHTS "model.safetensors"
#define INDEX "model.safetensors.index.json"

enum { WEIGHTS_BYTES = 10000 };

typedef struct hub_place {
    hub_server server;
    char *cache;
    char weights[WEIGHTS_BYTES + 1];
    ts_hub_params params;
    ts_text folder;
    ts_error err;
} hub_place;

// Between this and hub_server_start the test may change how files behave.
static inline void place_open(hub_place *p)
{
    static const char *const unset[] = {"HF_HOME", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"};
    uint64_t random = 1;
    char endpoint[64];
    *p = (hub_place){.params = {.backoff_s = 0.001, .stall_s = 1}};
    hub_server_open(&p->server);
    p->cache = make_folder();
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d/", p->server.ports[0]);
    for (size_t i = 0; i < sizeof unset / sizeof *unset; i++) {
        unsetenv(unset[i]);
    }
    setenv("HF_ENDPOINT", endpoint, 1);
    setenv("HF_HUB_CACHE", p->cache, 1);
    // So that the token of the person who runs the tests is not used.
    setenv("HF_HOME", p->cache, 1);
    setenv("no_proxy", "*", 1);
    for (size_t i = 0; i < WEIGHTS_BYTES; i++) {
        p->weights[i] = (char)('!' + next_random(&random) % 90);
    }
    hub_server_add(&p->server, "config.json", "{\"of\": \"config\"}");
    hub_server_add(&p->server, "generation_config.json", "{}");
    hub_server_add(&p->server, "tokenizer.json", "{\"of\": \"tokenizer\"}");
    hub_server_add(&p->server, "tokenizer_config.json", "{\"of\": \"tokenizer_config\"}");
    hub_server_add(&p->server, WEIGHTS, p->weights)->large = true;
}

static inline void place_close(hub_place *p)
{
    hub_server_close(&p->server);
    remove_folder(p->cache);
    ts_text_free(&p->folder);
}

static inline ts_status place_resolve(hub_place *p)
{
    p->err = (ts_error){0};
    return ts_hub_resolve("org/model", &p->params, &p->folder, &p->err);
}

#define ASSERT_RESOLVES(p) cr_assert_eq(place_resolve(p), TS_OK, "%s", (p)->err.message)
#define ASSERT_FAILS(p, code, says)                                                                \
    do {                                                                                           \
        cr_assert_eq(place_resolve(p), (code), "%s", (p)->err.message);                            \
        cr_assert_not_null(strstr((p)->err.message, (says)), "%s", (p)->err.message);              \
    } while (0)

static inline const char *in_cache(const hub_place *p, const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/models--org--model/%s", p->cache, name);
    return path;
}

static inline const char *blob_path(hub_place *p, const char *name, const char *suffix)
{
    char hash[TS_DIGEST_TEXT_BYTES], path[128];
    hub_hash(hub_server_find(&p->server, name), hash);
    snprintf(path, sizeof path, "blobs/%s%s", hash, suffix);
    return in_cache(p, path);
}

// The size of the file; -1 if it does not exist.
static inline long long file_size(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 ? (long long)info.st_size : -1;
}

static inline void check_file(const char *path, const char *content)
{
    ts_text text = {0};
    ts_error err = {0};
    cr_assert_eq(ts_file_read(path, 1 << 20, &text, &err), TS_OK, "%s", err.message);
    cr_assert_str_eq(text.bytes, content);
    ts_text_free(&text);
}

// Asserts that all files of the server are in the snapshot.
static inline void check_snapshot(hub_place *p)
{
    cr_assert_str_eq(p->folder.bytes, in_cache(p, "snapshots/" HUB_COMMIT));
    for (size_t i = 0; i < p->server.file_count; i++) {
        char path[512], target[512] = "", expected[512], hash[TS_DIGEST_TEXT_BYTES];
        const hub_file *file = &p->server.files[i];
        snprintf(path, sizeof path, "%s/%s", p->folder.bytes, file->name);
        check_file(path, file->bytes);
        hub_hash(file, hash);
        snprintf(expected, sizeof expected, "../../blobs/%s", hash);
        cr_assert_gt(readlink(path, target, sizeof target - 1), 0);
        cr_assert_str_eq(target, expected);
    }
}

// How many bytes of the file's content the server sent, over all GETs.
static inline size_t bytes_sent(const hub_place *p, const char *name)
{
    size_t sum = 0;
    for (unsigned i = 0; i < p->server.shared->count; i++) {
        const hub_asked *asked = &p->server.shared->log[i];
        const char *end = strchrnul(asked->path, '?');
        size_t len = strlen(name), path_len = (size_t)(end - asked->path);
        if (path_len > len && strncmp(end - len, name, len) == 0 && end[-(long)len - 1] == '/') {
            sum += asked->sent;
        }
    }
    return sum;
}

#endif
