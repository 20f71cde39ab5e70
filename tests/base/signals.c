// The first signal asks the program to stop. The second ends it at once, or, while something is
// being saved, right after that.
#include "base/signals.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

// Runs `body` in a process of its own; its exit code, or 128 + the signal that ended it.
static int run(void (*body)(void))
{
    int state = 0;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        ts_signals_install("");
        body();
        _exit(ts_signals_pending());
    }
    cr_assert_eq(waitpid(pid, &state, 0), pid);
    return WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
}

static void once(void)
{
    raise(SIGTERM);
}

static void twice(void)
{
    raise(SIGINT);
    raise(SIGINT);
    _exit(77);
}

static void twice_in_a_save(void)
{
    ts_signals_hold(true);
    raise(SIGINT);
    raise(SIGINT);
    raise(SIGTERM);
    if (ts_signals_pending() != SIGINT) {
        _exit(76);
    }
    ts_signals_hold(false); // the second signal takes effect now
    _exit(77);
}

static void hang_up_twice(void)
{
    raise(SIGHUP);
    raise(SIGHUP);
}

static void nohup(void)
{
    signal(SIGHUP, SIG_IGN);
    ts_signals_install("");
    raise(SIGHUP);
}

Test(signals, asked_once_and_ended_by_the_second)
{
    cr_assert_eq(run(once), SIGTERM);
    cr_assert_eq(run(twice), 128 + SIGINT);
    cr_assert_eq(run(twice_in_a_save), 128 + SIGTERM);
    cr_assert_eq(run(hang_up_twice), SIGHUP, "a closing terminal sends several");
    cr_assert_eq(run(nohup), 0);
}
