// Servers that send wrong or malicious replies, and secrets that must not leak.
#include "data/hub_request.h"

#include "base/memory.h"

#include "hub_place.h"

#define ONE_COMMIT "X-Repo-Commit: " HUB_COMMIT "\r\n"
#define ONE_HASH "ETag: \"0123456789abcdef0123456789abcdef01234567\"\r\n"
#define END "Connection: close\r\n\r\n"

// Only requested files may be in the cache; `allowed` is the number of blobs.
static void check_blobs(hub_place *p, unsigned allowed)
{
    char command[640], line[64] = "";
    snprintf(command, sizeof command, "ls -A %s 2>/dev/null | wc -l", in_cache(p, "blobs"));
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    cr_assert_not_null(fgets(line, sizeof line, pipe));
    pclose(pipe);
    cr_assert_eq(atoi(line), (int)allowed, "%s blobs", line);
}

// ---- Content

Test(hub_hostile, a_wrong_hash)
{
    for (int large = 0; large < 2; large++) {
        hub_place p;
        place_open(&p);
        const char *name = large ? WEIGHTS : "config.json";
        hub_file *file = hub_server_find(&p.server, name);
        char wrong[TS_DIGEST_TEXT_BYTES], path[128];
        hub_hash(file, wrong);
        wrong[5] = wrong[5] == 'a' ? 'b' : 'a';
        file->hash = wrong;
        hub_server_start(&p.server);
        ASSERT_FAILS(&p, TS_ERR_FORMAT, "damaged and was deleted");
        cr_expect_not_null(strstr(p.err.message, name), "%s", p.err.message);
        cr_expect_not_null(strstr(p.err.message, wrong), "%s", p.err.message);
        snprintf(path, sizeof path, "blobs/%s", wrong);
        cr_expect_eq(file_size(in_cache(&p, path)), -1);
        snprintf(path, sizeof path, "blobs/%s.incomplete", wrong);
        cr_expect_eq(file_size(in_cache(&p, path)), -1);
        snprintf(path, sizeof path, "snapshots/" HUB_COMMIT "/%s", name);
        cr_expect_eq(file_size(in_cache(&p, path)), -1);
        check_blobs(&p, large ? 4 : 0);
        place_close(&p);
    }
}

// A pipe in the cache is refused by name: opening it would wait until somebody writes to it.
Test(hub_hostile, pipes_in_the_cache, .timeout = 20)
{
    static const char *const endings[] = {".incomplete", ""};
    for (size_t i = 0; i < TS_COUNT(endings); i++) {
        hub_place p;
        place_open(&p);
        hub_server_start(&p.server);
        ASSERT_RESOLVES(&p);
        const char *pipe = blob_path(&p, WEIGHTS, endings[i]);
        cr_assert_eq(unlink(blob_path(&p, WEIGHTS, "")), 0);
        cr_assert_eq(mkfifo(pipe, 0600), 0, "%s", strerror(errno));
        if (i == 0) {
            ASSERT_FAILS(&p, TS_ERR_IO, ".incomplete: a pipe, but a file is needed");
        } else { // what is no blob is replaced by one
            ASSERT_RESOLVES(&p);
            cr_expect_eq(file_size(pipe), WEIGHTS_BYTES);
        }
        place_close(&p);
    }
}

// A partial file that is not the beginning of this content is detected, deleted and replaced.
Test(hub_hostile, a_damaged_partial_file)
{
    hub_place p;
    place_open(&p);
    hub_file *weights = hub_server_find(&p.server, WEIGHTS);
    weights->cut = 1000;
    weights->cuts = 5;
    hub_server_start(&p.server);
    ASSERT_FAILS(&p, TS_ERR_IO, "5000 of 10000 bytes");
    FILE *partial = fopen(blob_path(&p, WEIGHTS, ".incomplete"), "r+b");
    cr_assert_not_null(partial);
    fputc('\n', partial);
    fclose(partial);
    ASSERT_FAILS(&p, TS_ERR_FORMAT, "damaged and was deleted");
    ASSERT_RESOLVES(&p);
    check_snapshot(&p);
    place_close(&p);
}

