// Downloads the files of a model: metadata, content, and when a request is repeated.
#include "data/hub_request.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "data/curl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_REDIRECTS = 5,
    ATTEMPTS = 5, // how many in a row may fail
    // As long as the server has never responded: perhaps there is no network at all.
    FIRST_ATTEMPTS = 2,
    PROGRESS_BYTES = 1 << 20, // an attempt that brings this many new bytes counts as a success
};

// ENDPOINT/ORG/NAME/resolve/REVISION/FILE. Names and files were checked and need no escaping; a
// branch may contain a slash.
static ts_status file_url(ts_hub *hub, const char *file, ts_text *out, ts_error *err)
{
    const char *revision = hub->commit[0] != '\0' ? hub->commit : hub->revision;
    char *escaped = ts_curl.easy_escape(hub->curl, revision, 0);
    ts_status status = escaped == NULL
                           ? ts_error_set(err, TS_ERR_MEMORY, "out of host memory")
                           : ts_text_format(out, err, "%s/%s/resolve/%s/%s", hub->endpoint.bytes,
                                            hub->model, escaped, file);
    ts_curl.free(escaped);
    return status;
}

// Waits before the next attempt, longer after each failure. TS_ERR_STOPPED on a signal.
static ts_status wait_before_next(const ts_hub *hub, unsigned failures, long asked_s, ts_error *err)
{
    enum { SLICE_MS = 100 };
    double wait_s = hub->params->backoff_s > 0 ? hub->params->backoff_s : 1;
    for (unsigned i = 1; i < failures && wait_s < TS_HUB_MAX_WAIT_S; i++) {
        wait_s *= 2;
    }
    wait_s = wait_s < (double)asked_s ? (double)asked_s : wait_s;
    for (double left = wait_s < TS_HUB_MAX_WAIT_S ? wait_s : TS_HUB_MAX_WAIT_S; left > 0;) {
        double slice = left < SLICE_MS / 1e3 ? left : SLICE_MS / 1e3;
        if (ts_stop_asked()) {
            return ts_error_set(err, TS_ERR_STOPPED, "stopped; what was fetched is kept");
        }
        ts_os_sleep(slice);
        left -= slice;
    }
    return TS_OK;
}

static unsigned attempts(const ts_hub *hub)
{
    return hub->answered ? ATTEMPTS : FIRST_ATTEMPTS;
}

// ---- A file's metadata

static ts_status refuse(const ts_hub *hub, const ts_hub_reply *reply, ts_error *err)
{
    const char *host = hub->origin.host;
    if (reply->code == 401) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "%s knows no such model, or shows it only to those with a token%s",
                            host, hub->token.len > 0 ? " (it refused HF_TOKEN)" : " (HF_TOKEN)");
    }
    if (reply->code == 403) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "%s denies access: the model's page may ask to accept its terms, and "
                            "HF_TOKEN must be a token that may read it",
                            host);
    }
    if (reply->code == 404 && strcmp(reply->reason, "RevisionNotFound") == 0) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "the model has no revision '%s'", hub->revision);
    }
    if (reply->code == 404) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "%s knows no such model", host);
    }
    return ts_error_set(err, TS_ERR_FORMAT, "%s answers with HTTP status %ld", host, reply->code);
}

// Reads the hash from an entity tag: in quotes, with or without `W/` before them.
static bool read_hash(const char *tag, char out[TS_DIGEST_TEXT_BYTES])
{
    tag += strncmp(tag, "W/", 2) == 0 ? 2 : 0;
    size_t len = strlen(tag);
    if (len >= 2 && tag[0] == '"' && tag[len - 1] == '"') {
        tag++;
        len -= 2;
    }
    if (len >= TS_DIGEST_TEXT_BYTES) {
        return false;
    }
    memcpy(out, tag, len);
    out[len] = '\0';
    return ts_hub_is_hex(out, 40) || ts_hub_is_hex(out, 64);
}

static bool read_size(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *out <= INT64_MAX;
}

