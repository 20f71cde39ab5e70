// The picture of a training's loss, learning rate and gradient norm, written beside its adapter.
#ifndef TS_API_CURVE_H
#define TS_API_CURVE_H

#include "train/trainer.h"

// Writes training_curve.png into the run's folder. It is used as ts_train_callbacks.add_results.
ts_status ts_api_write_curve(void *unused, const ts_trainer *trainer, ts_error *err);

#endif