// Replies longer or shorter than announced, and ranges that were not requested.
Test(hub_hostile, lengths_that_lie)
{
    static const struct {
        const char *size, *get, *says;
        ts_status status;
        bool deleted; // the part that was downloaded
    } cases[] = {
        {"9999", NULL, "more than the 9999 bytes", TS_ERR_FORMAT, true},
        {"0", NULL, "damaged", TS_ERR_FORMAT, true},
        {"10001", NULL, "10000 of 10001 bytes are here and kept", TS_ERR_IO},
        {"1000000000000000000", NULL, "MiB free", TS_ERR_IO},
        {"", NULL, "how large", TS_ERR_FORMAT},
        {"-1", NULL, "how large", TS_ERR_FORMAT},
        {"10000x", NULL, "how large", TS_ERR_FORMAT},
        {"99999999999999999999", NULL, "how large", TS_ERR_FORMAT},
        {NULL, "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n" END "short", "5 of 10000",
         TS_ERR_IO},
        {NULL, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n" END "longer", "3 of 10000", TS_ERR_IO},
        {NULL, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" END, "ended early", TS_ERR_IO},
        {NULL, "HTTP/1.1 206 Part\r\nContent-Range: bytes 5-9/10000\r\n" END "12345",
         "another part", TS_ERR_FORMAT},
        {NULL, "HTTP/1.1 206 Part\r\nContent-Range: bytes 0-9/99\r\n" END "12345", "another part",
         TS_ERR_FORMAT},
        {NULL, "HTTP/1.1 206 Part\r\n" END "12345", "another part", TS_ERR_FORMAT},
        {NULL, "HTTP/1.1 416 Range\r\n" END "page", "status 416", TS_ERR_IO},
        {NULL, "HTTP/1.1 404 None\r\n" END "page", "status 404", TS_ERR_IO},
        {NULL, "not HTTP at all", "127.0.0.1", TS_ERR_IO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hub_place p;
        place_open(&p);
        hub_file *weights = hub_server_find(&p.server, WEIGHTS);
        weights->size = cases[i].size;
        weights->get = cases[i].get;
        hub_server_start(&p.server);
        ASSERT_FAILS(&p, cases[i].status, cases[i].says);
        cr_expect_leq(hub_server_count(&p.server, "GET", WEIGHTS), 5);
        cr_expect_eq(file_size(blob_path(&p, WEIGHTS, "")), -1);
        if (cases[i].deleted) {
            cr_expect_eq(file_size(blob_path(&p, WEIGHTS, ".incomplete")), -1);
        }
        place_close(&p);
    }
}

// The page sent with an error is neither kept nor read to its end.
Test(hub_hostile, an_error_with_a_long_page)
{
    static char page[32 << 20]; // far more than socket buffers hold
    hub_place p;
    int len = snprintf(page, sizeof page, "HTTP/1.1 500 No\r\n" END);
    memset(page + len, 'x', sizeof page - 1 - (size_t)len);
    place_open(&p);
    hub_server_find(&p.server, WEIGHTS)->get = page;
    hub_server_start(&p.server);
    ASSERT_FAILS(&p, TS_ERR_IO, "status 500");
    cr_expect_eq(hub_server_count(&p.server, "GET", WEIGHTS), 5);
    cr_expect_eq(file_size(blob_path(&p, WEIGHTS, ".incomplete")), 0);
    cr_expect_lt(bytes_sent(&p, WEIGHTS), 5 * (sizeof page - 1));
    place_close(&p);
}

// ---- Headers

Test(hub_hostile, headers_that_would_become_paths)
{
    static const char *const heads[] = {
        "HTTP/1.1 200 OK\r\n" ONE_HASH "Content-Length: 5\r\n" END,
        "HTTP/1.1 200 OK\r\nX-Repo-Commit: ../../../../tmp/x\r\n" ONE_HASH
        "Content-Length: 5\r\n" END,
        "HTTP/1.1 200 OK\r\nX-Repo-Commit: 0123456789ABCDEF0123456789ABCDEF01234567\r\n" ONE_HASH
        "Content-Length: 5\r\n" END,
        "HTTP/1.1 200 OK\r\nX-Repo-Commit: " HUB_COMMIT "/..\r\n" ONE_HASH
        "Content-Length: 5\r\n" END,
        "HTTP/1.1 200 OK\r\nX-Repo-Commit:\r\n" ONE_HASH "Content-Length: 5\r\n" END,
        "HTTP/1.1 200 OK\r\n" ONE_COMMIT "Content-Length: 5\r\n" END,
        "HTTP/1.1 200 OK\r\n" ONE_COMMIT "ETag: \"../../../../tmp/x\"\r\nContent-Length: 5\r\n" END,
        "HTTP/1.1 200 OK\r\n" ONE_COMMIT "ETag: \"\r\nContent-Length: 5\r\n" END,
        "HTTP/1.1 200 OK\r\n" ONE_COMMIT "ETag: W/\r\nContent-Length: 5\r\n" END,
        "HTTP/1.1 200 OK\r\n" ONE_COMMIT "ETag: \"abc\"\r\nContent-Length: 5\r\n" END,
        "HTTP/1.1 200 OK\r\n" ONE_COMMIT ONE_HASH
        "X-Linked-Etag: \"x\"\r\nContent-Length: 5\r\n" END,
        "HTTP/1.1 200 OK\r\n" ONE_COMMIT ONE_HASH END,
        "HTTP/1.1 304 Not\r\n" ONE_COMMIT ONE_HASH END,
        // Of a redirect, Content-Length is not the file's.
        "HTTP/1.1 302 Found\r\n" ONE_COMMIT ONE_HASH
        "Location: http://127.0.0.1:1/x\r\nContent-Length: 5\r\n" END,
    };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        hub_place p;
        place_open(&p);
        hub_server_find(&p.server, "config.json")->head = heads[i];
        hub_server_start(&p.server);
        ASSERT_FAILS(&p, TS_ERR_FORMAT, "127.0.0.1 ");
        cr_expect_eq(p.server.shared->count, 1, "case %zu", i);
        check_blobs(&p, 0);
        place_close(&p);
    }
}

Test(hub_hostile, endless_headers)
{
    static char head[1 << 20];
    size_t len = (size_t)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n");
    while (len + 200 < sizeof head) {
        len += (size_t)snprintf(head + len, sizeof head - len, "X-Filler: %0100d\r\n", 1);
    }
    hub_place p;
    place_open(&p);
    hub_server_find(&p.server, "config.json")->head = head;
    hub_server_start(&p.server);
    ASSERT_FAILS(&p, TS_ERR_FORMAT, "endless headers");
    cr_expect_eq(p.server.shared->count, 1);
    place_close(&p);
}

// The branch may move between two requests. All requests must be for one commit.
Test(hub_hostile, a_commit_that_changes)
{
    hub_place p;
    place_open(&p);
    hub_server_find(&p.server, WEIGHTS)->head =
        "HTTP/1.1 200 OK\r\nX-Repo-Commit: ffffffffffffffffffffffffffffffffffffffff\r\n" ONE_HASH
        "Content-Length: 5\r\n" END;
    hub_server_start(&p.server);
    ASSERT_FAILS(&p, TS_ERR_FORMAT, "another commit");
    place_close(&p);
}

// ---- Redirects

Test(hub_hostile, endless_redirects)
{
    for (int second = 0; second < 2; second++) {
        hub_place p;
        place_open(&p);
        hub_file *weights = hub_server_find(&p.server, WEIGHTS);
        if (second) {
            weights->get =
                "HTTP/1.1 302 F\r\nLocation: /blob/" WEIGHTS "\r\nContent-Length: 0\r\n" END;
        } else {
            weights->head = "HTTP/1.1 307 F\r\nLocation: /org/model/resolve/main/" WEIGHTS
                            "\r\nContent-Length: 0\r\n" END;
        }
        hub_server_start(&p.server);
        ASSERT_FAILS(&p, TS_ERR_FORMAT, "redirects more than 5 times");
        cr_expect_eq(hub_server_count(&p.server, second ? "GET" : "HEAD", WEIGHTS), 6);
        place_close(&p);
    }
}

Test(hub_hostile, redirects_to_what_is_no_web_address)
{
    static const char *const targets[] = {
        "file:///etc/passwd", "ftp://127.0.0.1/x", "http://user:word@127.0.0.1/x",
        "gopher://x/",        "http://",           "http://[::1",
    };
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        hub_place p;
        char get[256];
        place_open(&p);
        snprintf(get, sizeof get, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n" END,
                 targets[i]);
        hub_server_find(&p.server, WEIGHTS)->get = get;
        hub_server_start(&p.server);
        ASSERT_FAILS(&p, TS_ERR_FORMAT, "no web address");
        cr_expect_null(strstr(p.err.message, "word"));
        place_close(&p);
    }
}

// A redirect from https to http is refused, and no request is sent to its target.
Test(hub_hostile, redirects_that_drop_the_encryption)
{
    hub_place p;
    place_open(&p);
    hub_server_start(&p.server);
    char url[128];
    bool again = true;
    ts_hub_reply reply = {0};
    ts_hub hub = {.params = &p.params, .model = "org/model", .revision = "main"};
    cr_assert_eq(ts_text_format(&hub.endpoint, &p.err, "https://127.0.0.1"), TS_OK);
    cr_assert_eq(ts_hub_connect(&hub, &p.err), TS_OK);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/org/model/resolve/main/config.json",
             p.server.ports[0]);
    cr_expect_eq(ts_hub_request(&hub, url, &reply, NULL, &again, &p.err), TS_ERR_FORMAT);
    cr_expect_not_null(strstr(p.err.message, "without encryption"), "%s", p.err.message);
    cr_expect_not(again);
    cr_expect_eq(p.server.shared->count, 0);
    ts_hub_disconnect(&hub);
    ts_text_free(&hub.endpoint);
    place_close(&p);
}

