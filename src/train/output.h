// The output folder of a run: who works in it, what it holds, and whether the run that is asked
// for may begin or go on there. Until that is settled nothing in it is touched.
#ifndef TS_TRAIN_OUTPUT_H
#define TS_TRAIN_OUTPUT_H

#include "base/json.h"
#include "train/settings.h"

// What stands in an output folder.
typedef struct ts_output_state {
    bool exists;       // the folder itself
    bool adapter;      // adapter_model.safetensors
    size_t count;      // checkpoints, whole or not
    uint64_t finished; // steps of the run whose result it holds whole; 0: none
    uint64_t whole;    // the highest checkpoint whose hashes hold; 0: none
    uint64_t planned;  // how many steps that one's run was to have
    uint64_t damaged;  // the highest checkpoint whose hashes do not hold; 0: none
} ts_output_state;

ts_status ts_output_inspect(const char *output_dir, ts_output_state *out, ts_error *err);

// How a run begins. Starts zeroed.
typedef struct ts_output_plan {
    ts_text checkpoint; // to go on from; empty: from the beginning
    uint64_t step;      // that it holds
    uint64_t longer;    // the steps of the finished run that goes on as a longer one; 0: no such
    bool finished;      // there is nothing to do: the run asked for has ended already
    bool replaces;      // the folder holds a run that this one replaces
} ts_output_plan;
void ts_output_plan_free(ts_output_plan *plan);

// Decides it, from the settings, `record` (of the run asked for) and what the folder holds, and
// says in the log what is not plain. TS_ERR_ARGUMENT: the folder holds another run, or this one
// cannot go on; TS_ERR_IO: the checkpoint that was named is not there.
ts_status ts_output_choose(const ts_train_settings *settings, const cJSON *record,
                           const ts_output_state *state, ts_output_plan *out, ts_error *err);

// One run at a time works in a folder: a lock (flock, which Linux passes on to the server of an
// NFS mount) on a file in it, gone with the process that holds it. Starts zeroed.
typedef struct ts_output_lock {
    int fd; // of the file, where `path` is not empty
    ts_text path;
} ts_output_lock;
// TS_ERR_ARGUMENT names who holds it: process, host, since when.
ts_status ts_output_lock_take(const char *output_dir, ts_output_lock *out, ts_error *err);
// The same error, where somebody holds it; touches nothing.
ts_status ts_output_lock_probe(const char *output_dir, ts_error *err);
void ts_output_lock_release(ts_output_lock *lock);

#endif
