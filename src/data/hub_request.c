#include "data/hub_request.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "data/curl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    CONNECT_TIMEOUT_S = 15,
    ASK_TIMEOUT_S = 60,
    STALL_S = 30,
    MAX_HEADER_BYTES = 1 << 18,
    MAX_IGNORED_BYTES = 1 << 16, // of an error page
    BUFFER_BYTES = 1 << 18,
};

// ---- URLs

static bool url_part(CURLU *url, CURLUPart which, unsigned flags, char *out, size_t size)
{
    char *value = NULL;
    bool ok = ts_curl.url_get(url, which, &value, flags) == CURLUE_OK && strlen(value) < size;
    if (ok) {
        snprintf(out, size, "%s", value);
    }
    ts_curl.free(value);
    return ok;
}

// False if the text is not an http or https URL, or if it contains a user name.
static bool read_origin(const char *text, ts_hub_origin *out)
{
    CURLU *url = ts_curl.url();
    bool ok = url != NULL &&
              ts_curl.url_set(url, CURLUPART_URL, text, CURLU_DISALLOW_USER) == CURLUE_OK &&
              url_part(url, CURLUPART_SCHEME, 0, out->scheme, sizeof out->scheme) &&
              url_part(url, CURLUPART_HOST, 0, out->host, sizeof out->host) &&
              url_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, out->port, sizeof out->port) &&
              (strcmp(out->scheme, "https") == 0 || strcmp(out->scheme, "http") == 0);
    ts_curl.url_cleanup(url);
    return ok;
}

static bool same_origin(const ts_hub_origin *a, const ts_hub_origin *b)
{
    return strcmp(a->scheme, b->scheme) == 0 && strcasecmp(a->host, b->host) == 0 &&
           strcmp(a->port, b->port) == 0;
}

bool ts_hub_is_own(const ts_hub *hub, const char *url)
{
    ts_hub_origin origin;
    return read_origin(url, &origin) && same_origin(&origin, &hub->origin);
}

// ---- One request

static void keep_value(char out[TS_HUB_VALUE_BYTES], const char *value, size_t len)
{
    snprintf(out, TS_HUB_VALUE_BYTES, "%.*s", len < TS_HUB_VALUE_BYTES ? (int)len : 0, value);
}

static size_t take_header(char *line, size_t one, size_t count, void *user)
{
    ts_hub_reply *reply = user;
    const struct {
        const char *name;
        char *value;
    } wanted[] = {
        {"x-repo-commit", reply->commit},      {"etag", reply->etag},
        {"x-linked-etag", reply->linked_etag}, {"x-linked-size", reply->linked_size},
        {"content-length", reply->length},     {"content-range", reply->range},
        {"x-error-code", reply->reason},
    };
    size_t len = one * count, total = reply->header_bytes + len;
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        // Drops the headers of an earlier response (100 Continue, or a proxy's).
        *reply = (ts_hub_reply){0};
    }
    reply->header_bytes = total;
    const char *colon = memchr(line, ':', len);
    if (total > MAX_HEADER_BYTES || colon == NULL) {
        return total > MAX_HEADER_BYTES ? 0 : len;
    }
    size_t name_len = (size_t)(colon - line);
    const char *value = colon + 1, *end = line + len;
    while (value < end && strchr(" \t", *value) != NULL) {
        value++;
    }
    while (end > value && strchr(" \t\r\n", end[-1]) != NULL) {
        end--;
    }
    for (size_t i = 0; i < TS_COUNT(wanted); i++) {
        if (strlen(wanted[i].name) == name_len &&
            strncasecmp(line, wanted[i].name, name_len) == 0) {
            keep_value(wanted[i].value, value, (size_t)(end - value));
        }
    }
    if (name_len == 8 && strncasecmp(line, "location", 8) == 0 && end > value) {
        reply->redirects = true;
        reply->relative = value[0] == '/' && !(end - value > 1 && value[1] == '/');
    }
    return len;
}

// Whether "bytes 100-199/200" starts where the file on disk ends.
static bool range_fits(const char *range, uint64_t at, uint64_t size)
{
    unsigned long long first, last, total;
    char end;
    if (sscanf(range, "bytes %llu-%llu/%llu%c", &first, &last, &total, &end) == 3) {
        return first == at && total == size;
    }
    return sscanf(range, "bytes %llu-%llu/*%c", &first, &last, &end) == 2 && first == at;
}

// Called with the first bytes of the body, when the status code is known.
static void begin_body(ts_hub_body *body)
{
    long code = 0;
    ts_curl.easy_getinfo(body->hub->curl, CURLINFO_RESPONSE_CODE, &code);
    body->begun = true;
    body->keep = code == 200 || code == 206;
    if (code == 206 && !range_fits(body->reply->range, body->at, body->size)) {
        body->status = ts_error_set(body->err, TS_ERR_FORMAT,
                                    "the server sends another part of the file than was asked for");
    } else if (code == 200 && body->at > 0) {
        // The server does not support ranges and sends the whole file.
        body->at = 0;
        int reason = ts_os_cut(body->opened, 0);
        if (reason != 0) {
            body->status =
                ts_error_set(body->err, TS_ERR_IO, "cannot shorten what is here of the file: %s",
                             strerror(reason));
        }
    }
}

