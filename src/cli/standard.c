// Standard input, output and error: what a shell may have done with them, and whether what was
// printed has arrived.
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
    // One that is closed ("> &-") would become the next file that is opened, and what is printed
    // would land in it. /dev/null opened the wrong way round keeps the place and refuses every use.
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) {
            _exit(TS_ERR_IO); // nobody could be told
        }
    }
    // A reader that has gone and a file at its limit are errors of the write that meets them.
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
                         : 128 + SIGPIPE; // as a shell tells of a program that this signal ended
    }
    fprintf(stderr, "tinysft-vk: standard output: not all of it could be written%s%s\n",
            reason != 0 ? ": " : "",
            reason == EBADF ? "it is closed"
            : reason != 0   ? strerror(reason)
                            : "");
    return code != 0 ? code : TS_ERR_IO;
}
