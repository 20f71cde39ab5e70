// Warns when training goes wrong without an error: the loss rises, or the gradient vanishes. Each
// warning is given once and says what to try.
#ifndef TS_TRAIN_MONITOR_H
#define TS_TRAIN_MONITOR_H

#include "train/history.h"

// Starts zeroed.
typedef struct ts_monitor {
    bool warned_rise, warned_vanished;
    double largest_norm; // of the gradient, so far
    size_t dead;         // how many steps in a row its norm was almost zero
} ts_monitor;

// Call it after each step was added to the history. `vocab` is the model's number of tokens: a loss
// above that of random guessing is suspicious.
void ts_monitor_step(ts_monitor *monitor, const ts_history *history, uint32_t vocab,
                     double learning_rate);

#endif
