// Reads what a finished run left in its output folder, to compare it with other runs.
#ifndef TS_EVAL_RUNS_H
#define TS_EVAL_RUNS_H

#include "base/json.h"
#include "eval/plot.h"

// Starts zeroed.
typedef struct ts_run {
    const char *folder; // borrowed
    cJSON *training;    // training.json, the settings; NULL: the file does not exist
    cJSON *state;       // trainer_state.json
    cJSON *evaluation;  // evaluation.json, written by `eval`; NULL: the file does not exist
    // [count] one for each entry of the log; loss is the mean since the entry before.
    double *step, *loss;
    size_t count;
    // The mean loss over all steps and how long they took; NaN: not known.
    double train_loss, seconds;
} ts_run;

// TS_ERR_IO if the folder has no trainer_state.json, TS_ERR_FORMAT if that file is not valid.
// Release *out with ts_run_close.
ts_status ts_run_open(const char *folder, ts_run *out, ts_error *err);
void ts_run_close(ts_run *run);

// What `eval` found on prompts that training did not see, or on the seen ones where it saw all: of
// both models, and of the one with its adapter (of the base where that alone was evaluated). NULL:
// nothing.
const cJSON *ts_run_judged(const ts_run *run);
const cJSON *ts_run_scores(const ts_run *run);

#endif
