// Watches a run for what is no error and yet no training: a loss that climbs, a gradient that has
// died. Each is warned of once, with what to try.
#ifndef TS_TRAIN_WATCH_H
#define TS_TRAIN_WATCH_H

#include "train/history.h"

// Starts zeroed.
typedef struct ts_watch {
    bool told_rise, told_death;
    double largest_norm; // of the gradient, so far
    size_t dead;         // how many steps in a row its norm was next to nothing
} ts_watch;

// After each step that went into the history. `vocab` is how many tokens the model knows, by which
// a loss is judged.
void ts_watch_step(ts_watch *watch, const ts_history *history, uint32_t vocab,
                   double learning_rate);

#endif
