// A model hub on loopback for tests: one process with two ports. The first port is the hub, the
// second a server for large files, which a client sees as another host. It serves one model,
// org/model, and each file says how to misbehave. The requests are recorded in a log in shared
// memory.
#ifndef TESTS_DATA_HUB_SERVER_H
#define TESTS_DATA_HUB_SERVER_H

#include "base/digest.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HUB_COMMIT "0123456789abcdef0123456789abcdef01234567"

enum { HUB_FILES = 24, HUB_LOG = 512, HUB_TEXT = 512, HUB_LIFE_S = 120 };

typedef struct hub_file {
    const char *name, *bytes;
    size_t len;
    bool large; // served by the second port, with a SHA-256; otherwise by the first, with a git
                // blob's SHA-1
    const char *hash;       // sent instead of the right one
    const char *size;       // sent instead of the right one
    size_t cut;             // the connection is closed after so many bytes of content ...
    unsigned cuts;          // ... in the first so many GETs
    unsigned stalls;        // in the first so many GETs it stops sending there instead
    unsigned pause_ms;      // before any content
    unsigned failures;      // the first so many GETs answer with ...
    int failure;            // ... with this status
    unsigned unavailable;   // the first so many HEADs answer 503
    bool no_ranges;         // always sends the whole file, with status 200
    const char *head, *get; // complete responses, instead of the usual ones
} hub_file;

typedef struct hub_asked {
    bool second; // sent to the second port
    char method[8], path[HUB_TEXT], authorization[HUB_TEXT];
    long long from; // start of the Range, or -1
    size_t sent;    // bytes of content that were sent
} hub_asked;

struct hub_shared {
    atomic_uint count, gets[HUB_FILES], heads[HUB_FILES];
    hub_asked log[HUB_LOG];
};

typedef struct hub_server {
    hub_file files[HUB_FILES];
    size_t file_count;
    int listeners[2], ports[2];
    pid_t pid;
    struct hub_shared *shared;
} hub_server;

// ---- For the test