static ts_status write_at(ts_hub_body *body, const char *bytes, size_t len)
{
    ts_os_info info;
    int reason = ts_os_write_at(body->opened, bytes, len, body->at);
    if (reason != 0) {
        // A disk that became full may have taken some of them; the next run goes on from there.
        body->at = ts_os_stat_open(body->opened, &info) == 0 ? info.bytes : body->at;
        return ts_error_set(body->err, TS_ERR_IO, "cannot write what came of the file: %s",
                            strerror(reason));
    }
    body->at += len;
    return TS_OK;
}

static size_t take_body(char *bytes, size_t one, size_t count, void *user)
{
    ts_hub_body *body = user;
    const ts_hub_params *params = body->hub->params;
    size_t len = one * count;
    if (!body->begun) {
        begin_body(body);
    }
    if (body->status != TS_OK) {
        return 0;
    }
    if (!body->keep) {
        body->ignored += len;
        return body->ignored > MAX_IGNORED_BYTES ? 0 : len;
    }
    if (len > body->size - body->at) {
        body->worthless = true;
        body->status = ts_error_set(body->err, TS_ERR_FORMAT,
                                    "the server sends more than the %llu bytes it announced",
                                    (unsigned long long)body->size);
        return 0;
    }
    body->status = write_at(body, bytes, len);
    if (params->progress != NULL) {
        const ts_hub_progress progress = {body->file, body->at, body->size, false};
        params->progress(params->user, &progress);
    }
    return body->status == TS_OK ? len : 0;
}

static int watch(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)user, (void)a, (void)b, (void)c, (void)d;
    return ts_stop_asked();
}

static ts_status add_header(struct curl_slist **list, const char *line, ts_error *err)
{
    struct curl_slist *longer = ts_curl.slist_append(*list, line);
    if (longer == NULL) {
        return ts_error_set(err, TS_ERR_MEMORY, "out of host memory");
    }
    *list = longer;
    return TS_OK;
}

static ts_status make_headers(const ts_hub *hub, bool with_token, struct curl_slist **out,
                              ts_error *err)
{
    ts_status status = TS_OK;
    ts_text line = {0};
    // Without compression, Content-Length and hash describe the bytes that are sent.
    TS_TRY(add_header(out, "Accept-Encoding: identity", err));
    if (with_token && hub->token.len > 0) {
        TS_TRY(ts_text_format(&line, err, "Authorization: Bearer %s", hub->token.bytes));
        TS_TRY(add_header(out, line.bytes, err));
    }
out:
    ts_text_free(&line);
    return status;
}

// TLS certificates are verified: that is libcurl's default and not changed here.
static void set_options(ts_hub *hub, const char *url, struct curl_slist *headers,
                        ts_hub_reply *reply, ts_hub_body *body, char *message)
{
    CURL *curl = hub->curl;
    const char *roots = getenv("CURL_CA_BUNDLE");
    roots = roots != NULL && roots[0] != '\0' ? roots : getenv("SSL_CERT_FILE");
    ts_curl.easy_setopt(curl, CURLOPT_URL, url);
    ts_curl.easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    ts_curl.easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
    ts_curl.easy_setopt(curl, CURLOPT_USERAGENT, "tinysft-vk");
    ts_curl.easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    ts_curl.easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    ts_curl.easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    ts_curl.easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    ts_curl.easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    ts_curl.easy_setopt(curl, CURLOPT_LOW_SPEED_TIME,
                        hub->params->stall_s > 0 ? (long)hub->params->stall_s : (long)STALL_S);
    ts_curl.easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    ts_curl.easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, watch);
    ts_curl.easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    ts_curl.easy_setopt(curl, CURLOPT_HEADERDATA, reply);
    if (roots != NULL && roots[0] != '\0') {
        ts_curl.easy_setopt(curl, CURLOPT_CAINFO, roots);
    }
    if (body == NULL) {
        ts_curl.easy_setopt(curl, CURLOPT_NOBODY, 1L);
        ts_curl.easy_setopt(curl, CURLOPT_TIMEOUT, (long)ASK_TIMEOUT_S);
        return;
    }
    ts_curl.easy_setopt(curl, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
    ts_curl.easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    ts_curl.easy_setopt(curl, CURLOPT_WRITEDATA, body);
    if (body->at > 0) {
        char range[32];
        snprintf(range, sizeof range, "%llu-", (unsigned long long)body->at);
        ts_curl.easy_setopt(curl, CURLOPT_RANGE, range);
    }
}

// Whether the same request may succeed a little later.
static bool is_passing(CURLcode code)
{
    static const CURLcode passing[] = {
        CURLE_COULDNT_RESOLVE_PROXY,
        CURLE_COULDNT_RESOLVE_HOST,
        CURLE_COULDNT_CONNECT,
        CURLE_PARTIAL_FILE,
        CURLE_OPERATION_TIMEDOUT,
        CURLE_GOT_NOTHING,
        CURLE_SEND_ERROR,
        CURLE_RECV_ERROR,
        CURLE_SSL_CONNECT_ERROR,
        CURLE_HTTP2,
        CURLE_HTTP2_STREAM,
    };
    for (size_t i = 0; i < TS_COUNT(passing); i++) {
        if (code == passing[i]) {
            return true;
        }
    }
    return false;
}

