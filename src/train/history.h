// What every step measured, and trainer_state.json made from it.
#ifndef TS_TRAIN_HISTORY_H
#define TS_TRAIN_HISTORY_H

#include "base/text.h"
#include "train/settings.h"

// Starts zeroed. Arrays of `count` entries, one a step.
typedef struct ts_history {
    double *loss, *rate, *grad_norm;
    size_t count, capacity;
    uint64_t tokens; // seen so far
    // The log's entries as JSON, made once each, so that a checkpoint does not make them all again.
    ts_text log;
    size_t logged, since; // steps that went into it; those of them after the last entry
    double since_loss;    // their sum
} ts_history;

// Makes room for `steps` entries.
ts_status ts_history_reserve(ts_history *history, size_t steps, ts_error *err);
ts_status ts_history_push(ts_history *history, double loss, double rate, double grad_norm,
                          ts_error *err);
void ts_history_free(ts_history *history);

// The mean loss over the first or the last interval of the log, as every place tells it: `every`
// steps (0: all), fewer where there are not as many. *steps is over how many.
double ts_history_mean(const ts_history *history, uint64_t every, bool last, size_t *steps);

// How long the run took, for the last entry of a finished run's log.
typedef struct ts_run_summary {
    double seconds;
    uint64_t samples;
    double flops;
} ts_run_summary;

// Appends trainer_state.json as transformers writes it. `summary` is NULL while the run goes on.
// Settings and steps are the same in every call for one history.
ts_status ts_history_write_state(ts_history *history, const ts_train_settings *settings,
                                 uint64_t steps, uint64_t steps_per_epoch,
                                 const ts_run_summary *summary, ts_text *out, ts_error *err);

#endif
