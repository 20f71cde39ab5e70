// Completion of the program's words by the shells themselves, and `help COMMAND`.
#include "base/memory.h"
#include "program.h"

#include <tinysft/status.h>

static void check_has(const program_result *result, const char *part)
{
    cr_assert_not_null(strstr(result->out, part), "no \"%s\" in:\n%s", part, result->out);
}

// Runs SHELL -c SCRIPT, which finds the program as $P.
static void shell_run(const char *shell, const char *script, program_result *result)
{
    const char *const argv[] = {"/usr/bin/env", shell, "-c", script, NULL};
    setenv("P", TINYSFT_PROGRAM, 1);
    program_run_file(argv[0], argv, result);
}

static bool shell_is_here(const char *shell)
{
    program_result result;
    shell_run(shell, "exit 0", &result);
    return result.code == 0;
}

// What bash offers for the last of these words.
static void bash_offers(const char *words, program_result *result)
{
    char script[512];
    snprintf(script, sizeof script,
             "set -u; source <($P completion bash); COMP_WORDS=(tinysft-vk %s); "
             "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _tinysft_vk; "
             "printf '[%%s]' ${COMPREPLY[@]+\"${COMPREPLY[@]}\"}",
             words);
    shell_run("bash", script, result);
    cr_assert_eq(result->code, 0, "%s", result->out);
}

Test(completion, bash)
{
    static const struct {
        const char *words, *offered;
    } cases[] = {
        {"tr", "[train]"},
        {"help ev", "[eval]"},
        {"train --lr-s", "[--lr-scheduler-type]"},
        {"train --lr-scheduler-type co", "[cosine][constant][cosine_with_restarts]"},
        {"train --lr_scheduler_type = co", "[cosine][constant][cosine_with_restarts]"},
        {"train --schedule l", "[linear]"},
        {"train --target-modules q_proj,v_", "[q_proj,v_proj]"},
        {"train --precision b", "[bf16]"},
        {"eval --chat-template ll", "[llama-2][llama-3]"},
        {"bench --only p", "[peaks][products][passes]"},
        {"train --epochs ''", "[]"},
        {"train --data " PROJECT_FOLDER "/data/ev", "[" PROJECT_FOLDER "/data/eval.json]"},
        {"train --output-dir " PROJECT_FOLDER "/README", "[]"}, // no folder
        {"eval --model " PROJECT_FOLDER "/as", "[" PROJECT_FOLDER "/assets]"},
        {"devices --mask-capability int", "[int64]"},
        {"completion z", "[zsh]"},
        {"verify " PROJECT_FOLDER "/as", "[" PROJECT_FOLDER "/assets]"},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        program_result result;
        bash_offers(cases[i].words, &result);
        cr_assert_str_eq(result.out, cases[i].offered, "%s: %s", cases[i].words, result.out);
    }
    program_result result;
    bash_offers("train --", &result);
    check_has(&result, "[--resume-from-checkpoint]");
    check_has(&result, "[--help]");
}

Test(completion, zsh)
{
    program_result result;
    RUN(&result, "completion", "zsh");
    cr_assert_eq(result.code, 0);
    cr_assert_eq(strncmp(result.out, "#compdef tinysft-vk\n", 20), 0);
    check_has(
        &result,
        "'--lr-scheduler-type=[how the rate falls: linear, cosine, cosine_with_restarts]:NAME:");
    if (!shell_is_here("zsh")) {
        cr_skip_test("needs zsh");
    }
    shell_run("zsh",
              "$P completion zsh >/tmp/_tinysft-vk.$$ && zsh -n /tmp/_tinysft-vk.$$; "
              "code=$?; rm /tmp/_tinysft-vk.$$; exit $code",
              &result);
    cr_assert_eq(result.code, 0, "%s", result.out);
}

Test(completion, fish)
{
    program_result result;
    RUN(&result, "completion", "fish");
    cr_assert_eq(result.code, 0);
    check_has(&result, "-l precision -x -a 'auto f32 f16 bf16'");
    if (!shell_is_here("fish")) {
        cr_skip_test("needs fish");
    }
    shell_run("fish",
              "$P completion fish | source; complete -C 'tinysft-vk train --lr-s'; "
              "complete -C 'tinysft-vk train --precision b'; complete -C 'tinysft-vk tr'",
              &result);
    cr_assert_eq(result.code, 0, "%s", result.out);
    check_has(&result, "--lr-scheduler-type\t");
    check_has(&result, "\nbf16");
    check_has(&result, "\ntrain\t");
}

Test(completion, needs_a_shell_it_knows)
{
    program_result result;
    RUN(&result, "completion", "tcsh");
    cr_assert_eq(result.code, TS_ERR_ARGUMENT);
    check_has(&result, "completion tcsh: expected bash, zsh or fish");
    RUN(&result, "completion");
    cr_assert_eq(result.code, TS_ERR_ARGUMENT);
}

// Every value that completion offers for a flag is accepted by that flag.
Test(completion, offers_what_is_taken)
{
    static const char *const flags[][8] = {
        {"--lr-scheduler-type", "linear", "cosine", "constant", "cosine_with_restarts"},
        {"--init-lora", "default", "gaussian"},
        {"--train-on", "assistant", "last", "all"},
        {"--precision", "auto", "f32", "f16", "bf16"},
        {"--target-modules", "all-linear", "q_proj", "down_proj"},
        {"--chat-template", "zephyr", "llama-2", "plain"},
    };
    for (size_t i = 0; i < TS_COUNT(flags); i++) {
        for (size_t j = 1; flags[i][j] != NULL; j++) {
            program_result result;
            RUN(&result, "train", "--model", PROJECT_FOLDER "/assets/base", "--data",
                PROJECT_FOLDER "/data/dataset.json", "--output-dir", "/nonexistent/out",
                "--dry-run", flags[i][0], flags[i][j]);
            cr_assert_eq(result.code, 0, "%s", result.out);
        }
    }
}

Test(completion, help_of_a_command)
{
    program_result result, flag;
    RUN(&result, "help", "train");
    RUN(&flag, "train", "--help");
    cr_assert_eq(result.code, 0);
    cr_assert_str_eq(result.out, flag.out);
    RUN(&result, "help");
    cr_assert_eq(result.code, 0);
    check_has(&result, "tinysft-vk train");
    RUN(&result, "help", "trian");
    cr_assert_eq(result.code, TS_ERR_ARGUMENT);
    check_has(&result, "did you mean `tinysft-vk train`?");
}

Test(completion, commands_that_were_mistyped)
{
    static const char *const typed[] = {"trian", "Train", "tra", "trai", "train-"};
    for (size_t i = 0; i < TS_COUNT(typed); i++) {
        program_result result;
        RUN(&result, typed[i]);
        cr_assert_eq(result.code, TS_ERR_ARGUMENT);
        check_has(&result, "did you mean `tinysft-vk train`?");
    }
    program_result result;
    RUN(&result, "xylophone");
    cr_assert_eq(result.code, TS_ERR_ARGUMENT);
    check_has(&result, "there is no command 'xylophone'; these there are:");
}
