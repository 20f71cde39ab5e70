// Watches a run for what is no error and yet no training: a loss that climbs, a gradient that has
// died. Each is warned of once, with what to try.
#ifndef TS_TRAIN_MONITOR_H
#define TS_TRAIN_MONITOR_H

#include "train/history.h"

// Starts zeroed.
typedef struct ts_monitor {
    bool warned_rise, warned_vanished;
    double largest_norm; // of the gradient, so far
    size_t dead;         // how many steps in a row its norm was next to nothing
} ts_monitor;

// After each step that went into the history. `vocab` is how many tokens the model knows, by which
// a loss is judged.
void ts_monitor_step(ts_monitor *monitor, const ts_history *history, uint32_t vocab,
                     double learning_rate);

#endif