// Binds the ports. Files may be changed between this and hub_server_start.
static inline void hub_server_open(hub_server *server)
{
    *server = (hub_server){0};
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof address;
        server->listeners[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_geq(server->listeners[i], 0);
        cr_assert_eq(bind(server->listeners[i], (struct sockaddr *)&address, sizeof address), 0);
        cr_assert_eq(listen(server->listeners[i], 64), 0);
        cr_assert_eq(getsockname(server->listeners[i], (struct sockaddr *)&address, &size), 0);
        server->ports[i] = ntohs(address.sin_port);
    }
    server->shared = mmap(NULL, sizeof *server->shared, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(server->shared, MAP_FAILED);
}

static inline hub_file *hub_server_add(hub_server *server, const char *name, const char *bytes)
{
    cr_assert_lt(server->file_count, HUB_FILES);
    hub_file *file = &server->files[server->file_count++];
    *file = (hub_file){.name = name, .bytes = bytes, .len = strlen(bytes)};
    return file;
}

static inline hub_file *hub_server_find(hub_server *server, const char *name)
{
    for (size_t i = 0; i < server->file_count; i++) {
        if (strcmp(server->files[i].name, name) == 0) {
            return &server->files[i];
        }
    }
    return NULL;
}

// How often the file was requested with this method.
static inline unsigned hub_server_count(hub_server *server, const char *method, const char *name)
{
    size_t i = (size_t)(hub_server_find(server, name) - server->files);
    return strcmp(method, "GET") == 0 ? server->shared->gets[i] : server->shared->heads[i];
}

static inline void hub_hash(const hub_file *file, char out[TS_DIGEST_TEXT_BYTES])
{
    ts_digest digest;
    if (file->large) {
        ts_digest_begin_sha256(&digest);
    } else {
        ts_digest_begin_git_blob(&digest, file->len);
    }
    ts_digest_add(&digest, file->bytes, file->len);
    ts_digest_end(&digest, out);
}

// ---- In the server's process

// Each piece is counted before it is sent, so that the count is right as soon as the client has it.
static inline void hub_send(int peer, const char *bytes, size_t len, hub_asked *asked)
{
    enum { PIECE_BYTES = 4096 };
    while (len > 0) {
        size_t piece = len < PIECE_BYTES ? len : PIECE_BYTES;
        if (asked != NULL) {
            asked->sent += piece;
        }
        for (size_t done = 0; done < piece;) {
            ssize_t sent = send(peer, bytes + done, piece - done, MSG_NOSIGNAL);
            if (sent <= 0) {
                _exit(0); // the client has closed the connection
            }
            done += (size_t)sent;
        }
        bytes += piece;
        len -= piece;
    }
}

#define HUB_SAY(peer, ...)                                                                         \
    do {                                                                                           \
        char line_[2 * HUB_TEXT];                                                                  \
        int len_ = snprintf(line_, sizeof line_, __VA_ARGS__);                                     \
        hub_send((peer), line_, (size_t)len_, NULL);                                               \
    } while (0)

static inline void hub_refuse(int peer, int code, const char *reason)
{
    const char *page = "<html>not the file</html>";
    HUB_SAY(peer,
            "HTTP/1.1 %d No\r\nX-Error-Code: %s\r\nX-Repo-Commit: " HUB_COMMIT
            "\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
            code, reason, strlen(page), page);
}

static inline void hub_answer_head(const hub_server *server, int peer, const hub_file *file)
{
    char hash[TS_DIGEST_TEXT_BYTES], size[32];
    hub_hash(file, hash);
    snprintf(size, sizeof size, "%zu", file->len);
    const char *says_hash = file->hash != NULL ? file->hash : hash;
    const char *says_size = file->size != NULL ? file->size : size;
    if (file->large) {
        HUB_SAY(peer,
                "HTTP/1.1 302 Found\r\nX-Repo-Commit: " HUB_COMMIT "\r\nX-Linked-Etag: \"%s\"\r\n"
                "X-Linked-Size: %s\r\nETag: \"0123\"\r\nContent-Length: 999\r\n"
                "Location: http://127.0.0.1:%d/blob/%s?signature=SECRET\r\n"
                "Connection: close\r\n\r\n",
                says_hash, says_size, server->ports[1], file->name);
    } else {
        HUB_SAY(peer,
                "HTTP/1.1 200 OK\r\nX-Repo-Commit: " HUB_COMMIT "\r\nETag: W/\"%s\"\r\n"
                "Content-Length: %s\r\nConnection: close\r\n\r\n",
                says_hash, says_size);
    }
}

static inline void hub_answer_get(int peer, const hub_file *file, unsigned nth, hub_asked *asked)
{
    size_t from = asked->from > 0 && !file->no_ranges ? (size_t)asked->from : 0;
    if (nth < file->failures) {
        hub_refuse(peer, file->failure, "Expired");
        return;
    }
    if (from >= file->len && from > 0) {
        hub_refuse(peer, 416, "Range");
        return;
    }
    if (from > 0) {
        HUB_SAY(peer, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %zu-%zu/%zu\r\n", from,
                file->len - 1, file->len);
    } else {
        HUB_SAY(peer, "HTTP/1.1 200 OK\r\n");
    }
    HUB_SAY(peer, "Content-Length: %zu\r\nConnection: close\r\n\r\n", file->len - from);
    nanosleep(&(struct timespec){.tv_nsec = file->pause_ms * 1000000L}, NULL);
    bool cut = nth < file->cuts || nth < file->stalls;
    size_t len = cut && file->cut < file->len - from ? file->cut : file->len - from;
    hub_send(peer, file->bytes + from, len, asked);
    if (nth < file->stalls) {
        sleep(HUB_LIFE_S);
    }
}

// The file at this path. If there is none, *refusal says why.
static inline hub_file *hub_route(hub_server *server, bool second, char *path, const char **refusal)
{
    static const char blob[] = "/blob/", model[] = "/org/model/resolve/";
    char *query = strchr(path, '?');
    if (query != NULL) {
        *query = '\0';
    }
    if (second && strncmp(path, blob, strlen(blob)) == 0) {
        return hub_server_find(server, path + strlen(blob));
    }
    *refusal = "RepoNotFound";
    if (second || strncmp(path, model, strlen(model)) != 0) {
        return NULL;
    }
    char *revision = path + strlen(model), *slash = strchr(revision, '/');
    *refusal = "RevisionNotFound";
    if (slash == NULL) {
        return NULL;
    }
    *slash = '\0';
    if (strcmp(revision, "main") != 0 && strcmp(revision, HUB_COMMIT) != 0 &&
        strcmp(revision, "refs%2Fpr%2F1") != 0) {
        return NULL;
    }
    *refusal = "EntryNotFound";
    return hub_server_find(server, slash + 1);
}

static inline void hub_read_request(int peer, char *text, size_t size)
{
    size_t len = 0;
    while (strstr(text, "\r\n\r\n") == NULL) {
        ssize_t got = recv(peer, text + len, size - 1 - len, 0);
        if (got <= 0) {
            _exit(0);
        }
        len += (size_t)got;
        text[len] = '\0';
    }
}

static inline void hub_handle(hub_server *server, int peer, bool second)
{
    char text[8192] = "", path[HUB_TEXT];
    hub_read_request(peer, text, sizeof text);
    unsigned place = server->shared->count++;
    hub_asked *asked = &server->shared->log[place % HUB_LOG];
    asked->second = second;
    asked->from = -1;
    if (sscanf(text, "%7s %511s", asked->method, asked->path) != 2) {
        return;
    }
    const char *field = strcasestr(text, "\r\nauthorization: ");
    if (field != NULL) {
        sscanf(field + 17, "%511[^\r]", asked->authorization);
    }
    if ((field = strcasestr(text, "\r\nrange: bytes=")) != NULL) {
        sscanf(field + 15, "%lld-", &asked->from);
    }
    snprintf(path, sizeof path, "%s", asked->path);
    if (!second && strncmp(path, "/org/old/", 9) == 0) { // the model was renamed
        HUB_SAY(peer,
                "HTTP/1.1 307 Moved\r\nLocation: /org/model/%s\r\nContent-Length: 0\r\n"
                "Connection: close\r\n\r\n",
                path + 9);
        return;
    }
    bool head = strcmp(asked->method, "HEAD") == 0;
    const char *refusal = "none";
    hub_file *file = hub_route(server, second, path, &refusal);
    if (file == NULL) {
        hub_refuse(peer, 404, refusal);
        return;
    }
    size_t i = (size_t)(file - server->files);
    unsigned nth = head ? server->shared->heads[i]++ : server->shared->gets[i]++;
    const char *whole = head ? file->head : file->get;
    if (whole != NULL) {
        hub_send(peer, whole, strlen(whole), head ? NULL : asked);
    } else if (head && nth < file->unavailable) {
        hub_refuse(peer, 503, "Busy");
    } else if (head) {
        hub_answer_head(server, peer, file);
    } else {
        hub_answer_get(peer, file, nth, asked);
    }
}

// Each connection gets its own process and one request.
static inline void hub_serve(hub_server *server)
{
    struct pollfd waiting[2] = {{server->listeners[0], POLLIN, 0},
                                {server->listeners[1], POLLIN, 0}};
    prctl(PR_SET_PDEATHSIG, SIGKILL); // the process ends with the test
    signal(SIGCHLD, SIG_IGN);
    alarm(HUB_LIFE_S);
    while (poll(waiting, 2, -1) > 0) {
        for (int i = 0; i < 2; i++) {
            int peer = waiting[i].revents != 0 ? accept(server->listeners[i], NULL, NULL) : -1;
            if (peer >= 0 && fork() == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                hub_handle(server, peer, i == 1);
                shutdown(peer, SHUT_WR);
                _exit(0);
            }
            if (peer >= 0) {
                close(peer);
            }
        }
    }
    _exit(0);
}

static inline void hub_server_start(hub_server *server)
{
    server->pid = fork();
    cr_assert_geq(server->pid, 0);
    if (server->pid == 0) {
        hub_serve(server);
    }
}

static inline void hub_server_stop(hub_server *server)
{
    if (server->pid > 0) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
        server->pid = 0;
    }
}

// Stops the server and closes its ports.
static inline void hub_server_close(hub_server *server)
{
    hub_server_stop(server);
    close(server->listeners[0]);
    close(server->listeners[1]);
    munmap(server->shared, sizeof *server->shared);
}

#endif
