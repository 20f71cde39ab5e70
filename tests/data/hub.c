// Downloads that succeed, some of them after failures: names, layout, resuming, sharing, offline.
#include "data/hub.h"

#include "hub_place.h"

#include <sys/wait.h>

Test(hub, names)
{
    static const char *const good[] = {"a/b", "TinyLlama/TinyLlama-1.1B-Chat-v1.0", "o_r.g/n--"};
    static const char *const bad[] = {"",       "a",     "a/",        "/b",     "a/b/c", "./b",
                                      "../b",   "a/..",  "a/.b",      "a/b.",   "a/-b",  "a--b/c",
                                      "a/b..c", "a/b c", "a/b\nc",    "a\\b/c", "a/b?c", "a/b%2e",
                                      "a/b#c",  "~/b",   "a/\xc3\xa9"};
    for (size_t i = 0; i < 2; i++) {
        cr_expect(ts_hub_is_name(good[i]), "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_not(ts_hub_is_name(bad[i]), "%s", bad[i]);
    }
}

Test(hub, a_folder_is_itself)
{
    char *folder = make_folder(), path[256];
    ts_text out = {0};
    ts_error err = {0};
    cr_assert_eq(ts_hub_resolve(folder, NULL, &out, &err), TS_OK, "%s", err.message);
    cr_expect_str_eq(out.bytes, folder);
    write_text(folder, "file", "");
    snprintf(path, sizeof path, "%s/file", folder);
    cr_expect_eq(ts_hub_resolve(path, NULL, &out, &err), TS_ERR_ARGUMENT);
    snprintf(path, sizeof path, "%s/none", folder);
    cr_expect_eq(ts_hub_resolve(path, NULL, &out, &err), TS_ERR_IO);
    ts_text_free(&out);
    remove_folder(folder);
}

// The layout is that of Hugging Face. A second run requests nothing and needs no server.
Test(hub, downloads_once)
{
    hub_place p;
    place_open(&p);
    hub_server_start(&p.server);
    ASSERT_RESOLVES(&p);
    check_snapshot(&p);
    check_file(in_cache(&p, "refs/main"), HUB_COMMIT);
    cr_expect_eq(file_size(in_cache(&p, ".no_exist/" HUB_COMMIT "/chat_template.jinja")), 0);
    cr_expect_eq(file_size(blob_path(&p, WEIGHTS, ".incomplete")), -1);
    unsigned count = p.server.shared->count;
    ASSERT_RESOLVES(&p);
    cr_expect_eq(p.server.shared->count, count, "a second run used the network");
    hub_server_stop(&p.server);
    ASSERT_RESOLVES(&p);
    check_snapshot(&p);
    place_close(&p);
}

// ORG/NAME/FILE.gguf: that file and no other.
Test(hub, one_gguf_file)
{
    hub_place p;
    place_open(&p);
    hub_server_add(&p.server, "m-Q8_0.gguf", "GGUF and more")->large = true;
    hub_server_start(&p.server);
    for (int round = 0; round < 2; round++) { // the second time from the cache
        cr_assert_eq(ts_hub_resolve("org/model/m-Q8_0.gguf", &p.params, &p.folder, &p.err), TS_OK,
                     "%s", p.err.message);
        cr_expect_not_null(strstr(p.folder.bytes, "/m-Q8_0.gguf"), "%s", p.folder.bytes);
        ts_text text = {0};
        cr_assert_eq(ts_file_read(p.folder.bytes, 100, &text, &p.err), TS_OK);
        cr_expect_str_eq(text.bytes, "GGUF and more");
        ts_text_free(&text);
        *strrchr(p.folder.bytes, '/') = '\0';
        ts_text config = {0};
        cr_assert_eq(ts_path_join(p.folder.bytes, "config.json", &config, &p.err), TS_OK);
        cr_expect_not(ts_file_exists(config.bytes));
        ts_text_free(&config);
        p.params.offline = true;
    }
    cr_expect_eq(ts_hub_resolve("org/model/other.gguf", &p.params, &p.folder, &p.err), TS_ERR_IO);
    cr_expect_not_null(strstr(p.err.message, "lacks other.gguf"), "%s", p.err.message);
    p.params.offline = false;
    p.err = (ts_error){0};
    cr_expect_eq(ts_hub_resolve("org/model/other.gguf", &p.params, &p.folder, &p.err),
                 TS_ERR_ARGUMENT);
    static const char *const names[] = {"org/model/../m.gguf", "org/model/.gguf", "a/b/c/m.gguf",
                                        "org/m.gguf/x"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        p.err = (ts_error){0};
        cr_expect_eq(ts_hub_resolve(names[i], &p.params, &p.folder, &p.err), TS_ERR_IO, "%s: %s",
                     names[i], p.err.message);
    }
    place_close(&p);
}

// The first piece of a split GGUF model stands for all of them.
Test(hub, pieces_of_a_gguf_file)
{
    hub_place p;
    place_open(&p);
    hub_server_add(&p.server, "m-00001-of-00002.gguf", "GGUF one")->large = true;
    hub_server_add(&p.server, "m-00002-of-00002.gguf", "GGUF two")->large = true;
    hub_server_start(&p.server);
    for (int round = 0; round < 2; round++) { // the second time from the cache
        cr_assert_eq(
            ts_hub_resolve("org/model/m-00001-of-00002.gguf", &p.params, &p.folder, &p.err), TS_OK,
            "%s", p.err.message);
        cr_expect_not_null(strstr(p.folder.bytes, "/m-00001-of-00002.gguf"), "%s", p.folder.bytes);
        check_file(in_cache(&p, "snapshots/" HUB_COMMIT "/m-00002-of-00002.gguf"), "GGUF two");
        p.params.offline = true;
    }
    cr_assert_eq(remove(in_cache(&p, "snapshots/" HUB_COMMIT "/m-00002-of-00002.gguf")), 0);
    cr_expect_eq(ts_hub_resolve("org/model/m-00001-of-00002.gguf", &p.params, &p.folder, &p.err),
                 TS_ERR_IO);
    cr_expect_not_null(strstr(p.err.message, "lacks m-00002-of-00002.gguf"), "%s", p.err.message);
    p.err = (ts_error){0};
    cr_expect_eq(ts_hub_resolve("org/model/m-00002-of-00002.gguf", &p.params, &p.folder, &p.err),
                 TS_ERR_ARGUMENT);
    cr_expect_not_null(strstr(p.err.message, "give the first, m-00001-of-00002.gguf"), "%s",
                       p.err.message);
    place_close(&p);
}

Test(hub, shards)
{
    hub_place p;
    place_open(&p);
    hub_file *weights = hub_server_find(&p.server, WEIGHTS);
    weights->name = "model-00001-of-00002.safetensors";
    hub_server_add(&p.server, "model-00002-of-00002.safetensors", "the second")->large = true;
    hub_server_add(&p.server, INDEX,
                   "{\"metadata\": {}, \"weight_map\": {"
                   "\"a\": \"model-00001-of-00002.safetensors\","
                   "\"b\": \"model-00002-of-00002.safetensors\","
                   "\"c\": \"model-00001-of-00002.safetensors\"}}");
    hub_server_start(&p.server);
    ASSERT_RESOLVES(&p);
    check_snapshot(&p);
    cr_expect_eq(hub_server_count(&p.server, "GET", weights->name), 1);
    unsigned count = p.server.shared->count;
    ASSERT_RESOLVES(&p);
    cr_expect_eq(p.server.shared->count, count);
    cr_assert_eq(unlink(blob_path(&p, "model-00002-of-00002.safetensors", "")), 0);
    ASSERT_RESOLVES(&p); // only what is missing is downloaded again
    check_snapshot(&p);
    cr_expect_eq(hub_server_count(&p.server, "GET", weights->name), 1);
    place_close(&p);
}

// A SentencePiece tokenizer is enough where there is no tokenizer.json. An empty file counts as a
// file.
Test(hub, optional_files)
{
    hub_place p;
    place_open(&p);
    hub_server_find(&p.server, "tokenizer.json")->name = "tokenizer.model";
    hub_server_add(&p.server, "special_tokens_map.json", "{}");
    hub_server_add(&p.server, "added_tokens.json", "{\"<pad>\": 9}");
    hub_server_add(&p.server, "chat_template.json", "{}");
    hub_server_add(&p.server, "chat_template.jinja", "");
    hub_server_start(&p.server);
    ASSERT_RESOLVES(&p);
    check_snapshot(&p);
    place_close(&p);
}

Test(hub, small_files_alone)
{
    hub_place p;
    place_open(&p);
    hub_server_start(&p.server);
    p.params.no_weights = true;
    ASSERT_RESOLVES(&p);
    cr_expect_eq(hub_server_count(&p.server, "HEAD", WEIGHTS), 0);
    unsigned count = p.server.shared->count;
    ASSERT_RESOLVES(&p);
    cr_expect_eq(p.server.shared->count, count);
    p.params.no_weights = false;
    ASSERT_RESOLVES(&p);
    check_snapshot(&p);
    place_close(&p);
}

// ---- Resuming

Test(hub, goes_on_after_cuts)
{
    hub_place p;
    place_open(&p);
    hub_file *weights = hub_server_find(&p.server, WEIGHTS);
    weights->cut = 3000;
    weights->cuts = 3;
    hub_server_start(&p.server);
    ASSERT_RESOLVES(&p);
    check_snapshot(&p);
    cr_expect_eq(hub_server_count(&p.server, "GET", WEIGHTS), 4);
    cr_expect_eq(bytes_sent(&p, WEIGHTS), WEIGHTS_BYTES, "something came twice");
    place_close(&p);
}

// Every connection is cut: the run gives up and says so, and the next run continues.
Test(hub, goes_on_in_the_next_run)
{
    hub_place p;
    place_open(&p);
    hub_file *weights = hub_server_find(&p.server, WEIGHTS);
    weights->cut = 1500;
    weights->cuts = 1000;
    hub_server_start(&p.server);
    ASSERT_FAILS(&p, TS_ERR_IO, "7500 of 10000 bytes are here and kept");
    cr_expect_not_null(strstr(p.err.message, "org/model: model.safetensors: "));
    cr_expect_null(strstr(p.err.message, "SECRET"));
    cr_expect_eq(file_size(blob_path(&p, WEIGHTS, ".incomplete")), 7500);
    ASSERT_RESOLVES(&p);
    check_snapshot(&p);
    cr_expect_eq(bytes_sent(&p, WEIGHTS), WEIGHTS_BYTES);
    place_close(&p);
}

// The server ignores ranges: the whole file is sent again, once.
Test(hub, starts_over_without_ranges)
{
    hub_place p;
    place_open(&p);
    hub_file *weights = hub_server_find(&p.server, WEIGHTS);
    weights->cut = 3000;
    weights->cuts = 1;
    weights->no_ranges = true;
    hub_server_start(&p.server);
    ASSERT_RESOLVES(&p);
    check_snapshot(&p);
    cr_expect_eq(bytes_sent(&p, WEIGHTS), 3000 + WEIGHTS_BYTES);
    place_close(&p);
}

Test(hub, silence_counts_as_a_cut)
{
    hub_place p;
    place_open(&p);
    hub_file *weights = hub_server_find(&p.server, WEIGHTS);
    weights->cut = 4000;
    weights->stalls = 1;
    hub_server_start(&p.server);
    ASSERT_RESOLVES(&p);
    check_snapshot(&p);
    cr_expect_eq(bytes_sent(&p, WEIGHTS), WEIGHTS_BYTES);
    place_close(&p);
}

// Files of an earlier run: a complete partial file, one that is too long, or a blob cut afterwards.
Test(hub, leftovers)
{
    hub_place p;
    place_open(&p);
    hub_server_start(&p.server);
    ASSERT_RESOLVES(&p);
    char blob[512], partial[512];
    snprintf(blob, sizeof blob, "%s", blob_path(&p, WEIGHTS, ""));
    snprintf(partial, sizeof partial, "%s", blob_path(&p, WEIGHTS, ".incomplete"));
    cr_assert_eq(rename(blob, partial), 0);
    ASSERT_RESOLVES(&p);
    cr_expect_eq(hub_server_count(&p.server, "GET", WEIGHTS), 1, "all of it was there");
    cr_assert_eq(rename(blob, partial), 0);
    cr_assert_eq(truncate(partial, WEIGHTS_BYTES + 1), 0);
    ASSERT_RESOLVES(&p);
    check_snapshot(&p);
    cr_assert_eq(truncate(blob, 10), 0);
    cr_assert_eq(unlink(in_cache(&p, "snapshots/" HUB_COMMIT "/" WEIGHTS)), 0);
    ASSERT_RESOLVES(&p);
    check_snapshot(&p);
    place_close(&p);
}

// The server refuses our range with 416: the partial file is not the beginning of its file. The
// whole file is downloaded instead.
Test(hub, a_part_that_the_server_does_not_have)
{
    hub_place p;
    place_open(&p);
    hub_file *weights = hub_server_find(&p.server, WEIGHTS);
    weights->failures = 1;
    weights->failure = 416;
    hub_server_start(&p.server);
    cr_assert_eq(ts_folder_make(in_cache(&p, "blobs"), &p.err), TS_OK, "%s", p.err.message);
    FILE *partial = fopen(blob_path(&p, WEIGHTS, ".incomplete"), "wb");
    cr_assert_not_null(partial);
    fputs("something else", partial);
    fclose(partial);
    ASSERT_RESOLVES(&p);
    check_snapshot(&p);
    cr_expect_eq(bytes_sent(&p, WEIGHTS), WEIGHTS_BYTES);
    place_close(&p);
}

// A signed location expires after a while. After one refusal a fresh one is requested; after two
// the download fails.
Test(hub, asks_again_when_the_location_expired)
{
    hub_place p;
    place_open(&p);
    hub_file *weights = hub_server_find(&p.server, WEIGHTS);
    weights->failures = 1;
    weights->failure = 403;
    hub_server_start(&p.server);
    ASSERT_RESOLVES(&p);
    check_snapshot(&p);
    cr_expect_eq(hub_server_count(&p.server, "HEAD", WEIGHTS), 2);
    cr_expect_eq(hub_server_count(&p.server, "GET", WEIGHTS), 2);
    place_close(&p);
    place_open(&p);
    weights = hub_server_find(&p.server, WEIGHTS);
    weights->failures = 1000;
    weights->failure = 403;
    hub_server_start(&p.server);
    ASSERT_FAILS(&p, TS_ERR_IO, "status 403");
    cr_expect_null(strstr(p.err.message, "SECRET"));
    cr_expect_eq(hub_server_count(&p.server, "HEAD", WEIGHTS), 2);
    cr_expect_eq(hub_server_count(&p.server, "GET", WEIGHTS), 2);
    place_close(&p);
}

Test(hub, waits_for_a_busy_server)
{
    hub_place p;
    place_open(&p);
    hub_server_find(&p.server, "config.json")->unavailable = 3;
    hub_file *weights = hub_server_find(&p.server, WEIGHTS);
    weights->failures = 3;
    weights->failure = 503;
    hub_server_start(&p.server);
    ASSERT_RESOLVES(&p);
    check_snapshot(&p);
    place_close(&p);
    place_open(&p);
    hub_server_find(&p.server, "config.json")->unavailable = 1000;
    hub_server_start(&p.server);
    ASSERT_FAILS(&p, TS_ERR_IO, "status 503");
    cr_expect_eq(p.server.shared->count, 5, "attempts have a bound");
    place_close(&p);
}

// ---- Other names

Test(hub, a_renamed_model)
{
    hub_place p;
    place_open(&p);
    hub_server_start(&p.server);
    cr_assert_eq(ts_hub_resolve("org/old", &p.params, &p.folder, &p.err), TS_OK, "%s",
                 p.err.message);
    cr_expect_not_null(strstr(p.folder.bytes, "models--org--old/snapshots/" HUB_COMMIT));
    char path[512];
    snprintf(path, sizeof path, "%s/" WEIGHTS, p.folder.bytes);
    check_file(path, p.weights);
    place_close(&p);
}

Test(hub, revisions)
{
    static const char *const bad[] = {"", "/a", "a/", "a//b", "../a", "a/../b", ".a", "a b", "a?b"};
    hub_place p;
    place_open(&p);
    hub_server_start(&p.server);
    p.params.revision = "refs/pr/1";
    ASSERT_RESOLVES(&p);
    check_snapshot(&p);
    check_file(in_cache(&p, "refs/refs/pr/1"), HUB_COMMIT);
    unsigned count = p.server.shared->count;
    p.params.revision = HUB_COMMIT;
    ASSERT_RESOLVES(&p);
    cr_expect_eq(p.server.shared->count, count, "a commit needs no look-up");
    p.params.revision = "none";
    ASSERT_FAILS(&p, TS_ERR_ARGUMENT, "no revision 'none'");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        p.params.revision = bad[i];
        ASSERT_FAILS(&p, TS_ERR_ARGUMENT, "not a branch, tag or commit");
    }
    place_close(&p);
}

