// The lock on an output folder, and the warnings about a run that goes wrong.
#include "train/output.h"

#include "run_folder.h"
#include "train/monitor.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/wait.h>

TestSuite(output, .init = folder_make, .fini = folder_remove);

#define LOCK ".tinysft-vk.lock"

Test(output, one_run_at_a_time)
{
    char pid[32];
    ts_output_lock first = {0}, second = {0};
    ts_error err = {0};
    snprintf(pid, sizeof pid, "process %ld on ", (long)getpid());
    MUST(ts_output_lock_take(folder, &first, err));
    cr_assert_eq(ts_output_lock_take(folder, &second, &err), TS_ERR_ARGUMENT);
    cr_assert_not_null(strstr(err.message, pid), "%s", err.message);
    cr_assert_not_null(strstr(err.message, " since 2"), "%s", err.message);
    ts_output_lock_release(&first);
    cr_assert_not(there(LOCK), "it leaves its file behind");
    MUST(ts_output_lock_take(folder, &second, err));
    ts_output_lock_release(&second);
}

Test(output, a_killed_run_holds_nothing)
{
    ts_output_lock lock = {0};
    pid_t pid = fork();
    if (pid == 0) {
        ts_error err = {0};
        if (ts_output_lock_take(folder, &lock, &err) == TS_OK) {
            raise(SIGKILL);
        }
        _exit(1);
    }
    int state;
    cr_assert_eq(waitpid(pid, &state, 0), pid);
    cr_assert(WIFSIGNALED(state) && there(LOCK));
    MUST(ts_output_lock_take(folder, &lock, err));
    ts_output_lock_release(&lock);
    cr_assert_not(there(LOCK));
}

Test(output, a_lock_that_is_a_link_is_not_followed)
{
    ts_output_lock lock = {0};
    ts_error err = {0};
    char target[256];
    snprintf(target, sizeof target, "%s", path_of("precious"));
    put("precious", "text", 4);
    cr_assert_eq(symlink(target, path_of(LOCK)), 0);
    cr_assert_eq(ts_output_lock_take(folder, &lock, &err), TS_ERR_IO);
    ts_text text = {0};
    MUST(ts_file_read(target, 100, &text, err));
    cr_assert_str_eq(text.bytes, "text");
    ts_text_free(&text);
}

// ---- Training that goes wrong

enum { VOCAB = 32000 };

// How many warnings with `word` a run with these losses and norms gives.
static size_t count_warnings(const double *loss, const double *norm, size_t count, const char *word)
{
    ts_monitor state = {0};
    ts_history history = {0};
    size_t times = 0;
    said[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        MUST(ts_history_push(&history, loss[i], 1e-3, norm[i], err));
        ts_monitor_step(&state, &history, VOCAB, 1e-3);
    }
    for (const char *at = said; *at != '\0' && (at = strstr(at, word)) != NULL; at++) {
        times++;
    }
    ts_history_free(&history);
    return times;
}

Test(output, a_loss_that_rises_is_told_once)
{
    double broken[40], slow[40], well[40], rough[40], lucky[40], norm[40];
    for (int i = 0; i < 40; i++) {
        norm[i] = 1;
        broken[i] = i < 1 ? 2 : 11;  // at the second step
        slow[i] = 1.5 * pow(1.1, i); // step by step
        well[i] = 3.0 / (1 + 0.1 * i);
        lucky[i] = i < 1 ? 0.9 : 4.6 - 0.02 * i;         // an easy row came first
        rough[i] = 0.4 + 3.0 * (i % 3) / (1 + 0.02 * i); // rows differ by a factor of 8
    }
    cr_assert_eq(count_warnings(broken, norm, 40, "the loss has risen"), 1, "%s", said);
    cr_assert_eq(count_warnings(broken, norm, 4, "the loss has risen"), 1, "within a few steps");
    cr_assert_eq(count_warnings(slow, norm, 40, "--lr 0.001"), 1, "%s", said);
    cr_assert_eq(count_warnings(well, norm, 40, ""), 0, "%s", said);
    cr_assert_eq(count_warnings(rough, norm, 40, ""), 0, "%s", said);
    cr_assert_eq(count_warnings(lucky, norm, 40, ""), 0, "%s", said);
}

Test(output, a_gradient_that_died_is_told_once)
{
    double loss[20], learnt[20], norm[20];
    for (int i = 0; i < 20; i++) {
        norm[i] = i < 5 ? 2 : 0;
        loss[i] = 3;
        learnt[i] = i < 5 ? 1 : 1e-6;
    }
    cr_assert_eq(count_warnings(loss, norm, 20, "the gradient has died"), 1, "%s", said);
    cr_assert_eq(count_warnings(learnt, norm, 20, "died"), 0, "nothing was left to learn: %s",
                 said);
}
