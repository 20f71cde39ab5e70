// What a run starts from, where that is not a new adapter: one that exists (settings.adapter).
#ifndef TS_TRAIN_START_H
#define TS_TRAIN_START_H

#include "model/model.h"
#include "train/settings.h"

// Sets rank, alpha, rsLoRA and modules to those of the adapter in settings->adapter; does nothing
// without one. TS_ERR_ARGUMENT if one of them was asked for and is another. Nothing is put on a
// device.
ts_status ts_start_settle(ts_train_settings *settings, ts_error *err);

// Replaces the values of the model's adapter by those of the folder's. TS_ERR_FORMAT if they do not
// fit the model or are not finite F32.
ts_status ts_start_load(ts_model *model, const char *folder, ts_error *err);

#endif