// Text from a server, with control characters replaced, so that a terminal can show it.
static const char *printable(char *text)
{
    for (char *c = text; *c != '\0'; c++) {
        if (*c < ' ' || *c > '~') {
            *c = '?';
        }
    }
    return text;
}

static ts_status explain(CURLcode code, const ts_hub_body *body, const ts_hub_origin *origin,
                         char *message, bool *again, ts_error *err)
{
    if (body != NULL && body->status != TS_OK) {
        return body->status; // err has its message
    }
    if (code == CURLE_ABORTED_BY_CALLBACK) {
        return ts_error_set(err, TS_ERR_STOPPED, "stopped; what was fetched is kept");
    }
    if (code == CURLE_WRITE_ERROR && body == NULL) {
        return ts_error_set(err, TS_ERR_FORMAT, "%s sends endless headers", origin->host);
    }
    *again = is_passing(code);
    return ts_error_set(err, TS_ERR_IO, "%s:%s: %s", origin->host, origin->port,
                        message[0] != '\0' ? printable(message) : ts_curl.easy_strerror(code));
}

ts_status ts_hub_request(ts_hub *hub, const char *url, ts_hub_reply *reply, ts_hub_body *body,
                         bool *again, ts_error *err)
{
    ts_status status = TS_OK;
    struct curl_slist *headers = NULL;
    char message[CURL_ERROR_SIZE] = "", *redirect = NULL;
    ts_hub_origin origin = {0};
    *again = false;
    if (!read_origin(url, &origin)) {
        TS_FAIL(TS_ERR_FORMAT, "the server redirects to something that is no web address");
    }
    if (strcmp(origin.scheme, "http") == 0 && strcmp(hub->origin.scheme, "http") != 0) {
        TS_FAIL(TS_ERR_FORMAT, "the server redirects to %s without encryption", origin.host);
    }
    TS_TRY(make_headers(hub, same_origin(&origin, &hub->origin), &headers, err));
    ts_text_free(&reply->redirect);
    *reply = (ts_hub_reply){0};
    set_options(hub, url, headers, reply, body, message);
    CURLcode code = ts_curl.easy_perform(hub->curl);
    ts_curl.easy_getinfo(hub->curl, CURLINFO_RESPONSE_CODE, &reply->code);
    hub->answered |= reply->code > 0;
    bool page_cut = code == CURLE_WRITE_ERROR && body != NULL && body->begun && !body->keep;
    if (code != CURLE_OK && !(page_cut && body->status == TS_OK)) {
        status = explain(code, body, &origin, message, again, err);
        goto out;
    }
    curl_off_t wait_s = 0;
    ts_curl.easy_getinfo(hub->curl, CURLINFO_RETRY_AFTER, &wait_s);
    reply->wait_s = wait_s < TS_HUB_MAX_WAIT_S ? (long)wait_s : (long)TS_HUB_MAX_WAIT_S;
    reply->redirects = reply->redirects && reply->code / 100 == 3;
    ts_curl.easy_getinfo(hub->curl, CURLINFO_REDIRECT_URL, &redirect);
    if (reply->redirects && redirect != NULL) {
        TS_TRY(ts_text_format(&reply->redirect, err, "%s", redirect));
    } else if (reply->redirects) {
        TS_FAIL(TS_ERR_FORMAT, "the server redirects to something that is no web address");
    }
    if (reply->code == 408 || reply->code == 429 || reply->code >= 500) {
        *again = true;
        TS_FAIL(TS_ERR_IO, "%s answers with HTTP status %ld", origin.host, reply->code);
    }
out:
    // It must not keep pointers to local variables; connections stay open.
    ts_curl.easy_reset(hub->curl);
    ts_curl.slist_free_all(headers);
    return status;
}

ts_status ts_hub_connect(ts_hub *hub, ts_error *err)
{
    ts_status status = ts_curl_load(err);
    if (status != TS_OK) {
        return status;
    }
    if (!read_origin(hub->endpoint.bytes, &hub->origin) ||
        strpbrk(hub->endpoint.bytes, "?#") != NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "HF_ENDPOINT: expected https://HOST, without a user's name");
    }
    if (ts_curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return ts_error_set(err, TS_ERR_MEMORY, "libcurl cannot be started");
    }
    hub->curl = ts_curl.easy_init();
    if (hub->curl == NULL) {
        ts_curl.global_cleanup();
        return ts_error_set(err, TS_ERR_MEMORY, "out of host memory");
    }
    return TS_OK;
}

void ts_hub_disconnect(ts_hub *hub)
{
    if (hub->curl != NULL) {
        ts_curl.easy_cleanup(hub->curl);
        ts_curl.global_cleanup();
        hub->curl = NULL;
    }
}
