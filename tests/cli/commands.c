// The program's small commands, and its answers to wrong arguments: one clear line, and an exit
// code for the kind of mistake (include/tinysft/status.h).
#include "base/memory.h"
#include "program.h"

#include <tinysft/status.h>

#define GOLDEN_FOLDER SHARED_FOLDER "/golden"
#define BASE_FOLDER PROJECT_FOLDER "/assets/base"

static void check_has(const program_result *result, const char *part)
{
    cr_assert_not_null(strstr(result->out, part), "no \"%s\" in:\n%s", part, result->out);
}

// Expects one line that starts with the program's name, maybe one that tells the usage, and the
// exit code. A warning that Mesa up to 22.0 prints when its llvmpipe is opened is left out.
static void check_refusal(const program_result *result, int code, const char *part)
{
    static const char mesa[] = "WARNING: lavapipe is not a conformant";
    const char *said = result->out;
    if (strncmp(said, mesa, strlen(mesa)) == 0 && strchr(said, '\n') != NULL) {
        said = strchr(said, '\n') + 1;
    }
    cr_assert_eq(result->code, code, "exit code %d, expected %d: %s", result->code, code,
                 result->out);
    cr_assert_eq(strncmp(said, "tinysft-vk: ", 12), 0, "%s", result->out);
    const char *next = strchr(said, '\n');
    if (next != NULL && strncmp(next, "\nusage: ", 8) == 0) {
        next = strchr(next + 1, '\n');
    }
    cr_assert_eq(next, said + strlen(said) - 1, "more than one line:\n%s", result->out);
    check_has(result, part);
}

Test(commands, help_and_version)
{
    static const char *const commands[] = {"train",    "eval",    "chat",  "verify",
                                           "tokenize", "devices", "doctor"};
    program_result result;
    RUN(&result, "--version");
    cr_assert_eq(result.code, 0);
    cr_assert_eq(strncmp(result.out, "tinysft-vk ", 11), 0);
    RUN(&result, "--help");
    cr_assert_eq(result.code, 0);
    for (size_t i = 0; i < TS_COUNT(commands); i++) {
        program_result help;
        check_has(&result, commands[i]);
        RUN(&help, commands[i], "--help");
        cr_assert_eq(help.code, 0, "%s --help", commands[i]);
        check_has(&help, "--verbose");
    }
}

Test(commands, no_command_or_an_unknown_one)
{
    program_result result;
    program_run((const char *const[]){TINYSFT_PROGRAM, NULL}, &result);
    cr_assert_eq(result.code, TS_ERR_ARGUMENT);
    check_has(&result, "tinysft-vk COMMAND --help");
    RUN(&result, "trian");
    cr_assert_eq(result.code, TS_ERR_ARGUMENT);
    check_has(&result, "there is no command 'trian'");
    check_has(&result, "did you mean `tinysft-vk train`?");
}

Test(commands, flags_that_make_no_sense)
{
    program_result result;
    RUN(&result, "devices", "--devise", "0");
    check_refusal(&result, TS_ERR_ARGUMENT, "unknown flag --devise; did you mean --device?");
    RUN(&result, "devices", "--xylophone");
    check_refusal(&result, TS_ERR_ARGUMENT, "unknown flag --xylophone");
    RUN(&result, "devices", "--device");
    check_refusal(&result, TS_ERR_ARGUMENT, "--device needs a value");
    RUN(&result, "devices", "--device", "0", "--device=0");
    check_refusal(&result, TS_ERR_ARGUMENT, "--device is given twice");
    RUN(&result, "devices", "--verbose=1");
    check_refusal(&result, TS_ERR_ARGUMENT, "--verbose takes no value");
    RUN(&result, "devices", "--device=");
    check_refusal(&result, TS_ERR_ARGUMENT, "--device: its value is empty");
    RUN(&result, "devices", "--step", "1");
    check_refusal(&result, TS_ERR_ARGUMENT, "from 2 to 65536");
    RUN(&result, "devices", "--step", "8", "--json");
    check_refusal(&result, TS_ERR_ARGUMENT, "--step and --json: give one of them");
    RUN(&result, "devices", "--step", "8", "--pipelines");
    check_refusal(&result, TS_ERR_ARGUMENT, "--step and --pipelines: give one of them");
    RUN(&result, "devices", "0");
    check_refusal(&result, TS_ERR_ARGUMENT, "unexpected argument '0'");
    RUN(&result, "tokenize");
    check_refusal(&result, TS_ERR_ARGUMENT, "--model MODEL is missing");
    cr_expect_not_null(strstr(result.out, "\nusage: tinysft-vk tokenize --model"), "%s",
                       result.out);
    RUN(&result, "verify");
    check_refusal(&result, TS_ERR_ARGUMENT, "verify needs the folder of a case");
    RUN(&result, "bench", "--kernel", "add,rmsnrm");
    check_refusal(&result, TS_ERR_ARGUMENT, "--kernel rmsnrm: there is no such kernel; did you");
}

// The same where the program had told something before it refused.
static void check_code(const program_result *result, int code, const char *part)
{
    cr_assert_eq(result->code, code, "exit code %d, expected %d: %s", result->code, code,
                 result->out);
    check_has(result, part);
}

