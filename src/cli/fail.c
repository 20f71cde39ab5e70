// How a failed command ends: what went wrong, what the user may do about it, and the exit code.
#include "cli/cli.h"

#include <stdio.h>

static const char *advice(const ts_command *command, ts_status status)
{
    switch (status) {
    case TS_ERR_MEMORY:
        return command->needs_less;
    case TS_ERR_LOST:
        return "a lost device mostly comes back, so run it again; where it happens again, look at "
               "the system's log (`dmesg`), try a newer driver, or take another --device";
    case TS_ERR_SHADER:
        return "a newer driver may build it, or take another --device; --mask-capability hides "
               "what this driver gets wrong (`tinysft-vk devices --verbose` lists what there is)";
    default:
        return NULL;
    }
}

void ts_cli_advise(const ts_command *command, ts_status status)
{
    const char *text = advice(command, status);
    if (text != NULL) {
        ts_cli_say(stderr, "what to do: %s\n", text);
    }
}

int ts_cli_fail(const ts_command *command, const ts_error *err)
{
    ts_cli_say(stderr, "tinysft-vk: %s\n", err->message);
    if (ts_cli_verbose && err->file != NULL) {
        fprintf(stderr, "  at %s:%d\n", err->file, err->line);
    }
    ts_cli_advise(command, err->code);
    return (int)err->code;
}
