// The files that a run leaves when it has come to its end.
#ifndef TS_TRAIN_RESULT_H
#define TS_TRAIN_RESULT_H

#include "train/trainer.h"

// trainer_state.json and the adapter, then what `callbacks` adds, then training.json: where that is
// the run is finished. `seconds` is how long it took.
ts_status ts_result_write(ts_trainer *trainer, double seconds, const ts_train_callbacks *callbacks,
                          ts_error *err);

#endif
