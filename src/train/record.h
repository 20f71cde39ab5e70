// training.json: every setting that decides the result of a run, and fingerprints of the files it
// was made from. A run goes on only where they are the same.
#ifndef TS_TRAIN_RECORD_H
#define TS_TRAIN_RECORD_H

#include "data/dataset.h"
#include "data/safetensors.h"
#include "model/config.h"
#include "train/settings.h"

// The settings' part, with the data's hash. The caller frees it.
ts_status ts_train_record_make(const ts_train_settings *settings, uint64_t steps, cJSON **out,
                               ts_error *err);

// Adds what the model's folder holds: its shape and constants, a hash of the tokenizer's files, one
// of the weights, and one of the tokens that the data became.
ts_status ts_train_record_add_model(cJSON *record, const char *folder,
                                    const ts_model_config *config, const ts_tensors *weights,
                                    const ts_dataset *dataset, ts_error *err);

// TS_ERR_FORMAT where a record that was read has a key that we do not know (another version wrote
// it), lacks one that every version wrote, or has a value of the wrong kind. `name` is what
// messages call the file.
ts_status ts_train_record_check(const cJSON *record, const char *name, ts_error *err);

// What two records may differ in.
typedef struct ts_train_difference {
    bool longer;          // the finished run goes on with more epochs or steps
    bool unfingerprinted; // an older version began it, which did not record the model's files
} ts_train_difference;

// Whether a run recorded as `before`, of which `done` steps are trained, goes on as `now`:
// TS_ERR_ARGUMENT names the first difference in plain words. Paths may differ, and a finished run
// (`done` are all of its steps) may become longer. `difference` may be NULL.
ts_status ts_train_record_compare(const cJSON *before, const cJSON *now, uint64_t done,
                                  ts_train_difference *difference, ts_error *err);

#endif