// ---- Shards

Test(hub_hostile, shard_names)
{
    static const char *const names[] = {
        "\"../../x\"",
        "\"/etc/passwd\"",
        "\"a/b.safetensors\"",
        "\"..\"",
        "\"\"",
        "\".hidden\"",
        "\"-option\"",
        "\"a\\\\b\"",
        "\"a b\"",
        "\"a\\u001b[31m\"",
        "\"a?b\"",
        "\"a%2fb\"",
        "\"a\\u0000b\"",
        "\"a#b\"",
        "\"\\u00e9\"",
        "\"a\\nHost: x\"",
        "3",
        "null",
        "{}",
        "[\"a\"]",
        "\"x..safetensors\"",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        hub_place p;
        char index[256];
        place_open(&p);
        snprintf(index, sizeof index, "{\"weight_map\": {\"a\": %s}}", names[i]);
        hub_server_find(&p.server, WEIGHTS)->name = INDEX;
        hub_server_find(&p.server, INDEX)->large = false;
        hub_server_find(&p.server, INDEX)->bytes = index;
        hub_server_find(&p.server, INDEX)->len = strlen(index);
        hub_server_start(&p.server);
        ASSERT_FAILS(&p, TS_ERR_FORMAT, INDEX);
        cr_expect_null(strchr(p.err.message, '\033'));
        cr_expect_eq(p.server.shared->log[p.server.shared->count - 1].method[0], 'G');
        check_blobs(&p, 5);
        place_close(&p);
    }
}

