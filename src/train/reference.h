// How likely each answer is to the reference model of a loss over pairs: the base with its adapter
// switched off, or with the adapter that training goes on with.
#ifndef TS_TRAIN_REFERENCE_H
#define TS_TRAIN_REFERENCE_H

#include "base/ranks.h"
#include "data/dataset.h"
#include "model/pass.h"

// *out[count]: the sum of each example's labels' log-probabilities, in nats.
// `adapter`: by the model with its adapter, as it is now.
// Measured once, before training; the caller frees it. `batch` has room for the pass's limits,
// which hold each example. Ranks, which all call it, deal the examples among them.
// TS_ERR_STOPPED: the caller asked for it (base/log.h).
ts_status ts_reference_measure(const ts_example *examples, size_t count, ts_pass *pass,
                               bool adapter, ts_batch *batch, ts_ranks *ranks, double **out,
                               ts_error *err);

// The log-probability of every label that bears loss, by the model as it is, one example after the
// other, on all ranks. *whole is false if the caller was asked to stop before all were measured.
ts_status ts_reference_labels(const ts_example *examples, size_t count, ts_pass *pass,
                              ts_batch *batch, ts_ranks *ranks, float *labels, bool *whole,
                              ts_error *err);

#endif
