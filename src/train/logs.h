// The logs that a run writes while it trains, for other programs: JSON lines (--log-file) and
// TensorBoard's event files (--logging-dir). A run that continues takes away what was logged after
// its checkpoint, so that no step is there twice.
#ifndef TS_TRAIN_LOGS_H
#define TS_TRAIN_LOGS_H

#include "base/file.h"
#include "train/settings.h"

struct ts_train_progress;
struct ts_train_evaluation;

// Starts zeroed; a log that is not asked for stays closed.
typedef struct ts_logs {
    ts_file_append lines, events;
} ts_logs;

// How much of an earlier log a run keeps.
typedef struct ts_logs_kept {
    uint64_t step;      // steps up to this one
    uint64_t evaluated; // measurements on held-out rows up to this step
} ts_logs_kept;

// Whether a new run may begin its logs: TS_ERR_ARGUMENT if a log of another run is there already
// and settings->resume and overwrite are not set, or if the file holds something else.
ts_status ts_logs_check(const ts_train_settings *settings, ts_error *err);

// Opens the logs that the settings name and cuts them to what is kept.
ts_status ts_logs_open(const ts_train_settings *settings, ts_logs_kept kept, ts_logs *out,
                       ts_error *err);
// Allocate nothing. Where one cannot be written a warning says so, and that log ends there.
void ts_logs_add_step(ts_logs *logs, const struct ts_train_progress *progress);
void ts_logs_add_evaluation(ts_logs *logs, const struct ts_train_evaluation *evaluation);
void ts_logs_close(ts_logs *logs);

#endif
