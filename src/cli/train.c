#include "cli/cli.h"
static int run(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 1;
}
const ts_command ts_command_train = {.name = "train", .summary = "", .usage = "", .run = run};
