// The measurements of every step, and trainer_state.json written from them.
#ifndef TS_TRAIN_HISTORY_H
#define TS_TRAIN_HISTORY_H

#include "base/text.h"
#include "train/evaluations.h"
#include "train/settings.h"

// Starts zeroed. The arrays have `count` entries, one for each step.
typedef struct ts_history {
    double *loss, *rate, *grad_norm;
    // Means over the pairs of each step, where the loss is over pairs (set before the first entry):
    // how much higher the reward of the chosen answer is, and how often it is higher.
    bool pairs;
    double *margin, *accuracy;
    size_t count, capacity;
    uint64_t tokens; // seen so far
    ts_evaluations evaluations;
    // The entries of the log as JSON. Each is written once, so that a checkpoint need not write all
    // of them again.
    ts_text log;
    size_t logged, since; // logged: steps in `log`; since: those of them after its last entry
    size_t logged_evaluations;
    double since_margin, since_accuracy;
    double since_loss; // sums over the `since` steps, as are the two above
} ts_history;

// Makes room for `steps` entries.
ts_status ts_history_reserve(ts_history *history, size_t steps, ts_error *err);
ts_status ts_history_push(ts_history *history, double loss, double rate, double grad_norm,
                          ts_error *err);
void ts_history_free(ts_history *history);

// The mean loss over the first or last `every` steps (0: all steps), or over fewer if there are
// fewer. *steps is the number of steps. Every report of a mean loss uses this function.
double ts_history_mean(const ts_history *history, uint64_t every, bool last, size_t *steps);

// How long the run took, for the last entry of a finished run's log.
typedef struct ts_run_summary {
    double seconds;
    uint64_t samples;
    double flops;
} ts_run_summary;

// Appends trainer_state.json as transformers writes it. `summary` is NULL while the run continues.
// For one history, settings and steps must be the same in every call.
ts_status ts_history_write_state(ts_history *history, const ts_train_settings *settings,
                                 uint64_t steps, uint64_t steps_per_epoch,
                                 const ts_run_summary *summary, ts_text *out, ts_error *err);

#endif