static ts_status read_reply(const ts_hub *hub, const ts_hub_reply *reply, const char *url,
                            ts_hub_metadata *out, ts_error *err)
{
    ts_status status = TS_OK;
    bool linked = reply->linked_etag[0] != '\0';
    // The Content-Length of a redirect is that of its own page, not of the file.
    const char *size = reply->linked_size[0] != '\0' ? reply->linked_size
                       : reply->redirects            ? ""
                                                     : reply->length;
    if (!ts_hub_is_hex(reply->commit, TS_HUB_COMMIT_DIGITS)) {
        TS_FAIL(TS_ERR_FORMAT, "%s does not name the commit (X-Repo-Commit): no model hub?",
                hub->origin.host);
    }
    if (hub->commit[0] != '\0' && strcmp(hub->commit, reply->commit) != 0) {
        TS_FAIL(TS_ERR_FORMAT, "%s names another commit than the one asked for", hub->origin.host);
    }
    if (!read_hash(linked ? reply->linked_etag : reply->etag, out->hash)) {
        TS_FAIL(TS_ERR_FORMAT, "%s does not name the file's hash (ETag), so it cannot be checked",
                hub->origin.host);
    }
    if (!read_size(size, &out->size)) {
        TS_FAIL(TS_ERR_FORMAT, "%s does not say how large the file is", hub->origin.host);
    }
    memcpy(out->commit, reply->commit, sizeof out->commit);
    ts_text_clear(&out->location);
    TS_TRY(
        ts_text_format(&out->location, err, "%s", reply->redirects ? reply->redirect.bytes : url));
    out->found = true;
out:
    return status;
}

// One HEAD request. Redirects on the same server are followed (a renamed model); the first one to
// another server gives the location of the content.
static ts_status ask_once(ts_hub *hub, const char *file, ts_hub_metadata *out, long *wait_s,
                          bool *again, ts_error *err)
{
    ts_status status = TS_OK;
    ts_hub_reply reply = {0};
    ts_text url = {0};
    TS_TRY(file_url(hub, file, &url, err));
    for (unsigned hops = 0;; hops++) {
        status = ts_hub_request(hub, url.bytes, &reply, NULL, again, err);
        *wait_s = reply.wait_s;
        TS_TRY(status);
        if (!reply.redirects || !reply.relative || !ts_hub_is_own(hub, reply.redirect.bytes)) {
            break;
        }
        if (hops == MAX_REDIRECTS) {
            TS_FAIL(TS_ERR_FORMAT, "%s redirects more than %d times", hub->origin.host,
                    MAX_REDIRECTS);
        }
        ts_text_clear(&url);
        TS_TRY(ts_text_format(&url, err, "%s", reply.redirect.bytes));
    }
    bool entry = reply.reason[0] == '\0' || strcmp(reply.reason, "EntryNotFound") == 0;
    if (reply.code == 404 && entry) {
        out->found = false;
    } else if (reply.code == 200 || reply.redirects) {
        TS_TRY(read_reply(hub, &reply, url.bytes, out, err));
    } else {
        status = refuse(hub, &reply, err);
    }
out:
    ts_text_free(&url);
    ts_text_free(&reply.redirect);
    return status;
}

ts_status ts_hub_read_metadata(ts_hub *hub, const char *file, ts_hub_metadata *out, ts_error *err)
{
    for (unsigned failures = 1;; failures++) {
        bool again = false;
        long wait_s = 0;
        ts_status status = ask_once(hub, file, out, &wait_s, &again, err);
        if (status == TS_OK || !again || failures >= attempts(hub)) {
            return status;
        }
        if ((status = wait_before_next(hub, failures, wait_s, err)) != TS_OK) {
            return status;
        }
    }
}

// ---- A file's content

// One GET of the missing bytes, following redirects. reply->code is 200 or 206, or the error of the
// server that should have the content.
static ts_status get_once(ts_hub *hub, const char *location, ts_hub_body *body, ts_hub_reply *reply,
                          bool *again, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text url = {0};
    TS_TRY(ts_text_format(&url, err, "%s", location));
    for (unsigned hops = 0;; hops++) {
        body->begun = body->keep = false;
        body->ignored = 0;
        TS_TRY(ts_hub_request(hub, url.bytes, reply, body, again, err));
        if (!reply->redirects) {
            break;
        }
        if (hops == MAX_REDIRECTS) {
            TS_FAIL(TS_ERR_FORMAT, "%s redirects more than %d times", hub->origin.host,
                    MAX_REDIRECTS);
        }
        ts_text_clear(&url);
        TS_TRY(ts_text_format(&url, err, "%s", reply->redirect.bytes));
    }
out:
    ts_text_free(&url);
    return status;
}

