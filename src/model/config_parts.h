// Shared by the files that read a config.json.
#ifndef TS_MODEL_CONFIG_PARTS_H
#define TS_MODEL_CONFIG_PARTS_H

#include "model/config.h"

// Each reads one part of a config.json into *config, whose family, layers and max_positions are set
// already. Messages call the file `name`.

// rope_theta, rope_scaling, rope_parameters and rope_local_base_freq. TS_ERR_UNSUPPORTED names a
// kind of rope that is not implemented.
ts_status ts_config_read_rope(const cJSON *json, const char *name, ts_model_config *config,
                              ts_error *err);
// The size of the sliding window and the layers that have one. TS_ERR_UNSUPPORTED where the family
// has no windows and the file's would change the result.
ts_status ts_config_read_windows(const cJSON *json, const char *name, ts_model_config *config,
                                 ts_error *err);
// The layers that do not rotate their queries and keys.
ts_status ts_config_read_unrotated(const cJSON *json, const char *name, ts_model_config *config,
                                   ts_error *err);

#endif
