// Standard input, output and error: they may be closed or redirected, and what was printed may not
// have been written.
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void ts_cli_open_standard(void)
{
    // Where one is closed ("> &-"), the next file that is opened would take its number, and what is
    // printed would land in that file. So /dev/null takes the number, opened for the wrong
    // direction: every use then fails.
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) {
            _exit(TS_ERR_IO); // there may be nowhere to report it
        }
    }
    // Ignored, so that a write fails where a reader has gone or a file is at its size limit, and
    // the program does not end at once.
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

// Whether standard output is a pipe whose reader has gone, as `| head` does.
static bool reader_has_gone(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0;
}

int ts_cli_close_standard(int code)
{
    bool failed = ferror(stdout) != 0;
    int reason = fflush(stdout) != 0 ? errno : 0;
    if (!failed && reason == 0) {
        return code;
    }
    if (reader_has_gone()) {
        return code != 0 ? code
                         : 128 + SIGPIPE; // as a shell reports a program that this signal ended
    }
    fprintf(stderr, "tinysft-vk: standard output: not all of it could be written%s%s\n",
            reason != 0 ? ": " : "",
            reason == EBADF ? "it is closed"
            : reason != 0   ? strerror(reason)
                            : "");
    return code != 0 ? code : TS_ERR_IO;
}
