// A real browser, without a display, driven as a person would: Chromium over its debugging pipe.
// https://chromedevtools.github.io/devtools-protocol/
#ifndef TESTS_CLI_BROWSER_H
#define TESTS_CLI_BROWSER_H

#include "program.h"

#include <cjson/cJSON.h>
#include <poll.h>

typedef struct browser {
    pid_t pid;
    int to, from; // messages, each with a NUL at its end
    int calls;
    char session[64]; // of the page
    ts_text received; // what has arrived and was not read yet
} browser;

// The browser's program, or NULL where there is none.
static inline const char *browser_program(void)
{
    static const char *const paths[] = {"/usr/bin/chromium", "/usr/bin/chromium-browser",
                                        "/usr/bin/google-chrome"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (access(paths[i], X_OK) == 0) {
            return paths[i];
        }
    }
    return NULL;
}

// The next message; it must come within a minute. The caller deletes it.
static inline cJSON *browser_receive(browser *b)
{
    char part[4096];
    for (;;) {
        char *end = b->received.len > 0 ? memchr(b->received.bytes, '\0', b->received.len) : NULL;
        if (end != NULL) {
            cJSON *message = cJSON_Parse(b->received.bytes);
            size_t taken = (size_t)(end - b->received.bytes) + 1;
            memmove(b->received.bytes, end + 1, b->received.len - taken);
            b->received.len -= taken;
            cr_assert_not_null(message);
            return message;
        }
        struct pollfd ready = {.fd = b->from, .events = POLLIN};
        cr_assert_eq(poll(&ready, 1, 60000), 1, "the browser does not answer");
        ssize_t len = read(b->from, part, sizeof part);
        cr_assert_gt(len, 0, "the browser has gone");
        cr_assert_eq(ts_text_append(&b->received, part, (size_t)len, NULL), TS_OK);
    }
}

// Calls a method and returns its result, which the caller deletes. `params`: a JSON object.
static inline cJSON *browser_call(browser *b, const char *method, const char *params)
{
    ts_text message = {0};
    const int id = ++b->calls;
    cr_assert_eq(ts_text_format(&message, NULL, "{\"id\":%d,\"method\":\"%s\",\"params\":%s%s%s%s}",
                                id, method, params,
                                b->session[0] != '\0' ? ",\"sessionId\":\"" : "", b->session,
                                b->session[0] != '\0' ? "\"" : ""),
                 TS_OK);
    cr_assert_eq(write(b->to, message.bytes, message.len + 1), (ssize_t)message.len + 1);
    ts_text_free(&message);
    for (;;) {
        cJSON *answer = browser_receive(b);
        const cJSON *its = cJSON_GetObjectItem(answer, "id");
        if (its != NULL && its->valueint == id) {
            cJSON *result = cJSON_DetachItemFromObject(answer, "result");
            char *text = cJSON_PrintUnformatted(answer);
            cr_assert_not_null(result, "%s: %s", method, text);
            cJSON_free(text);
            cJSON_Delete(answer);
            return result;
        }
        cJSON_Delete(answer);
    }
}

static inline void browser_do(browser *b, const char *method, const char *params)
{
    cJSON_Delete(browser_call(b, method, params));
}

// The value of an expression of JavaScript in the page, as text. Valid until the next call.
static inline const char *browser_eval(browser *b, const char *expression)
{
    static char text[65536];
    cJSON *params = cJSON_CreateObject();
    cJSON_AddStringToObject(params, "expression", expression);
    cJSON_AddBoolToObject(params, "returnByValue", true);
    char *json = cJSON_PrintUnformatted(params);
    cJSON *result = browser_call(b, "Runtime.evaluate", json);
    const cJSON *value = cJSON_GetObjectItem(cJSON_GetObjectItem(result, "result"), "value");
    char *printed = value == NULL || cJSON_IsString(value) ? NULL : cJSON_PrintUnformatted(value);
    snprintf(text, sizeof text, "%s",
             printed != NULL ? printed
             : value != NULL ? value->valuestring
                             : "undefined");
    cJSON_free(printed);
    cJSON_free(json);
    cJSON_Delete(result);
    cJSON_Delete(params);
    return text;
}

// Presses and releases a key: "1", "ArrowRight", "Tab", "Enter". `code`: its virtual key code.
static inline void browser_key(browser *b, const char *key, int code)
{
    char params[256];
    const char *text = strcmp(key, "Enter") == 0 ? "\\r" : strlen(key) == 1 ? key : "";
    snprintf(params, sizeof params,
             "{\"type\":\"keyDown\",\"key\":\"%s\",\"windowsVirtualKeyCode\":%d%s%s%s}", key, code,
             text[0] != '\0' ? ",\"text\":\"" : "", text, text[0] != '\0' ? "\"" : "");
    browser_do(b, "Input.dispatchKeyEvent", params);
    snprintf(params, sizeof params,
             "{\"type\":\"keyUp\",\"key\":\"%s\",\"windowsVirtualKeyCode\":%d}", key, code);
    browser_do(b, "Input.dispatchKeyEvent", params);
}

// Shows a file and waits until its script has run.
static inline void browser_show(browser *b, const char *path)
{
    char params[256];
    snprintf(params, sizeof params, "{\"url\":\"file://%s\"}", path);
    browser_do(b, "Page.navigate", params);
    for (int i = 0; strcmp(browser_eval(b, "document.readyState"), "complete") != 0; i++) {
        cr_assert_lt(i, 1000, "the page does not load");
        usleep(20000);
    }
}

// Starts the browser with its files in `folder`, and attaches to its page.
static inline void browser_open(browser *b, const char *folder)
{
    int to[2], from[2];
    char profile[160];
    *b = (browser){0};
    snprintf(profile, sizeof profile, "--user-data-dir=%s/profile", folder);
    cr_assert_eq(pipe2(to, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(from, O_CLOEXEC), 0);
    b->pid = fork();
    if (b->pid == 0) {
        int in = fcntl(to[0], F_DUPFD, 10), out = fcntl(from[1], F_DUPFD, 10);
        int nowhere = open("/dev/null", O_RDWR);
        dup2(nowhere, STDOUT_FILENO);
        dup2(nowhere, STDERR_FILENO);
        dup2(in, 3);
        dup2(out, 4);
        setenv("HOME", folder, 1);
        execl(browser_program(), "chromium", "--headless=new", "--no-sandbox", "--disable-gpu",
              "--disable-dev-shm-usage", "--no-first-run", "--window-size=1200,1000",
              "--remote-debugging-pipe", profile, "about:blank", (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    b->to = to[1];
    b->from = from[0];
    cJSON *targets = browser_call(b, "Target.getTargets", "{}");
    const cJSON *target, *list = cJSON_GetObjectItem(targets, "targetInfos");
    char params[160] = "";
    cJSON_ArrayForEach(target, list)
    {
        if (strcmp(cJSON_GetObjectItem(target, "type")->valuestring, "page") == 0) {
            snprintf(params, sizeof params, "{\"targetId\":\"%s\",\"flatten\":true}",
                     cJSON_GetObjectItem(target, "targetId")->valuestring);
        }
    }
    cJSON *attached = browser_call(b, "Target.attachToTarget", params);
    snprintf(b->session, sizeof b->session, "%s",
             cJSON_GetObjectItem(attached, "sessionId")->valuestring);
    cJSON_Delete(attached);
    cJSON_Delete(targets);
}

static inline void browser_close(browser *b)
{
    browser_do(b, "Browser.close", "{}");
    program_wait(b->pid);
    close(b->to);
    close(b->from);
    ts_text_free(&b->received);
}

#endif
