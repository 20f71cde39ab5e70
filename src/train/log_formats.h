// Shared by the files that write logs: the two formats.
#ifndef TS_TRAIN_LOG_FORMATS_H
#define TS_TRAIN_LOG_FORMATS_H

#include "train/logs.h"
#include "train/trainer.h"

enum { TS_LOG_ENTRY_BYTES = 1024 }; // of the longest entry in either format

// ---- JSON lines (log_lines.c). Each writes one line with its line break and returns its length.

size_t ts_log_line_of_step(const ts_train_progress *progress, char out[TS_LOG_ENTRY_BYTES]);
size_t ts_log_line_of_evaluation(const ts_train_evaluation *evaluation,
                                 char out[TS_LOG_ENTRY_BYTES]);
// *bytes: of the lines that are kept of the file, 0 where it is not there. *any: it has lines.
// TS_ERR_FORMAT names a line that no log has.
ts_status ts_log_lines_measure(const char *path, ts_logs_kept kept, uint64_t *bytes, bool *any,
                               ts_error *err);

// ---- TensorBoard's events (log_events.c): records as TFRecord frames them, each an Event of its
// protocol buffers (tensorboard/compat/proto/event.proto).

// A number under the name that transformers' Trainer gives it.
typedef struct ts_log_scalar {
    const char *tag;
    double value; // NaN: it is left out
} ts_log_scalar;

// Each writes one record and returns its length. `time` is in seconds since 1970.
size_t ts_log_event_of_scalars(double time, uint64_t step, const ts_log_scalar *scalars,
                               size_t count, uint8_t out[TS_LOG_ENTRY_BYTES]);
// What an event file begins with: the version of the format, then, if the run continues after
// `step`, a mark for readers to forget what other files of the folder have from the next step on.
size_t ts_log_event_of_start(double time, uint64_t step, uint8_t out[TS_LOG_ENTRY_BYTES]);

// Cuts the event files of an earlier run in the folder to what is kept, and deletes those of which
// that is nothing.
ts_status ts_log_events_cut(const char *folder, ts_logs_kept kept, ts_error *err);
// Whether the folder has such files.
ts_status ts_log_events_find(const char *folder, bool *any, ts_error *err);
// Sets *out to the path of a new one.
ts_status ts_log_events_name(const char *folder, double time, ts_text *out, ts_error *err);
// How many bytes of a file are kept: whole records up to the first that is not, or is damaged.
size_t ts_log_events_measure(const uint8_t *bytes, size_t len, ts_logs_kept kept);

#endif
