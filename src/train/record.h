// training.json: every setting that influences the result of a run, and fingerprints of its input
// files. A run can be continued only if they are the same.
#ifndef TS_TRAIN_RECORD_H
#define TS_TRAIN_RECORD_H

#include "data/dataset.h"
#include "model/config.h"
#include "train/settings.h"

// Makes the part for the settings, with the hash of the data. The caller frees *out with
// cJSON_Delete.
ts_status ts_train_record_make(const ts_train_settings *settings, uint64_t steps, cJSON **out,
                               ts_error *err);

// Adds what comes from the model's files: its shape and constants, a hash of the tokenizer's
// files, one of the weights, and one of the tokenised data.
ts_status ts_train_record_add_model(cJSON *record, ts_weights *model, const ts_model_config *config,
                                    const ts_dataset *dataset, ts_error *err);

// Whether a key names where a file lies, which may differ from one place to another.
bool ts_train_record_is_place(const char *key);

// Checks a record that was read from a file. TS_ERR_FORMAT if it has an unknown key (written by
// another version), lacks a required key, or has a value of the wrong kind. Messages call the file
// `name`.
ts_status ts_train_record_check(const cJSON *record, const char *name, ts_error *err);

// Differences between two records that do not prevent continuing.
typedef struct ts_train_difference {
    bool longer;          // the finished run continues with more epochs or steps
    bool unfingerprinted; // started by an older version, which did not record the model's files
} ts_train_difference;

// Whether the run recorded as `before`, with `done` trained steps, can be continued as `now`.
// TS_ERR_ARGUMENT names the first difference in plain words. Paths may differ, and a finished run
// (`done` are all its steps) may become longer. `difference` may be NULL.
ts_status ts_train_record_compare(const cJSON *before, const cJSON *now, uint64_t done,
                                  ts_train_difference *difference, ts_error *err);

#endif
