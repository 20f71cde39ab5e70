// The ranks that a launcher started: who prints, and who takes which device.
#ifndef TS_CLI_RANKS_H
#define TS_CLI_RANKS_H

#include "api/inside.h"
#include "base/ranks.h"
#include "base/text.h"
#include "cli/cli.h"
#include "gpu/gpu.h"

extern ts_ranks *ts_cli_ranks; // NULL: this process is alone

// Joins the others, if a launcher started several. From then on rank 0 alone prints; warnings of
// the others go to it, and it prints those that it has not given itself. Where joining fails and
// all ranks fail alike, *quiet is set on all but rank 0.
ts_status ts_cli_join_ranks(bool *quiet, ts_error *err);
void ts_cli_leave_ranks(int code); // waits for the others; the program is about to end with this
// Ends the run for all ranks, if there are any others, with this error.
void ts_cli_fail_ranks(const ts_error *err);

// Whether this rank prints.
bool ts_cli_speaks(void);
// To be told of each message of the log. Returns whether it is to be printed here.
bool ts_cli_hear_log(bool warning, const char *message);

// The device of this rank, where there are several. `asked`: numbers with commas ("0,1"), one for
// each rank of the host in turn; or one device for all; or NULL: the best kinds first. *out is the
// one to ask for (`asked` where there is nothing to decide); *sharers is how many ranks have it.
// TS_ERR_ARGUMENT: several devices for a process that is alone.
ts_status ts_cli_rank_device(const ts_gpu_params *asked, ts_text *out, uint32_t *sharers,
                             ts_error *err);

// --devices 0,1 without a launcher: becomes mpirun, which starts this command once for each of them
// with the same arguments. Otherwise returns at once. TS_ERR_UNSUPPORTED says what to install.
ts_status ts_cli_start_ranks(const ts_command *command, const char *devices, int argc, char **argv,
                             ts_error *err);

// Tells what each rank has to do; with `balance` that is so at first. All of them call it.
ts_status ts_cli_print_ranks(tinysft_training *training, const char *device, bool balance,
                             ts_error *err);
// Tells, after the run, what a step's exchange takes and how much of that is hidden.
ts_status ts_cli_print_exchange(tinysft_training *training, ts_error *err);

#endif