// A folder that is there, or not, but holds something else is named as such.
Test(commands, folders_of_another_kind)
{
    program_result result;
    const char *folder = test_folder();
    char rows[128];
    test_write(folder, "rows.jsonl", "{\"prompt\": \"Hi\", \"completion\": \"Hello\"}\n");
    snprintf(rows, sizeof rows, "%s/rows.jsonl", folder);
    RUN(&result, "train", "--dry-run", "--model", folder, "--data", rows);
    check_code(&result, TS_ERR_IO, "no model is here: expected a folder");
    RUN(&result, "train", "--dry-run", "--data", rows, "--model", "https://example.org/a/b");
    check_code(&result, TS_ERR_ARGUMENT, "ORG/NAME, not its address");
    RUN(&result, "eval", "--model", PROJECT_FOLDER "/assets/base", "--adapter", folder, "--prompt",
        "Hi");
    check_code(&result, TS_ERR_IO, "no adapter is here: expected a folder");
    RUN(&result, "verify", "--device", "0", folder);
    check_code(&result, TS_ERR_IO, "no reference case is here: expected a folder");
    test_folder_remove(folder);
}

Test(commands, devices)
{
    program_result result;
    RUN(&result, "devices");
    cr_assert_eq(result.code, 0, "%s", result.out);
    check_has(&result, "chosen: ");
    check_has(&result, "Vulkan 1.");
    RUN(&result, "devices", "--mask-capability", "timestamps", "--mask-capability=matrices,t4");
    cr_assert_eq(result.code, 0, "%s", result.out);
    check_has(&result, "lacks or hides matrices");
    RUN(&result, "verify", "CASE", "--mask-capability", "matrices,wings");
    check_refusal(&result, TS_ERR_ARGUMENT, "--mask-capability: no capability is named 'wings'");
    check_has(&result, "these can be masked: cpu-driver,");
    RUN(&result, "devices", "--device", "no such card");
    check_refusal(&result, TS_ERR_ARGUMENT, "--device no such card: no such device; there are:");
}

Test(commands, no_driver)
{
    program_result result;
    setenv("VK_DRIVER_FILES", "/nonexistent/driver.json", 1);
    setenv("VK_ICD_FILENAMES", "/nonexistent/driver.json", 1); // what older loaders read
    unsetenv("TINYSFT_VALIDATE");
    RUN(&result, "devices");
    check_refusal(&result, TS_ERR_DEVICE, "mesa-vulkan-drivers");
    RUN(&result, "verify", "/nonexistent");
    check_refusal(&result, TS_ERR_DEVICE, "no Vulkan driver was found");
}

Test(commands, verify)
{
    program_result result;
    RUN(&result, "verify", "/nonexistent", "--device", "0");
    check_refusal(&result, TS_ERR_IO, "/nonexistent: no reference case is here");
    if (!ts_folder_exists(GOLDEN_FOLDER)) {
        cr_skip_test("needs " GOLDEN_FOLDER);
    }
    RUN(&result, "verify", GOLDEN_FOLDER "/nano", "--device", "0");
    cr_assert_eq(result.code, 0, "%s", result.out);
    check_has(&result, "all within tolerance");
    check_has(&result, "gradients");
}

// Runs tokenize on these lines of standard input.
static void tokenize(const char *lines, program_result *result)
{
    char path[] = "/tmp/tinysft-input-XXXXXX";
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    cr_assert_eq(write(file, lines, strlen(lines)), (ssize_t)strlen(lines));
    lseek(file, 0, SEEK_SET);
    dup2(file, STDIN_FILENO);
    RUN(result, "tokenize", "--model", BASE_FOLDER);
    close(file);
    unlink(path);
}

Test(commands, tokenize)
{
    program_result result;
    tokenize("{\"text\": \"Hello, world.\"}\n\n{\"text\": \"\"}\n", &result);
    cr_assert_eq(result.code, 0, "%s", result.out);
    check_has(&result, "\"decoded\": \"Hello, world.\"}\n{\"ids\": [");
    check_has(&result, "\"decoded\": \"\"}\n");
    tokenize("{\"text\": \"a\\u0000b\"}\n", &result); // a character like any other
    cr_assert_eq(result.code, 0, "%s", result.out);
    check_has(&result, "\"decoded\": \"a\\u0000b\"}\n");
    tokenize("{\"text\": \"<s>Hello</s> \\u0000\"}\n", &result); // special tokens are shown
    check_has(&result, "\"decoded\": \"<s> Hello</s>  \\u0000\"}\n");
    tokenize("{\"text\": \"good\"}\n{\"text\": 5}\n", &result);
    cr_assert_eq(result.code, TS_ERR_FORMAT, "%s", result.out);
    check_has(&result, "tinysft-vk: standard input:2");
    tokenize("{\"text\": \"not closed\n", &result);
    cr_assert_eq(result.code, TS_ERR_FORMAT, "%s", result.out);
    check_has(&result, "tinysft-vk: standard input:1:");
    cr_assert_null(strstr(result.out, "input:1:1:"), "%s", result.out);
    RUN(&result, "tokenize", "--model", "/nonexistent");
    check_refusal(&result, TS_ERR_IO, "/nonexistent");
}
