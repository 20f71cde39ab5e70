// What a finished run left in its output folder, read again to be compared with others.
#ifndef TS_EVAL_RUNS_H
#define TS_EVAL_RUNS_H

#include "base/json.h"
#include "eval/plot.h"

// Starts zeroed.
typedef struct ts_run {
    const char *folder;  // borrowed
    cJSON *training;     // training.json: the settings; NULL: there is none
    cJSON *state;        // trainer_state.json
    cJSON *evaluation;   // evaluation.json, what `eval` left; NULL: there is none
    double *step, *loss; // [count] of the log: the mean loss since the entry before
    size_t count;
    double train_loss, seconds; // the mean over all steps, and how long they took; NaN: not known
} ts_run;

// TS_ERR_IO where the folder holds no trainer_state.json, TS_ERR_FORMAT where that is not one.
ts_status ts_run_open(const char *folder, ts_run *out, ts_error *err);
void ts_run_close(ts_run *run);

#endif
