// tinysft-vk: fine-tunes a chat model with LoRA in Vulkan compute shaders, and shows what it
// changed.
#include "cli/cli.h"

#include "base/file.h"
#include "base/launcher.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "base/os.h"
#include "base/signals.h"
#include "cli/ranks.h"
#include "gpu/gpu.h"
#include "gpu/pipeline.h"
#include "gpu/recorder.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool ts_cli_verbose;

const ts_command *const ts_commands[] = {
    &ts_command_train,   &ts_command_eval,    &ts_command_chat,   &ts_command_export,
    &ts_command_sweep,   &ts_command_compare, &ts_command_verify, &ts_command_tokenize,
    &ts_command_devices, &ts_command_doctor,  &ts_command_bench,  &ts_command_completion,
};
const size_t ts_command_count = TS_COUNT(ts_commands);

static void print_log(void *user, ts_log_level level, const char *message)
{
    (void)user;
    if (!ts_cli_hear_log(level == TS_LOG_WARN, message) ||
        (level == TS_LOG_DEBUG && !ts_cli_verbose)) {
        return;
    }
    ts_cli_say(stderr, "%s%s\n", level == TS_LOG_WARN ? "warning: " : "", message);
}

static bool signal_came(void *user)
{
    (void)user;
    return ts_signals_pending() != 0;
}

static void hold_signals(void *user, bool saving)
{
    (void)user;
    ts_signals_hold(saving);
}

static void print_message(void *user, tinysft_log_level level, const char *message)
{
    static const ts_log_level levels[] = {[TINYSFT_LOG_DEBUG] = TS_LOG_DEBUG,
                                          [TINYSFT_LOG_INFO] = TS_LOG_INFO,
                                          [TINYSFT_LOG_WARN] = TS_LOG_WARN};
    print_log(user, levels[level], message);
}

static tinysft_next interrupt(void *user)
{
    return signal_came(user) ? TINYSFT_STOP : TINYSFT_GO_ON;
}

const tinysft_caller ts_cli_caller = {
    .log = print_message, .interrupt = interrupt, .saving = hold_signals};

void ts_cli_print_profile(const ts_profile *profile)
{
    double total = 0;
    for (size_t i = 0; i < profile->row_count; i++) {
        total += profile->rows[i].seconds;
    }
    for (size_t i = 0; i < profile->row_count; i++) {
        const ts_profile_row *row = &profile->rows[i];
        fprintf(stderr, "  %-24s %8llu dispatches %9.3f s %5.1f %%\n", row->shader,
                (unsigned long long)row->dispatches, row->seconds, 100 * row->seconds / total);
    }
    if (profile->gpu != NULL) {
        ts_pipeline_stats stats = ts_gpu_pipeline_statistics(profile->gpu);
        fprintf(stderr, "  %u pipelines built in %.3f s on the host; %llu bytes of them cached\n",
                stats.built, stats.seconds, (unsigned long long)stats.cached_bytes);
    }
}

void ts_cli_print_submits(const ts_recorder *recorder)
{
    const ts_recorder_stats stats = ts_recorder_statistics(recorder);
    fprintf(stderr,
            "  %llu dispatches in %llu submits, %.3f s on the device, the longest %.1f ms\n",
            (unsigned long long)stats.dispatches, (unsigned long long)stats.submits, stats.busy_s,
            1e3 * stats.longest_s);
}

static void print_help(FILE *stream)
{
    enum { COLUMN = 24 };
    ts_cli_say(stream,
               "tinysft-vk fine-tunes chat models with LoRA on any GPU that has a Vulkan driver, "
               "and shows side by side what the tuning changed.\n\n");
    for (size_t i = 0; i < ts_command_count; i++) {
        char left[64];
        snprintf(left, sizeof left, "  tinysft-vk %s", ts_commands[i]->name);
        ts_cli_print_entry(stream, COLUMN, left, ts_commands[i]->summary);
    }
    ts_cli_say(stream,
               "\n  tinysft-vk COMMAND --help  lists a command's flags; so does help COMMAND\n"
               "  tinysft-vk --version\n");
}

// TS_ERR_ARGUMENT where there is none of that name, with what may have been meant.
static ts_status find_command(const char *name, const ts_command **out)
{
    ts_nearest search = ts_nearest_begin(name, strlen(name));
    for (size_t i = 0; i < ts_command_count; i++) {
        if (strcmp(name, ts_commands[i]->name) == 0) {
            *out = ts_commands[i];
            return TS_OK;
        }
        ts_nearest_offer(&search, ts_commands[i]->name);
    }
    ts_nearest_offer(&search, "help");
    if (search.name != NULL) {
        ts_cli_say(stderr,
                   "tinysft-vk: there is no command '%s'; did you mean `tinysft-vk %s`? "
                   "`tinysft-vk help` lists them\n",
                   name, search.name);
        return TS_ERR_ARGUMENT;
    }
    ts_cli_say(stderr, "tinysft-vk: there is no command '%s'; these there are:\n\n", name);
    print_help(stderr);
    return TS_ERR_ARGUMENT;
}

static int help(int argc, char **argv)
{
    const ts_command *command = NULL;
    if (argc < 3 || strcmp(argv[2], "help") == 0 || argv[2][0] == '-') {
        print_help(stdout);
        return 0;
    }
    ts_status status = find_command(argv[2], &command);
    if (status == TS_OK) {
        ts_flags_print_help(command);
    }
    return (int)status;
}

static int run_command(int argc, char **argv)
{
    const ts_command *command = NULL;
    if (strcmp(argv[1], "help") == 0) {
        return help(argc, argv);
    }
    ts_status status = find_command(argv[1], &command);
    if (status != TS_OK) {
        return (int)status;
    }
    if (ts_flags_ask_help(argc - 2, argv + 2)) {
        ts_flags_print_help(command);
        return 0;
    }
    if (!command->ranks && ts_launcher_read().rank > 0) {
        return 0; // once is enough: the launcher's first one does it
    }
    return command->run(argc - 2, argv + 2);
}

// A mapped file that is cut short while it is in use, or whose disk fails, raises SIGBUS where it
// is read next. Only what is allowed in a signal handler happens here.
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    const char *path = ts_map_path_of(info->si_addr);
    if (path == NULL) {
        return; // another fault: it comes again, and ends the program (SA_RESETHAND)
    }
    ts_os_say("\ntinysft-vk: ");
    ts_os_say(path);
    ts_os_say(
        ": cannot be read any more: it was cut short while it was in use, or its disk failed; "
        "start again when it is whole\n");
    _exit(TS_ERR_IO);
}

static void watch_mappings(void)
{
    struct sigaction action = {.sa_sigaction = on_bus_error,
                               .sa_flags = (int)(SA_SIGINFO | SA_RESETHAND)};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

static int run(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return TS_ERR_ARGUMENT;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("tinysft-vk " TINYSFT_VERSION);
        return 0;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(stdout);
        return 0;
    }
    int code = run_command(argc, argv);
    if (ts_gpu_validation_messages() > 0) {
        fprintf(stderr, "tinysft-vk: the validation layer gave %llu messages\n",
                (unsigned long long)ts_gpu_validation_messages());
        return code != 0 ? code : TS_ERR_DEVICE;
    }
    return code;
}

int main(int argc, char **argv)
{
    static ts_caller caller = {.log = print_log, .stops = signal_came, .saving = hold_signals};
    ts_cli_open_standard();
    ts_caller_use(&caller);
    watch_mappings();
    return ts_cli_close_standard(run(argc, argv));
}
