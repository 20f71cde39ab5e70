// What `train` and `sweep` share: the flags of a training run and what they come to.
#ifndef TS_CLI_TRAIN_H
#define TS_CLI_TRAIN_H

#include "base/progress.h"
#include "cli/cli.h"
#include "train/settings.h"

// The flags' values as the parser stores them, whole numbers in 64 bits.
typedef struct ts_train_options {
    ts_train_settings settings;
    ts_gpu_params device;
    const char *targets, *schedule, *precision, *quantize, *revision, *eval_steps, *metric,
        *train_on, *init_lora, *loss;
    uint64_t rank, batch_size, accumulation, max_length;
    double max_memory_mib;
    const char *devices; // for several ranks
    ts_text own_device;  // this one's
    bool balance;
    bool dry_run, show_mask, profile;
    ts_text config;               // run.json
    tinysft_training_state state; // when the run has ended
} ts_train_options;

// Where the flags of ts_command_train put their values, with the defaults until they are parsed.
ts_train_options *ts_train_flags_begin(void);

// Where the files lie that the flags name. Starts zeroed.
typedef struct ts_train_places {
    ts_text model, data, eval_data;
} ts_train_places;
// Settles what several flags say together, finds the model and the data that they name and makes
// the settings point there.
ts_status ts_train_settle(ts_train_options *options, ts_error *err);
ts_status ts_train_find(ts_train_options *options, ts_train_places *places, ts_error *err);
void ts_train_places_free(ts_train_places *places);

// Opens the device, since a run is planned by its free memory. --dry-run works without one.
ts_status ts_train_open_device(ts_train_options *options, tinysft_device **out, ts_error *err);
// The library's parameters for these options. Loading is shown on the bar.
tinysft_training_params ts_train_params(const ts_train_options *options, ts_progress *loading);

#endif
