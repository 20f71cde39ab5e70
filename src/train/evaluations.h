// The losses that a run had on rows held out from training, and what follows from them: which step
// is the best, and when to stop early. All of it follows from the series alone, so that a resumed
// run decides as one that never stopped.
#ifndef TS_TRAIN_EVALUATIONS_H
#define TS_TRAIN_EVALUATIONS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Starts zeroed. The arrays have `count` entries, steps ascending.
typedef struct ts_evaluations {
    uint64_t *step; // after which it was evaluated, counted from 1
    double *loss;   // nats per supervised token; of a loss over pairs the mean over the pairs
    // Means over the pairs, where the loss is over pairs (set before the first entry): how much
    // higher the reward of the chosen answer is, and how often it is higher.
    bool pairs;
    double *margin, *accuracy;
    size_t count, capacity;
} ts_evaluations;

// Makes room for `count` entries.
ts_status ts_evaluations_reserve(ts_evaluations *evaluations, size_t count, ts_error *err);
// margin[] and accuracy[] of the new entry are 0, and the caller sets them.
ts_status ts_evaluations_push(ts_evaluations *evaluations, uint64_t step, double loss,
                              ts_error *err);
void ts_evaluations_free(ts_evaluations *evaluations);

// The index of the least loss, of the earliest among equal ones; SIZE_MAX if there is none.
size_t ts_evaluations_best(const ts_evaluations *evaluations);
// The step of it; 0 if there is none.
uint64_t ts_evaluations_best_step(const ts_evaluations *evaluations);

// Whether training stops after the last entry, as transformers' EarlyStoppingCallback does: the
// last `patience` evaluations in a row were not lower than the best before them by more than
// `threshold`. Never with a patience of 0.
bool ts_evaluations_stop(const ts_evaluations *evaluations, uint64_t patience, double threshold);

#endif
