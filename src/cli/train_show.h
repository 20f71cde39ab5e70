// What `train` shows of a run before it begins.
#ifndef TS_CLI_TRAIN_SHOW_H
#define TS_CLI_TRAIN_SHOW_H

#include "train/trainer.h"

// Rows, steps and device memory.
void ts_cli_print_plan(const ts_trainer *trainer);
// The first lines of the first row, as the chat template renders it.
void ts_cli_print_rendered(const ts_trainer *trainer);
// --show-mask: every row, with what is trained on marked.
ts_status ts_cli_show_mask(const ts_trainer *trainer, ts_error *err);

#endif
