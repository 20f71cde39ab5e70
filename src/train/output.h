// The output folder of a run: its lock, what it contains, and whether the requested run may start
// or continue there. Nothing in the folder is changed before that is decided.
#ifndef TS_TRAIN_OUTPUT_H
#define TS_TRAIN_OUTPUT_H

#include "base/json.h"
#include "train/settings.h"

// What an output folder contains.
typedef struct ts_output_state {
    bool exists;       // the folder itself
    bool adapter;      // adapter_model.safetensors
    size_t count;      // checkpoints, complete or not
    uint64_t finished; // steps of the finished run whose result is complete; 0: none
    uint64_t whole;    // the highest checkpoint with correct hashes; 0: none
    uint64_t planned;  // the planned number of steps of that checkpoint's run
    uint64_t damaged;  // the highest checkpoint with a wrong hash; 0: none
} ts_output_state;

ts_status ts_output_inspect(const char *output_dir, ts_output_state *out, ts_error *err);

// How a run starts. Starts zeroed.
typedef struct ts_output_plan {
    ts_text checkpoint; // where to continue; empty: start from the beginning
    uint64_t step;      // of that checkpoint
    uint64_t longer;    // the steps of a finished run that this run makes longer; 0: none
    bool finished;      // there is nothing to do: the requested run has finished already
    bool replaces;      // the folder has a run that this one replaces
} ts_output_plan;
void ts_output_plan_free(ts_output_plan *plan);

// Decides how the run starts, from the settings, `record` (of the requested run) and the state of
// the folder. Logs what the user may not expect. TS_ERR_ARGUMENT: the folder has another run, or
// this run cannot continue. TS_ERR_IO: the named checkpoint does not exist.
ts_status ts_output_choose(const ts_train_settings *settings, const cJSON *record,
                           const ts_output_state *state, ts_output_plan *out, ts_error *err);

// Only one run at a time may use a folder. It holds a lock on a file in it (flock, which Linux
// forwards to the server of an NFS mount), which the system releases when the process ends. Starts
// zeroed.
typedef struct ts_output_lock {
    int file; // the open file, where `path` is not empty
    ts_text path;
} ts_output_lock;
// TS_ERR_ARGUMENT if another process holds the lock; the message names the process, its host and
// since when.
ts_status ts_output_lock_take(const char *output_dir, ts_output_lock *out, ts_error *err);
// The same error if another process holds the lock. Changes nothing.
ts_status ts_output_lock_probe(const char *output_dir, ts_error *err);
void ts_output_lock_release(ts_output_lock *lock);

#endif
