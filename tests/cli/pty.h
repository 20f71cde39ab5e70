// Runs the program on a terminal of a given width, to see what a person sees.
#ifndef TESTS_CLI_PTY_H
#define TESTS_CLI_PTY_H

#include "program.h"

#include <errno.h>
#include <pty.h>

// The screen of a terminal after everything was printed. A character beyond ASCII is stored as '#'.
// Colours are only counted.
typedef struct screen {
    char lines[512][256];
    int row, column;
    int last_row, widest; // the columns of the longest line
    int colours;          // escape sequences that set one
    int code;             // the program's
} screen;

static inline void screen_put(screen *s, char c)
{
    cr_assert(s->row < 512 && s->column < 255, "the screen is full");
    char *line = s->lines[s->row];
    while ((int)strlen(line) < s->column) {
        strcat(line, " ");
    }
    bool end = line[s->column] == '\0';
    line[s->column++] = c;
    if (end) {
        line[s->column] = '\0';
    }
    s->widest = s->column > s->widest ? s->column : s->widest;
    s->last_row = s->row > s->last_row ? s->row : s->last_row;
}

// Executes the escape sequence after ESC [ and returns its length.
static inline size_t screen_obey(screen *s, const char *sequence)
{
    size_t digits = strspn(sequence, "0123456789;");
    int number = atoi(sequence);
    switch (sequence[digits]) {
    case 'K':
        s->lines[s->row][s->column] = '\0';
        break;
    case 'J':
        for (int row = s->row; row <= s->last_row; row++) {
            s->lines[row][row == s->row ? s->column : 0] = '\0';
        }
        break;
    case 'A':
        s->row -= number;
        cr_assert_geq(s->row, 0);
        break;
    case 'm':
        s->colours += number != 0;
        break;
    default:
        cr_assert_fail("an unknown sequence: %.10s", sequence);
    }
    return digits + 1;
}

static inline void screen_show(screen *s, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '\r') {
            s->column = 0;
        } else if (c == '\n') {
            s->row++;
        } else if (c == 033) {
            cr_assert_eq(bytes[i + 1], '[');
            i += 1 + screen_obey(s, bytes + i + 2);
        } else if (c < 0x80) {
            screen_put(s, (char)c);
        } else if (c >= 0xC0) { // the first byte of a character
            screen_put(s, '#');
        }
    }
}

// What happens once the program has printed `mark`: the terminal is narrowed to `narrower` columns
// (0: it is not), or the user presses Ctrl-C.
typedef struct pty_event {
    const char *mark;
    int narrower;
    bool interrupt;
} pty_event;

// In the child of a forkpty: runs the program and ends as it ended. When the leader of a terminal's
// session ends, the kernel throws away what was printed and not read yet. So the leader is not the
// program but this process, which waits until the test has had time to read.
static inline void pty_exec(const char *const *argv)
{
    int state = 0;
    pid_t pid = fork();
    if (pid == 0) {
        execv(TINYSFT_PROGRAM, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    signal(SIGINT, SIG_IGN); // Ctrl-C and a closed terminal are for the program
    signal(SIGHUP, SIG_IGN);
    while (waitpid(pid, &state, 0) < 0 && errno == EINTR) {
    }
    usleep(50000);
    if (WIFSIGNALED(state)) {
        signal(WTERMSIG(state), SIG_DFL);
        raise(WTERMSIG(state));
    }
    _exit(WEXITSTATUS(state));
}

// Runs the program on a terminal with that many columns until it ends.
static inline void pty_run(int columns, pty_event event, const char *const *argv, screen *out)
{
    struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)columns};
    static char bytes[1 << 20];
    size_t len = 0, shown = 0;
    int master;
    pid_t pid = forkpty(&master, NULL, NULL, &size);
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        pty_exec(argv);
    }
    *out = (screen){0};
    for (ssize_t got;
         len < sizeof bytes - 1 && ((got = read(master, bytes + len, sizeof bytes - 1 - len)) > 0 ||
                                    (got < 0 && errno == EINTR));) {
        len += got > 0 ? (size_t)got : 0;
        bytes[len] = '\0';
        if (event.mark != NULL && strstr(bytes, event.mark) != NULL) {
            size.ws_col = (unsigned short)(event.narrower > 0 ? event.narrower : columns);
            cr_assert_eq(ioctl(master, TIOCSWINSZ, &size), 0);
            cr_assert(!event.interrupt || write(master, "\003", 1) == 1);
            screen_show(out, bytes, len);
            out->widest = 0, shown = len, event.mark = NULL;
        }
    }
    out->code = program_wait(pid);
    screen_show(out, bytes + shown, len - shown);
    close(master);
}

static inline bool screen_has(const screen *s, const char *text)
{
    for (int row = 0; row <= s->last_row; row++) {
        if (strstr(s->lines[row], text) != NULL) {
            return true;
        }
    }
    return false;
}

// The whole screen, for messages.
static inline const char *screen_text(const screen *s)
{
    static char text[1 << 17];
    text[0] = '\0';
    for (int row = 0; row <= s->last_row; row++) {
        strcat(strcat(text, s->lines[row]), "\n");
    }
    return text;
}

#define PTY_RUN(columns, screen, ...)                                                              \
    pty_run(columns, (pty_event){0}, (const char *const[]){TINYSFT_PROGRAM, __VA_ARGS__, NULL},    \
            screen)

#endif
