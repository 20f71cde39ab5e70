// Shared by the files that read a config.json.
#ifndef TS_MODEL_CONFIG_PARTS_H
#define TS_MODEL_CONFIG_PARTS_H

#include "model/config.h"

// Read what a config.json, which messages call `name`, says of single layers. Family, number of
// layers and positions of *config are set.
ts_status ts_config_read_windows(const cJSON *json, const char *name, ts_model_config *config,
                                 ts_error *err);

#endif
