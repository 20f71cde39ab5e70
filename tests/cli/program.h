// Runs the program as a person would: arguments in, exit code and output out.
#ifndef TESTS_CLI_PROGRAM_H
#define TESTS_CLI_PROGRAM_H

#include "base/file.h"
#include "base/text.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct program_result {
    int code;        // exit code, or 128 + signal
    char out[65536]; // standard output and standard error together, cut if it is longer
} program_result;

// Limits the size of files that the next program may write. 0: no limit.
static rlim_t program_file_limit;

static inline pid_t program_start_file(const char *path, const char *const *argv, int output)
{
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        dup2(output, STDOUT_FILENO);
        dup2(output, STDERR_FILENO);
        if (program_file_limit > 0) {
            struct rlimit limit = {program_file_limit, program_file_limit};
            signal(SIGXFSZ, SIG_DFL); // so that the write fails instead of killing the program
            setrlimit(RLIMIT_FSIZE, &limit);
        }
        execv(path, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    return pid;
}

static inline pid_t program_start(const char *const *argv, int output)
{
    return program_start_file(TINYSFT_PROGRAM, argv, output);
}

static inline int program_wait(pid_t pid)
{
    int state = 0;
    cr_assert_eq(waitpid(pid, &state, 0), pid);
    return WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
}

// Whether a run in `folder` has saved the checkpoint of a step, or of a later one: a run that keeps
// few may have removed it between two looks.
static inline bool program_has_saved(const char *folder, unsigned step)
{
    DIR *open = opendir(folder);
    bool found = false;
    for (struct dirent *entry; open != NULL && !found && (entry = readdir(open)) != NULL;) {
        unsigned saved;
        char end;
        found = sscanf(entry->d_name, "checkpoint-%u%c", &saved, &end) == 1 && saved >= step;
    }
    if (open != NULL) {
        closedir(open);
    }
    return found;
}

// Waits for it, at most so many seconds. `said` is where the run's output goes.
static inline void program_wait_until_saved(const char *folder, unsigned step, int seconds,
                                            const char *said)
{
    for (int i = 0; i < 100 * seconds && !program_has_saved(folder, step); i++) {
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    if (!program_has_saved(folder, step)) {
        ts_text text = {0};
        ts_file_read(said, SIZE_MAX, &text, NULL);
        cr_assert_fail("%s: no checkpoint of step %u or later: %s", folder, step, text.bytes);
    }
}

static inline void program_run_file(const char *program, const char *const *argv,
                                    program_result *result)
{
    char path[] = "/tmp/tinysft-output-XXXXXX";
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    result->code = program_wait(program_start_file(program, argv, file));
    ssize_t len = pread(file, result->out, sizeof result->out - 1, 0);
    result->out[len > 0 ? len : 0] = '\0';
    close(file);
    unlink(path);
}

static inline void program_run(const char *const *argv, program_result *result)
{
    program_run_file(TINYSFT_PROGRAM, argv, result);
}

#define RUN(result, ...)                                                                           \
    program_run((const char *const[]){TINYSFT_PROGRAM, __VA_ARGS__, NULL}, (result))

static inline char *test_folder(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/tinysft-test-XXXXXX");
    cr_assert_not_null(mkdtemp(path));
    return path;
}

static inline void test_folder_remove(const char *path)
{
    ts_error err = {0};
    cr_assert_eq(ts_folder_remove(path, &err), TS_OK, "%s", err.message);
}

static inline void test_write(const char *folder, const char *name, const char *content)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(content, 1, strlen(content), file), strlen(content));
    cr_assert_eq(fclose(file), 0);
}

// The content of FOLDER/NAME. Asserts that the file exists.
static inline ts_text test_read(const char *folder, const char *name)
{
    char path[256];
    ts_text text = {0};
    ts_error err = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    cr_assert_eq(ts_file_read(path, 1 << 28, &text, &err), TS_OK, "%s", err.message);
    return text;
}

#endif
