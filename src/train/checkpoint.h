// Checkpoints: folders checkpoint-N that appear whole or not at all, with the hash of every file. A
// run that continues from one writes the same bytes as if it had never stopped.
#ifndef TS_TRAIN_CHECKPOINT_H
#define TS_TRAIN_CHECKPOINT_H

#include "base/file.h"
#include "data/safetensors.h"
#include "train/history.h"
#include "train/settings.h"

#define TS_CHECKPOINT_PREFIX "checkpoint-"

// What a checkpoint saves and restores. The order of the data and the random masks follow from the
// seed and the step alone.
typedef struct ts_checkpoint {
    ts_model *model;         // its adapter
    ts_optimiser *optimiser; // AdamW's moments
    ts_history *history;     // every step so far; its count is the step
    const cJSON *record;     // training.json
    bool replaces;           // save: deletes another run's files just before the checkpoint appears
} ts_checkpoint;

// ---- Saving

// Writes OUTPUT/checkpoint-N for N = history->count. TS_ERR_RUN if the adapter or its moments are
// no longer finite: those are never saved.
ts_status ts_checkpoint_save(const ts_checkpoint *checkpoint, const ts_train_settings *settings,
                             ts_error *err);

// Deletes whole checkpoints below `saved`, the one that was just saved: with settings->save_limit
// all but the newest so many (`saved` is one of them), and with settings->load_best those that were
// only kept for being the best (not of a step that save_steps asks for). The best one stays.
// Damaged ones are neither counted nor deleted. Higher ones, which a run leaves that continued from
// a lower one, stay until replaced.
ts_status ts_checkpoint_prune(const ts_train_settings *settings, const ts_evaluations *evaluations,
                              uint64_t saved, ts_error *err);

// Deletes what a killed save left in the output folder. A checkpoint that was only moved aside is
// moved back. The caller must hold the folder's lock.
ts_status ts_checkpoint_sweep(const char *output_dir, ts_error *err);

// Deletes every file and checkpoint that training writes into the output folder.
ts_status ts_checkpoint_delete_run(const char *output_dir, ts_error *err);

// Writes the adapter into `folder` in the format of PEFT (weights, config, model card). `write`
// writes each file.
ts_status ts_adapter_write(ts_model *model, const char *folder, const char *summary,
                           ts_file_writer write, ts_error *err);

// ---- Finding

// The steps of all checkpoints in the output folder, highest first, whole or not; none when there
// is no folder. The caller frees *out.
ts_status ts_checkpoint_list(const char *output_dir, uint64_t **out, size_t *count, ts_error *err);
ts_status ts_checkpoint_path(const char *output_dir, uint64_t step, ts_text *out, ts_error *err);

// Checks a checkpoint's files by its SHA256SUMS. TS_ERR_FORMAT if they differ, TS_ERR_IO if one
// cannot be read.
ts_status ts_checkpoint_verify(const char *folder, ts_error *err);

// The highest checkpoint in the output folder with correct hashes; *out is empty if there is none.
// Those with wrong hashes are named in a warning and skipped.
ts_status ts_checkpoint_find(const ts_train_settings *settings, ts_text *out, ts_error *err);

// ---- Reading

// Reads and checks a checkpoint's record, and how many steps it has. The caller frees *record.
ts_status ts_checkpoint_peek(const char *folder, cJSON **record, uint64_t *steps, ts_error *err);

// Restores a checkpoint. TS_ERR_ARGUMENT if the run's settings differ, TS_ERR_FORMAT if a file is
// not as we write it.
ts_status ts_checkpoint_load(const ts_checkpoint *checkpoint, const char *folder, ts_error *err);

// Replaces the values of the model's adapter by a checkpoint's.
ts_status ts_checkpoint_load_adapter(ts_model *model, const char *folder, ts_error *err);

// These parts of it need no device.
// Appends the history from optimizer.safetensors. It must have 1 to `most` steps and plausible
// values.
ts_status ts_checkpoint_read_history(const ts_tensors *file, uint64_t most, ts_history *history,
                                     ts_error *err);
// Checks that every tensor whose name starts with `prefix` (all with "") is F32 and finite, and
// with `not_negative` that none of its values is below zero. *count is how many there are.
ts_status ts_checkpoint_check_tensors(const ts_tensors *file, const char *prefix, bool not_negative,
                                      size_t *count, ts_error *err);
// The same for one tensor in memory.
ts_status ts_checkpoint_check_tensor(const ts_tensor *tensor, bool not_negative, ts_error *err);

#endif
