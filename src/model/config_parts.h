// Shared by the files that read a config.json.
#ifndef TS_MODEL_CONFIG_PARTS_H
#define TS_MODEL_CONFIG_PARTS_H

#include "model/config.h"

// Each reads a part of a config.json, which messages call `name`. Family, number of layers and
// positions of *config are set.

// rope_theta, rope_scaling, rope_parameters and rope_local_base_freq. TS_ERR_UNSUPPORTED names a
// kind of rope that is not implemented.
ts_status ts_config_read_rope(const cJSON *json, const char *name, ts_model_config *config,
                              ts_error *err);
// Which layers have a window.
ts_status ts_config_read_windows(const cJSON *json, const char *name, ts_model_config *config,
                                 ts_error *err);
// Which layers do not rotate their queries and keys.
ts_status ts_config_read_unrotated(const cJSON *json, const char *name, ts_model_config *config,
                                   ts_error *err);

#endif