Test(hub_hostile, an_index_that_is_none)
{
    static const char *const texts[] = {"",
                                        "[]",
                                        "{}",
                                        "{\"weight_map\": []}",
                                        "{\"weight_map\": {}}",
                                        "{\"weight_map\": {\"a\": \"b\""};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        hub_place p;
        place_open(&p);
        hub_server_find(&p.server, WEIGHTS)->name = "unused";
        hub_server_add(&p.server, INDEX, texts[i]);
        hub_server_start(&p.server);
        ASSERT_FAILS(&p, TS_ERR_FORMAT, INDEX);
        place_close(&p);
    }
}

// ---- What is not there, or not for us

Test(hub_hostile, missing_files)
{
    static const struct {
        const char *gone, *says;
        ts_status status;
    } cases[] = {
        {"config.json", "config.json: no such model", TS_ERR_ARGUMENT},
        {"tokenizer.json", "neither tokenizer.json nor", TS_ERR_UNSUPPORTED},
        {WEIGHTS, "neither model.safetensors nor", TS_ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hub_place p;
        place_open(&p);
        hub_server_find(&p.server, cases[i].gone)->name = "unused";
        hub_server_start(&p.server);
        ASSERT_FAILS(&p, cases[i].status, cases[i].says);
        place_close(&p);
    }
    hub_place p;
    place_open(&p);
    hub_server_start(&p.server);
    cr_expect_eq(ts_hub_resolve("org/none", &p.params, &p.folder, &p.err), TS_ERR_ARGUMENT);
    cr_expect_not_null(strstr(p.err.message, "knows no such model"), "%s", p.err.message);
    place_close(&p);
}

Test(hub_hostile, gated_models)
{
    static const struct {
        const char *head, *says;
    } cases[] = {
        {"HTTP/1.1 401 No\r\nX-Error-Code: RepoNotFound\r\n" END, "HF_TOKEN"},
        {"HTTP/1.1 403 No\r\nX-Error-Code: GatedRepo\r\n" END, "accept its terms"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hub_place p;
        place_open(&p);
        hub_server_find(&p.server, "config.json")->head = cases[i].head;
        hub_server_start(&p.server);
        ASSERT_FAILS(&p, TS_ERR_ARGUMENT, cases[i].says);
        cr_expect_eq(p.server.shared->count, 1);
        place_close(&p);
    }
}

// ---- Secrets

// The second port counts as another host, so the token is not sent to it.
Test(hub_hostile, the_token_stays_with_the_hub)
{
    hub_place p;
    unsigned with = 0;
    place_open(&p);
    char back[256]; // the other host redirects back to the hub, which gets the token again
    snprintf(back, sizeof back,
             "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/org/model/resolve/main/"
             "tokenizer.json\r\nContent-Length: 0\r\n" END,
             p.server.ports[0]);
    hub_server_add(&p.server, "tokenizer.model", "{\"of\": \"tokenizer\"}")->get = back;
    hub_server_find(&p.server, "tokenizer.model")->large = true;
    hub_server_start(&p.server);
    setenv("HF_TOKEN", " hf_0123 \n", 1);
    ASSERT_RESOLVES(&p);
    for (unsigned i = 0; i < p.server.shared->count; i++) {
        const hub_asked *asked = &p.server.shared->log[i];
        cr_expect_str_eq(asked->authorization, asked->second ? "" : "Bearer hf_0123", "%s",
                         asked->path);
        with += asked->authorization[0] != '\0';
    }
    cr_expect_gt(with, 5);
    cr_expect_gt(p.server.shared->count, with);
    place_close(&p);
}

Test(hub_hostile, tokens)
{
    hub_place p;
    place_open(&p);
    hub_server_start(&p.server);
    write_text(p.cache, "token", "hf_file\n"); // HF_HOME is there
    p.params.no_weights = true;
    ASSERT_RESOLVES(&p);
    cr_expect_str_eq(p.server.shared->log[0].authorization, "Bearer hf_file");
    cr_assert_eq(ts_folder_remove(in_cache(&p, ""), &p.err), TS_OK);
    unsigned count = p.server.shared->count;
    static const char *const bad[] = {"hf_a\r\nX-Injected: 1", "hf_a b", "hf_\xc3\xa9", "hf_\x7f"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("HF_TOKEN", bad[i], 1);
        ASSERT_FAILS(&p, TS_ERR_ARGUMENT, "HF_TOKEN: not a token");
        cr_expect_null(strstr(p.err.message, "hf_"));
    }
    cr_expect_eq(p.server.shared->count, count);
    place_close(&p);
}

Test(hub_hostile, endpoints)
{
    static const char *const bad[] = {
        "ftp://127.0.0.1",     "127.0.0.1:1", "http://me:word@127.0.0.1",   "http://127.0.0.1/?a",
        "http://127.0.0.1/#a", "file:///tmp", "http://127.0.0.1:1\r\nX: y", "/"};
    hub_place p;
    place_open(&p);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("HF_ENDPOINT", bad[i], 1);
        ASSERT_FAILS(&p, TS_ERR_ARGUMENT, "HF_ENDPOINT");
        cr_expect_null(strstr(p.err.message, "word"));
    }
    place_close(&p);
}
