// data/hub_request.c and hub_fetch.c: the headers of a server's response, and how they are used.
// The functions are static, so the sources are included here.
#include "fuzz.h"

#include "data/hub_fetch.c"
#include "data/hub_request.c"

// The first byte chooses the status and whether the commit is known. Each further line is a header,
// passed as curl passes it: its own bytes, without a NUL after them.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const long codes[] = {200, 302, 401, 403, 404, 416, 500, 206};
    static const char commit[] = "0123456789abcdef0123456789abcdef01234567";
    ts_error err = {0};
    ts_hub hub = {.model = "org/model", .revision = "main", .origin = {"https", "hub", "443"}};
    ts_hub_reply reply = {0};
    ts_hub_metadata about = {0};
    if (size == 0) {
        return 0;
    }
    if (data[0] & 8) {
        memcpy(hub.commit, commit, sizeof commit);
    }
    for (size_t at = 1; at < size;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        size_t len = end != NULL ? (size_t)(end - data) + 1 - at : size - at;
        char *line = malloc(len);
        FUZZ_CHECK(line != NULL);
        memcpy(line, data + at, len);
        size_t taken = take_header(line, 1, len, &reply);
        FUZZ_CHECK(taken == len || taken == 0);
        free(line);
        at += len;
    }
    reply.code = codes[data[0] % 8];
    if (reply.redirects) {
        FUZZ_CHECK(ts_text_format(&reply.redirect, &err, "https://other/file") == TS_OK);
    }
    range_fits(reply.range, 3, 1 << 20);
    ts_status status = read_reply(&hub, &reply, "https://hub/file", &about, &err);
    fuzz_check_status(status, &err);
    FUZZ_CHECK((status == TS_OK) == about.found);
    if (about.found) {
        FUZZ_CHECK(ts_hub_is_hex(about.commit, TS_HUB_COMMIT_DIGITS) && about.size <= INT64_MAX);
        FUZZ_CHECK(ts_hub_is_hex(about.hash, 40) || ts_hub_is_hex(about.hash, 64));
    }
    err = (ts_error){0};
    status = refuse(&hub, &reply, &err);
    fuzz_check_status(status, &err);
    ts_text_free(&about.location);
    ts_text_free(&reply.redirect);
    return 0;
}
