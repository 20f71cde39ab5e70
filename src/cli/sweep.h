// The grid of a sweep: settings with the values that they are given.
#ifndef TS_CLI_SWEEP_H
#define TS_CLI_SWEEP_H

#include "base/memory.h"
#include "cli/train.h"

enum { TS_GRID_AXES = 12, TS_GRID_CONFIGURATIONS = 1000 };

typedef struct ts_grid_axis {
    const ts_flag *flag; // of ts_command_train
    const char **values; // [count]
    size_t count;
} ts_grid_axis;

// Starts zeroed.
typedef struct ts_grid {
    ts_train_options *flags; // where the flags put their values; set it first
    ts_grid_axis axes[TS_GRID_AXES];
    size_t axis_count, configuration_count;
    const char *names[TS_GRID_AXES]; // of the axes' flags
    const char **values;             // [configuration_count, axis_count]
    ts_arena arena;
} ts_grid;

// Adds "rank=4,8,16" to a ts_grid (a flag's `parse`). Values are parted by commas, or by semicolons
// where there is one or the flag's own value is a list. TS_ERR_ARGUMENT: no such flag of train,
// with the nearest one, or one that runs of a sweep may not differ in, or a wrong value.
ts_status ts_grid_add(const char *text, void *grid, ts_error *err);
// Checks what follows from the other flags, and makes the table of all configurations: the last
// setting changes fastest.
ts_status ts_grid_make(ts_grid *grid, const ts_train_options *options, ts_error *err);
// Sets the flags of train to a configuration's values.
ts_status ts_grid_apply(const ts_grid *grid, size_t configuration, ts_error *err);
// "rank 8, lr 0.001" for people, and "rank-8_lr-0.001" for a folder. Appended to *out.
ts_status ts_grid_describe(const ts_grid *grid, size_t configuration, ts_text *out, ts_error *err);
ts_status ts_grid_folder(const ts_grid *grid, size_t configuration, ts_text *out, ts_error *err);
void ts_grid_free(ts_grid *grid);

// Prints the configurations, best first (sweep_print.c).
void ts_grid_print(const ts_grid *grid, const tinysft_sweep_result *result);

#endif
