// How likely each answer is to the reference model of a loss over pairs: the base with its adapter
// switched off, or with the adapter that training goes on with.
#ifndef TS_TRAIN_REFERENCE_H
#define TS_TRAIN_REFERENCE_H

#include "data/dataset.h"
#include "model/pass.h"

// *out[count of the dataset]: the sum of each example's labels' log-probabilities, in nats.
// `adapter`: by the model with its adapter, as it is now.
// Measured once, before training; the caller frees it. `batch` has room for the pass's limits,
// which hold each example. TS_ERR_STOPPED: the caller asked for it (base/log.h).
ts_status ts_reference_measure(const ts_dataset *dataset, ts_pass *pass, bool adapter,
                               ts_batch *batch, double **out, ts_error *err);

#endif
