// DoRA (Liu et al. 2024, https://arxiv.org/abs/2402.09353) as PEFT computes it: an adapted layer's
// output W x + scale B A x is multiplied, row by row, by magnitude / norm. The magnitudes are
// trained. norm is the length of the row of W + scale B A, and counts as a constant in gradients.
//
// W + scale B A is never formed. With squares, the lengths of W's own rows squared, found once,
//   norm^2 = squares + 2 scale rows of (W A^T) . B + scale^2 rows of (B A A^T) . B,
// which costs as much as a forward pass of as many tokens as the rank, whenever values change.
#ifndef TS_MODEL_DORA_H
#define TS_MODEL_DORA_H

#include "model/model.h"

// Takes the memory that all pairs need beyond their values. Without a device it only counts bytes.
ts_status ts_dora_place(ts_model *model, ts_error *err);
// Finds the squares of the rows of all adapted weights.
ts_status ts_dora_measure(ts_model *model, ts_error *err);
// Uploads the magnitudes of a new adapter: the lengths of W's rows, since B is zero.
ts_status ts_dora_start(ts_model *model, ts_error *err);
// Records what brings the pairs' factors up to date with the adapter's values. Nothing without DoRA
// or where the values are as they were.
void ts_dora_refresh(ts_model *model, ts_recorder *recorder);

#endif
