// Checkpoints: folders checkpoint-N that appear whole or not at all, with the hash of every file,
// from which a run goes on to the same bytes as if it had never stopped.
#ifndef TS_TRAIN_CHECKPOINT_H
#define TS_TRAIN_CHECKPOINT_H

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
    bool replaces;           // save: another run's files go away the moment before this one appears
} ts_checkpoint;

// ---- Saving

// Writes OUTPUT/checkpoint-N for N = history->count. TS_ERR_RUN where the adapter or its moments
// are no longer finite: that is never saved.
ts_status ts_checkpoint_save(const ts_checkpoint *checkpoint, const ts_train_settings *settings,
                             ts_error *err);

// Deletes checkpoints that are lower than `saved`, which was just saved, so that `keep` whole ones
// remain, it among them. Damaged ones are neither counted nor deleted, and higher ones, left by a
// run that went on from a lower one, stay until they are replaced.
ts_status ts_checkpoint_prune(const char *output_dir, uint64_t keep, uint64_t saved, ts_error *err);

// Deletes what a killed save left in the output folder, for whoever holds its lock; a checkpoint
// that was only moved aside is moved back.
ts_status ts_checkpoint_sweep(const char *output_dir, ts_error *err);

// Deletes every file and checkpoint that training writes into the output folder.
ts_status ts_checkpoint_delete_run(const char *output_dir, ts_error *err);

// Writes the adapter as PEFT loads it (weights, config, model card) into `folder`, with `write`.
typedef ts_status (*ts_file_writer)(const char *path, const void *bytes, uint64_t len,
                                    ts_error *err);
ts_status ts_adapter_write(ts_model *model, const char *folder, const char *summary,
                           ts_file_writer write, ts_error *err);

// ---- Finding

// The steps of all checkpoints in the output folder, highest first, whole or not; none when there
// is no folder. The caller frees *out.
ts_status ts_checkpoint_list(const char *output_dir, uint64_t **out, size_t *count, ts_error *err);
ts_status ts_checkpoint_path(const char *output_dir, uint64_t step, ts_text *out, ts_error *err);

// TS_ERR_FORMAT where its files are not the ones that its SHA256SUMS names, TS_ERR_IO where one
// cannot be read.
ts_status ts_checkpoint_verify(const char *folder, ts_error *err);

// The highest checkpoint in the output folder whose hashes hold (those that do not are named in a
// warning and passed over). An empty *out: there is none.
ts_status ts_checkpoint_find(const ts_train_settings *settings, ts_text *out, ts_error *err);

// ---- Reading

// Its record, checked, and how many steps it holds. The caller frees *record.
ts_status ts_checkpoint_peek(const char *folder, cJSON **record, uint64_t *steps, ts_error *err);

// Reads it back. TS_ERR_ARGUMENT where the run's settings differ, TS_ERR_FORMAT where a file is
// not what we write.
ts_status ts_checkpoint_load(const ts_checkpoint *checkpoint, const char *folder, ts_error *err);

// The parts that need no device.
// Appends the history that optimizer.safetensors holds: of 1 to `most` steps, each value of it
// plausible.
ts_status ts_checkpoint_read_history(const ts_tensors *file, uint64_t most, ts_history *history,
                                     ts_error *err);
// Every tensor whose name starts with `prefix` (all with "") is F32 and finite, and with
// `not_negative` none of its values is below zero. *count is how many there are.
ts_status ts_checkpoint_check_tensors(const ts_tensors *file, const char *prefix, bool not_negative,
                                      size_t *count, ts_error *err);
// The same of one tensor in memory.
ts_status ts_checkpoint_check_tensor(const ts_tensor *tensor, bool not_negative, ts_error *err);

#endif
