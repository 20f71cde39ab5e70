#include "cli/chat_line.h"

#include "base/memory.h"
#include "base/os.h"
#include "base/terminal.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What the program uses of a library for editing lines. Both libraries have these functions, under
// the same names.
struct editor {
    char *(*readline)(const char *prompt);
    int (*add_history)(const char *line);
};

static bool open_editor(struct editor *out)
{
    static const char *const names[] = {"libedit.so.2", "libreadline.so.8"};
    char problem[256];
    for (size_t i = 0; i < TS_COUNT(names); i++) {
        void *library = ts_os_library_open(names[i], problem, sizeof problem);
        if (library == NULL) {
            continue;
        }
        *(void **)&out->readline = ts_os_library_find(library, "readline");
        *(void **)&out->add_history = ts_os_library_find(library, "add_history");
        if (out->readline != NULL && out->add_history != NULL) {
            return true; // it stays open as long as the program runs
        }
        ts_os_library_close(library);
    }
    return false;
}

static char *read_plain(void)
{
    char *line = NULL;
    size_t size = 0;
    ssize_t len = getline(&line, &size, stdin);
    if (len < 0) {
        free(line);
        return NULL;
    }
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r')) {
        line[--len] = '\0';
    }
    return line;
}

char *ts_chat_read_line(const char *prompt)
{
    static struct editor editor;
    static bool looked, edits;
    if (!ts_os_is_terminal(stdin)) {
        return read_plain();
    }
    if (!looked) {
        edits = ts_terminal_takes_escapes(stdout) && open_editor(&editor);
        looked = true;
    }
    if (!edits) {
        fputs(prompt, stdout);
        fflush(stdout);
        return read_plain();
    }
    char *line = editor.readline(prompt);
    if (line != NULL && line[0] != '\0') {
        editor.add_history(line);
    }
    return line;
}
