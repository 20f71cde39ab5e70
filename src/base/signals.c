#include "base/signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t pending, again, held;

static void end_by(int number)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
    raise(number); // from a handler: when it returns
}

static void on_signal(int number)
{
    static const char message[] =
        "\nstopping after this step and saving; once more to end at once, without saving\n";
    int kept = errno;
    if (pending == 0) {
        pending = number;
        if (number == SIGINT) { // someone is there to read it
            (void)!write(STDERR_FILENO, message, sizeof message - 1);
        }
    } else if (number != SIGHUP) { // a terminal that closes may send several
        if (held) {
            again = number;
        } else {
            end_by(number);
        }
    }
    errno = kept;
}

void ts_signals_install(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
        sigaction(SIGHUP, &action, NULL);
    }
}

int ts_signals_pending(void)
{
    return (int)pending;
}

void ts_signals_hold(bool on)
{
    held = on;
    if (!on && again != 0) {
        end_by((int)again);
    }
}