// Asks for a fresh location of the content. The hash must not have changed.
static ts_status ask_again(ts_hub *hub, const char *file, ts_hub_metadata *about, ts_error *err)
{
    ts_status status = TS_OK;
    ts_hub_metadata fresh = {0};
    TS_TRY(ts_hub_read_metadata(hub, file, &fresh, err));
    if (!fresh.found || strcmp(fresh.hash, about->hash) != 0 || fresh.size != about->size) {
        TS_FAIL(TS_ERR_FORMAT, "%s changed while it was downloaded", file);
    }
    ts_text_free(&about->location);
    about->location = fresh.location;
    return TS_OK;
out:
    ts_text_free(&fresh.location);
    return status;
}

// The error for a complete response that did not complete the file.
static ts_status judge(const ts_hub_reply *reply, ts_hub_body *body, bool *again, ts_error *err)
{
    if (reply->code == 200 || reply->code == 206) {
        *again = true;
        return ts_error_set(err, TS_ERR_IO, "the connection ended early");
    }
    // The file has no such range, so the bytes on disk are not of this file.
    if (reply->code == 416 && body->at > 0) {
        *again = true;
        body->at = 0;
        int reason = ts_os_cut(body->opened, 0);
        return reason != 0
                   ? ts_error_set(err, TS_ERR_IO, "cannot shorten what is here of the file: %s",
                                  strerror(reason))
                   : ts_error_set(err, TS_ERR_IO,
                                  "the server cannot go on where the download stopped");
    }
    return ts_error_set(err, TS_ERR_IO,
                        "the server that has the content answers with HTTP status %ld",
                        reply->code);
}

static ts_status fill(ts_hub *hub, ts_hub_body *body, ts_hub_metadata *about, ts_hub_reply *reply,
                      ts_error *err)
{
    ts_status status = TS_OK;
    uint64_t most = body->at;
    bool renewed = false; // a signed location expires, so the first refusal may only mean that
    for (unsigned failures = 0; body->at < body->size;) {
        bool again = false;
        status = get_once(hub, about->location.bytes, body, reply, &again, err);
        if (status == TS_OK && body->at == body->size) {
            break;
        }
        if (status == TS_OK && reply->code == 403 && !renewed) {
            renewed = true;
            TS_TRY(ask_again(hub, body->file, about, err));
            continue;
        }
        if (status == TS_OK) {
            status = judge(reply, body, &again, err);
        }
        failures = body->at >= most + PROGRESS_BYTES ? 1 : failures + 1;
        most = ts_max_u64(most, body->at);
        if (!again || failures >= attempts(hub)) {
            goto out;
        }
        TS_TRY(wait_before_next(hub, failures, reply->wait_s, err));
    }
    status = TS_OK; // all bytes arrived, even if the connection broke at the end
out:
    return status;
}

ts_status ts_hub_fetch(ts_hub *hub, const char *file, ts_hub_metadata *about, const char *path,
                       ts_error *err)
{
    ts_status status = TS_OK;
    ts_hub_reply reply = {0};
    ts_hub_body body = {.hub = hub, .file = file, .reply = &reply, .size = about->size, .err = err};
    ts_os_info info;
    if ((status = ts_file_open(path, TS_OS_WRITE | TS_OS_CREATE, &body.opened, &info, err)) !=
        TS_OK) {
        return status;
    }
    body.at = info.bytes;
    if (body.at > body.size && ts_os_cut(body.opened, 0) == 0) {
        body.at = 0; // more bytes than the file has, so it is not its beginning
    }
    TS_TRY(fill(hub, &body, about, &reply, err));
    int reason = ts_os_sync(body.opened);
    if (reason != 0) {
        TS_FAIL(TS_ERR_IO, "%s: cannot sync: %s", path, strerror(reason));
    }
out:
    ts_os_close(body.opened);
    if (body.worthless) {
        ts_os_delete(path);
    } else if (status == TS_ERR_IO && body.at > 0) {
        char message[sizeof err->message];
        snprintf(message, sizeof message, "%s", err->message);
        ts_error_set(err, status,
                     "%.800s; %llu of %llu bytes are here and kept, run again to go on", message,
                     (unsigned long long)body.at, (unsigned long long)body.size);
    }
    ts_text_free(&reply.redirect);
    return status;
}