// ---- Without a network

Test(hub, offline)
{
    hub_place p;
    place_open(&p);
    hub_server_start(&p.server);
    p.params.offline = true;
    ASSERT_FAILS(&p, TS_ERR_IO, "offline, and revision 'main' is not in ");
    p.params.offline = false;
    setenv("HF_HUB_OFFLINE", "1", 1);
    ASSERT_FAILS(&p, TS_ERR_IO, "offline, and revision 'main' is not in ");
    cr_expect_eq(p.server.shared->count, 0);
    unsetenv("HF_HUB_OFFLINE");
    ASSERT_RESOLVES(&p);
    unsigned count = p.server.shared->count;
    setenv("HF_HUB_OFFLINE", "TRUE", 1);
    ASSERT_RESOLVES(&p);
    check_snapshot(&p);
    cr_assert_eq(unlink(blob_path(&p, WEIGHTS, "")), 0);
    cr_assert_eq(unlink(blob_path(&p, "tokenizer.json", "")), 0);
    ASSERT_FAILS(&p, TS_ERR_IO, "lacks tokenizer.json, model.safetensors");
    cr_expect_eq(p.server.shared->count, count);
    place_close(&p);
}

// A cache that other programs filled may lack optional files, which we request once. Without a
// network that is no error as long as the required files are there.
Test(hub, a_network_that_is_gone)
{
    hub_place p;
    place_open(&p);
    hub_server_start(&p.server);
    ASSERT_RESOLVES(&p);
    cr_assert_eq(unlink(in_cache(&p, ".no_exist/" HUB_COMMIT "/chat_template.jinja")), 0);
    hub_server_close(&p.server);
    ASSERT_RESOLVES(&p);
    cr_expect_str_eq(p.folder.bytes, in_cache(&p, "snapshots/" HUB_COMMIT));
    cr_assert_eq(unlink(blob_path(&p, WEIGHTS, "")), 0);
    ASSERT_FAILS(&p, TS_ERR_IO, "127.0.0.1");
    remove_folder(p.cache);
    ts_text_free(&p.folder);
}

