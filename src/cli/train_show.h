// What `train` shows of a run before it begins.
#ifndef TS_CLI_TRAIN_SHOW_H
#define TS_CLI_TRAIN_SHOW_H

#include <tinysft/tinysft.h>

// Rows, steps and device memory.
void ts_cli_print_plan(const tinysft_training_plan *plan, const tinysft_training_params *params);
// The first lines of the first row, as the chat template renders it.
void ts_cli_print_rendered(const tinysft_training_plan *plan);
// --show-mask: each of `count` rows, with what is trained on marked.
tinysft_status ts_cli_show_mask(tinysft_training *training, uint64_t count, tinysft_error *err);

#endif
