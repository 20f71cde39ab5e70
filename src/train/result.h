// The files that a finished run leaves.
#ifndef TS_TRAIN_RESULT_H
#define TS_TRAIN_RESULT_H

#include "train/trainer.h"

// Writes trainer_state.json and the adapter, then what `callbacks` adds, then training.json. The
// run is finished when training.json exists. `seconds` is how long the run took.
ts_status ts_result_write(ts_trainer *trainer, double seconds, const ts_train_callbacks *callbacks,
                          ts_error *err);

#endif