// ---- Several at once

Test(hub, two_processes_share_one_download)
{
    hub_place p;
    pid_t children[3];
    place_open(&p);
    hub_server_find(&p.server, WEIGHTS)->pause_ms = 300;
    hub_server_start(&p.server);
    for (size_t i = 0; i < 3; i++) {
        children[i] = fork();
        cr_assert_geq(children[i], 0);
        if (children[i] == 0) {
            _exit(place_resolve(&p));
        }
    }
    for (size_t i = 0; i < 3; i++) {
        int state = 0;
        cr_assert_eq(waitpid(children[i], &state, 0), children[i]);
        cr_assert(WIFEXITED(state) && WEXITSTATUS(state) == 0);
    }
    for (size_t i = 0; i < p.server.file_count; i++) {
        cr_expect_eq(hub_server_count(&p.server, "GET", p.server.files[i].name), 1, "%s came twice",
                     p.server.files[i].name);
    }
    ASSERT_RESOLVES(&p);
    check_snapshot(&p);
    place_close(&p);
}

struct seen {
    uint64_t last;
    bool checked, shrank;
};

static void see(void *user, const ts_hub_progress *progress)
{
    struct seen *seen = user;
    if (strcmp(progress->file, WEIGHTS) == 0) {
        cr_assert_eq(progress->total, WEIGHTS_BYTES);
        seen->shrank |= !progress->checking && progress->done < seen->last;
        seen->checked |= progress->checking;
        seen->last = progress->done;
    }
}

Test(hub, progress)
{
    hub_place p;
    struct seen seen = {0};
    place_open(&p);
    hub_server_find(&p.server, WEIGHTS)->cut = 3000;
    hub_server_find(&p.server, WEIGHTS)->cuts = 2;
    hub_server_start(&p.server);
    p.params.progress = see;
    p.params.user = &seen;
    ASSERT_RESOLVES(&p);
    cr_expect(seen.checked);
    cr_expect_not(seen.shrank);
    cr_expect_eq(seen.last, WEIGHTS_BYTES);
    place_close(&p);
}
