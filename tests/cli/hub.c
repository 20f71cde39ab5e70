// Models by name: from a download from a hub on loopback to an adapter that names its base model.
#include "data/hub_server.h"
#include "program.h"

#define BASE PROJECT_FOLDER "/assets/base"
#define FEW_STEPS                                                                                  \
    "--data", p.data, "--output-dir", p.out, "--device", "0", "--max-steps", "1", "--rank", "1"

struct place {
    hub_server server;
    char folder[64], cache[96], data[96], out[96];
    ts_map weights, tokenizer, config, tokenizer_config;
};

static void serve(struct place *p, const char *name, ts_map *map)
{
    char path[512];
    ts_error err = {0};
    snprintf(path, sizeof path, BASE "/%s", name);
    cr_assert_eq(ts_map_open(path, map, &err), TS_OK, "%s", err.message);
    hub_file *file = hub_server_add(&p->server, name, "");
    file->bytes = (const char *)map->bytes;
    file->len = map->len;
    file->large = map->len > 1 << 20;
}

static void place_open(struct place *p)
{
    char endpoint[64];
    hub_server_open(&p->server);
    snprintf(p->folder, sizeof p->folder, "%s", test_folder());
    snprintf(p->cache, sizeof p->cache, "%s/cache", p->folder);
    snprintf(p->data, sizeof p->data, "%s/data.jsonl", p->folder);
    snprintf(p->out, sizeof p->out, "%s/out", p->folder);
    test_write(p->folder, "data.jsonl",
               "{\"prompt\": \"Hello!\", \"completion\": \"Good day!\"}\n");
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%d", p->server.ports[0]);
    setenv("HF_ENDPOINT", endpoint, 1);
    setenv("HF_HOME", p->cache, 1);
    setenv("no_proxy", "*", 1);
    unsetenv("HF_HUB_CACHE");
    unsetenv("HF_HUB_OFFLINE");
    unsetenv("HF_TOKEN");
    unsetenv("HF_TOKEN_PATH");
    serve(p, "config.json", &p->config);
    serve(p, "tokenizer.json", &p->tokenizer);
    serve(p, "tokenizer_config.json", &p->tokenizer_config);
    serve(p, "model.safetensors", &p->weights);
}

static void place_close(struct place *p)
{
    hub_server_close(&p->server);
    test_folder_remove(p->folder);
    ts_map_close(&p->weights);
    ts_map_close(&p->tokenizer);
    ts_map_close(&p->config);
    ts_map_close(&p->tokenizer_config);
}

static void assert_says(const program_result *result, int code, const char *text)
{
    cr_assert_eq(result->code, code, "%s", result->out);
    cr_assert_not_null(strstr(result->out, text), "%s", result->out);
}

Test(hub, trains_what_it_downloaded)
{
    struct place p = {0};
    program_result result;
    place_open(&p);
    hub_server_start(&p.server);
    RUN(&result, "train", "--model", "org/model", FEW_STEPS);
    assert_says(&result, 0, "model.safetensors 6.6/6.6 MiB");
    ts_text config = test_read(p.out, "adapter_config.json");
    cr_assert_not_null(strstr(config.bytes, "\"base_model_name_or_path\": \"org/model\""), "%s",
                       config.bytes);
    ts_text_free(&config);
    unsigned count = p.server.shared->count;
    RUN(&result, "train", "--model", "org/model", FEW_STEPS, "--overwrite-output-dir");
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_null(strstr(result.out, "MiB/s"), "%s", result.out);
    cr_assert_eq(p.server.shared->count, count, "a second run used the network");
    place_close(&p);
}

// The disk is full: the part that was downloaded is kept, and the next run continues from there.
Test(hub, goes_on_after_a_full_disk)
{
    struct place p = {0};
    program_result result;
    place_open(&p);
    hub_server_start(&p.server);
    program_file_limit = 3 << 20;
    RUN(&result, "train", "--model", "org/model", FEW_STEPS, "--dry-run");
    assert_says(&result, TS_ERR_IO,
                "org/model: model.safetensors: cannot write what came of the file");
    cr_assert_not_null(strstr(result.out, "3145728 of "), "%s", result.out);
    program_file_limit = 0;
    RUN(&result, "train", "--model", "org/model", FEW_STEPS, "--dry-run");
    cr_assert_eq(result.code, 0, "%s", result.out);
    const hub_asked *last = &p.server.shared->log[p.server.shared->count - 1];
    cr_assert_eq(last->from, 3 << 20);
    place_close(&p);
}

Test(hub, revisions)
{
    struct place p = {0};
    program_result result;
    place_open(&p);
    hub_server_start(&p.server);
    RUN(&result, "tokenize", "--model", "org/model", "--revision", "none");
    assert_says(&result, TS_ERR_ARGUMENT, "the model has no revision 'none'");
    RUN(&result, "tokenize", "--model", BASE, "--revision", "main");
    assert_says(&result, TS_ERR_ARGUMENT, "has no revisions");
    setenv("HF_HUB_OFFLINE", "1", 1);
    RUN(&result, "eval", "--model", "org/model");
    assert_says(&result, TS_ERR_IO, "offline, and revision 'main' is not in");
    place_close(&p);
}
