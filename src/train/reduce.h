// The sum of all ranks' gradients, computed after the backward pass and before clipping.
#ifndef TS_TRAIN_REDUCE_H
#define TS_TRAIN_REDUCE_H

#include "model/pass.h"
#include "train/batches.h"

// Called once a step, when this rank's micro-batches are recorded: afterwards pass->gradients are
// the sum over the micro-batches of all ranks, to the same bits on every rank. With one rank there
// is nothing to sum: nothing is recorded, copied or waited for. More than one rank is
// TS_ERR_UNSUPPORTED.
ts_status ts_reduce(ts_ranks ranks, ts_pass *pass, ts_error *err);

#endif
