// Checkpoints: folders checkpoint-N that appear whole or not at all, with the hash of every file,
// from which a run goes on to the same bytes as if it had never stopped.
#ifndef TS_TRAIN_CHECKPOINT_H
#define TS_TRAIN_CHECKPOINT_H

#include "train/history.h"
#include "train/settings.h"

// What a checkpoint saves and restores. The order of the data and the random masks follow from the
// seed and the step alone.
typedef struct ts_checkpoint {
    ts_model *model;     // adapter, moments
    ts_history *history; // every step so far; its count is the step
    const cJSON *record; // training.json
} ts_checkpoint;

// Writes OUTPUT/checkpoint-N for N = history->count.
ts_status ts_checkpoint_save(const ts_checkpoint *checkpoint, const ts_train_settings *settings,
                             ts_error *err);

// Finds the folder that `settings->resume` means: a path, or with "latest" the highest checkpoint
// in the output folder whose hashes hold (those that do not are named in a warning and passed
// over). An empty *out: there is none.
ts_status ts_checkpoint_find(const ts_train_settings *settings, ts_text *out, ts_error *err);

// Reads it back. TS_ERR_ARGUMENT where the run's settings differ, TS_ERR_FORMAT where a hash does.
ts_status ts_checkpoint_load(const ts_checkpoint *checkpoint, const char *folder, ts_error *err);

// Deletes all but the `keep` highest checkpoints of the output folder, and what a killed run left
// half-written. keep 0 with `all` deletes every one.
ts_status ts_checkpoint_prune(const char *output_dir, uint64_t keep, bool all, ts_error *err);

// Whether the output folder holds a run: an adapter or a checkpoint.
bool ts_checkpoint_run_exists(const char *output_dir);

// Writes the adapter as PEFT loads it (weights, config, model card) into `folder`, with `write`.
typedef ts_status (*ts_file_writer)(const char *path, const void *bytes, uint64_t len,
                                    ts_error *err);
ts_status ts_adapter_write(ts_model *model, const char *folder, const char *summary,
                           ts_file_writer write, ts_error *err);

#endif
