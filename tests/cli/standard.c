// What a shell may give as standard input and output: closed, a full disk, a pipe without a reader,
// a folder. Here a shell starts the program.
#include "program.h"

#include <tinysft/status.h>

#define BASE_FOLDER PROJECT_FOLDER "/assets/base"

// `command` with the program as $T and the demo's model as $M; its exit code, and what it printed.
static void shell(const char *command, program_result *result)
{
    char path[] = "/tmp/tinysft-output-XXXXXX", script[1024];
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    setenv("T", TINYSFT_PROGRAM, 1);
    setenv("M", BASE_FOLDER, 1);
    snprintf(script, sizeof script, "exec 2>%s; trap - PIPE; %s", path, command);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        signal(SIGPIPE, SIG_DFL);
        execlp("bash", "bash", "-c", script, NULL);
        _exit(127);
    }
    result->code = program_wait(pid);
    ssize_t len = pread(file, result->out, sizeof result->out - 1, 0);
    result->out[len > 0 ? len : 0] = '\0';
    close(file);
    unlink(path);
}

static void expect(const char *command, int code, const char *says)
{
    program_result result;
    shell(command, &result);
    cr_expect_eq(result.code, code, "%s: exit code %d: %s", command, result.code, result.out);
    cr_expect_not_null(strstr(result.out, says), "%s: no \"%s\" in: %s", command, says, result.out);
}

Test(standard, output_that_is_lost_is_an_error)
{
    static const char *const commands[] = {
        "\"$T\" --version",
        "\"$T\" --help",
        "\"$T\" train --help",
        "\"$T\" devices",
        "echo '{\"text\": \"a\"}' | \"$T\" tokenize --model \"$M\"",
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char command[256];
        snprintf(command, sizeof command, "%s >/dev/full", commands[i]);
        expect(command, TS_ERR_IO, "standard output: not all of it could be written: No space");
        snprintf(command, sizeof command, "%s >&-", commands[i]);
        expect(command, TS_ERR_IO, "standard output: not all of it could be written: it is closed");
    }
}

Test(standard, output_that_nobody_reads_ends_quietly)
{
    program_result result;
    shell("yes '{\"text\": \"a\"}' | head -n 100000 | \"$T\" tokenize --model \"$M\" | head -n 1 "
          ">/dev/null; exit ${PIPESTATUS[2]}",
          &result);
    cr_expect_eq(result.code, 128 + SIGPIPE, "%d: %s", result.code, result.out);
    cr_expect_str_eq(result.out, "");
}

// Beyond the size that a shell allows, writing fails instead of ending the program by a signal.
Test(standard, a_file_at_its_limit_is_an_error)
{
    char command[512], *folder = test_folder();
    snprintf(command, sizeof command,
             "(cd %s && ulimit -f 0 && \"$T\" --help >f) 2>&1 | cat >&2; exit ${PIPESTATUS[0]}",
             folder);
    expect(command, TS_ERR_IO, "standard output: not all of it could be written: File too large");
    test_folder_remove(folder);
}

Test(standard, input_that_cannot_be_read_is_an_error)
{
    expect("\"$T\" tokenize --model \"$M\" </tmp", TS_ERR_IO,
           "standard input: cannot be read: Is a directory");
    expect("\"$T\" tokenize --model \"$M\" <&-", TS_ERR_IO,
           "standard input: cannot be read: Bad file descriptor");
    expect("\"$T\" tokenize --model \"$M\" </dev/null", 0, "");
}

// With a standard stream closed, the first file that is opened could take its place.
Test(standard, what_is_printed_lands_in_no_file)
{
    char command[512], *folder = test_folder();
    snprintf(command, sizeof command, "\"$T\" doctor --forget --report %s/report >&- 2>&-", folder);
    program_result result;
    shell(command, &result);
    snprintf(command, sizeof command,
             "cd %s && printf '{\"prompt\": \"a\", \"completion\": \"b\"}' >d && "
             "\"$T\" train --model \"$M\" --data d --output-dir o --show-mask >&-",
             folder);
    expect(command, TS_ERR_IO, "it is closed");
    test_folder_remove(folder);
}

// A pipe given as data is refused at once: opening it would wait for a writer.
Test(standard, pipes_given_as_files_are_refused)
{
    char command[512], *folder = test_folder();
    snprintf(command, sizeof command,
             "cd %s && mkfifo p && timeout 5 \"$T\" train --model \"$M\" --data p --output-dir o "
             "--show-mask",
             folder);
    expect(command, TS_ERR_IO, "p: a pipe, but a file is needed");
    snprintf(command, sizeof command,
             "cd %s && echo '[]' | timeout 5 \"$T\" train --model \"$M\" --data /dev/stdin "
             "--output-dir o --show-mask",
             folder);
    expect(command, TS_ERR_IO, "/dev/stdin: a pipe, but a file is needed");
    test_folder_remove(folder);
}

// The error comes before a device is opened, and existing files stay as they are.
Test(standard, outputs_that_cannot_be_written_are_refused_before_the_work)
{
    char command[512], *folder = test_folder();
    snprintf(command, sizeof command, "cd %s && mkdir d && \"$T\" doctor --report d", folder);
    expect(command, TS_ERR_IO, "d: a folder, but a file is to be written");
    snprintf(command, sizeof command, "cd %s && \"$T\" verify nowhere --dump no/such", folder);
    expect(command, TS_ERR_IO, "no/such: cannot write: No such file or directory");
    snprintf(command, sizeof command,
             "cd %s && \"$T\" eval --model \"$M\" --data " PROJECT_FOLDER
             "/data/eval.json --png d --output-dir o",
             folder);
    expect(command, TS_ERR_IO, "d: a folder, but a file is to be written");
    test_folder_remove(folder);
}

// A file that exists and cannot be read is an error, even if a model may lack that file.
Test(standard, a_file_that_cannot_be_read_does_not_count_as_absent)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json"};
    char command[1024], *folder = test_folder();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(command, sizeof command,
                 "cd %s && rm -rf m && mkdir m && ln -s \"$M\"/* m/ && ln -sf gone m/%s && "
                 "echo '{\"text\": \"a\"}' | \"$T\" tokenize --model m",
                 folder, names[i]);
        expect(command, TS_ERR_IO, "it is a link to gone, which is not there");
    }
    test_folder_remove(folder);
}
