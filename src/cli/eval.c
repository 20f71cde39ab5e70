#include "cli/cli.h"
static int run(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 1;
}
const ts_command ts_command_eval = {.name = "eval", .summary = "", .usage = "", .run = run};
