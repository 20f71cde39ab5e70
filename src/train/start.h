// What a run starts from, where that is not a new adapter: one that exists (settings.adapter).
#ifndef TS_TRAIN_START_H
#define TS_TRAIN_START_H

#include "model/model.h"
#include "train/settings.h"

// Sets ranks, alphas, rsLoRA, DoRA and modules to those of the adapter in settings->adapter; does
// nothing without one. TS_ERR_ARGUMENT if one of them was asked for and is another. Nothing is put
// on a device. *start, which starts zeroed, owns the patterns that the settings then have.
ts_status ts_start_settle(ts_train_settings *settings, ts_adapter_config *start, ts_error *err);
// TS_ERR_ARGUMENT names a key of a pattern that no module of the model has.
ts_status ts_start_check_patterns(const ts_model_config *model, const ts_adapter_config *adapter,
                                  ts_error *err);

// Replaces the values of the model's adapter by those of the folder's. TS_ERR_FORMAT if they do not
// fit the model or are not finite F32.
ts_status ts_start_load(ts_model *model, const char *folder, ts_error *err);

#endif
