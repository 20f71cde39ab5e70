// The parts of config.json that tell layers apart: which of them have a sliding window, and
// which rotate their queries and keys.
#include "model/config_parts.h"

#include "base/keys.h"
#include "base/memory.h"

#include <string.h>

// In a family without windows, a window that would make a difference is refused.
static ts_status refuse_window(const cJSON *json, const char *name, const ts_model_config *c,
                               ts_error *err)
{
    const cJSON *window = ts_json_get(json, "sliding_window");
    bool wide = cJSON_IsNumber(window) && window->valuedouble >= c->max_positions;
    if (ts_key_is_off(window) || wide || cJSON_IsFalse(ts_json_get(json, "use_sliding_window"))) {
        return TS_OK;
    }
    return ts_key_refuse(window, "sliding_window", NULL, "attention sees all that came before",
                         name, err);
}

// The window's size, 0 where it is switched off.
static ts_status read_window(const cJSON *json, const char *name, ts_model_config *c, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_family *family = ts_family_of(c->family);
    const cJSON *window = ts_json_get(json, "sliding_window");
    const cJSON *use = ts_json_get(json, "use_sliding_window");
    uint64_t number = family->window;
    if (family->windowed == TS_WINDOWED_UPPER && !cJSON_IsTrue(use)) {
        if (use != NULL && !cJSON_IsFalse(use)) {
            TS_FAIL(TS_ERR_FORMAT, "%s: key 'use_sliding_window': expected true or false, found %s",
                    name, ts_json_kind(use));
        }
        number = 0;
    } else if (cJSON_IsNull(window)) {
        number = 0;
    } else if (window != NULL) {
        TS_TRY(ts_json_get_uint(json, "sliding_window", 1, UINT32_MAX, name, &number, err));
    }
    c->window = (uint32_t)number;
out:
    return status;
}

// layer_types: the name of each layer's kind of attention.
static ts_status read_layer_types(const cJSON *json, const char *name, ts_model_config *c,
                                  ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *types = ts_json_get(json, "layer_types"), *type;
    uint32_t layer = 0;
    if (!cJSON_IsArray(types) || (uint32_t)cJSON_GetArraySize(types) != c->layers) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'layer_types': expected a kind for each of %u layers", name,
                c->layers);
    }
    cJSON_ArrayForEach(type, types)
    {
        const char *text = cJSON_GetStringValue(type);
        bool sliding = text != NULL && strcmp(text, "sliding_attention") == 0;
        if (!sliding && (text == NULL || strcmp(text, "full_attention") != 0)) {
            TS_TRY(ts_key_refuse(type, "layer_types", "\"full_attention\" or \"sliding_attention\"",
                                 NULL, name, err));
        }
        if (sliding && c->window == 0) {
            TS_FAIL(TS_ERR_FORMAT,
                    "%s: key 'layer_types' gives layer %u a sliding window, and the window is "
                    "switched off",
                    name, layer);
        }
        if (sliding) {
            ts_layer_add(&c->windowed, layer);
        }
        layer++;
    }
out:
    return status;
}

// Gemma: all layers but every n-th have a window.
static ts_status read_pattern(const cJSON *json, const char *name, ts_model_config *c,
                              ts_error *err)
{
    static const char *const keys[] = {"sliding_window_pattern", "_sliding_window_pattern"};
    ts_status status = TS_OK;
    uint64_t pattern = ts_family_of(c->family)->window_pattern;
    for (size_t i = TS_COUNT(keys); i-- > 0;) {
        const cJSON *value = ts_json_get(json, keys[i]);
        if (value != NULL && !cJSON_IsNull(value)) {
            TS_TRY(ts_json_get_uint(json, keys[i], 1, UINT32_MAX, name, &pattern, err));
        }
    }
    for (uint32_t layer = 0; layer < c->layers; layer++) {
        if ((layer + 1) % pattern != 0) {
            ts_layer_add(&c->windowed, layer);
        }
    }
    if (c->window == 0) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: key 'sliding_window' is null, and there are layers that have one", name);
    }
out:
    return status;
}

// Qwen: the layers from max_window_layers on have a window.
static ts_status read_upper(const cJSON *json, const char *name, ts_model_config *c, ts_error *err)
{
    ts_status status = TS_OK;
    uint64_t first = ts_family_of(c->family)->max_window_layers;
    if (ts_json_get(json, "max_window_layers") != NULL) {
        TS_TRY(ts_json_get_uint(json, "max_window_layers", 0, UINT32_MAX, name, &first, err));
    }
    for (uint64_t layer = first; layer < c->layers && c->window > 0; layer++) {
        ts_layer_add(&c->windowed, (uint32_t)layer);
    }
out:
    return status;
}

static ts_status read_windowed(const cJSON *json, const char *name, ts_model_config *c,
                               ts_error *err)
{
    const ts_windowed windowed = ts_family_of(c->family)->windowed;
    const cJSON *types = ts_json_get(json, "layer_types");
    if (windowed != TS_WINDOWED_ALL && types != NULL && !cJSON_IsNull(types)) {
        return read_layer_types(json, name, c, err);
    }
    if (windowed == TS_WINDOWED_UPPER) {
        return read_upper(json, name, c, err);
    }
    if (windowed == TS_WINDOWED_PATTERN) {
        return read_pattern(json, name, c, err);
    }
    for (uint32_t layer = 0; layer < c->layers; layer++) {
        ts_layer_add(&c->windowed, layer);
    }
    return TS_OK;
}

ts_status ts_config_read_windows(const cJSON *json, const char *name, ts_model_config *config,
                                 ts_error *err)
{
    ts_status status = TS_OK;
    if (ts_family_of(config->family)->windowed == TS_WINDOWED_NONE) {
        return refuse_window(json, name, config, err);
    }
    TS_TRY(read_window(json, name, config, err));
    TS_TRY(read_windowed(json, name, config, err));
    // A window as long as the longest sequence changes nothing, and neither does one that no layer
    // has.
    static const ts_layer_set none = {0};
    if (config->window >= config->max_positions ||
        memcmp(&config->windowed, &none, sizeof none) == 0) {
        config->window = 0;
    }
out:
    return status;
}

// no_rope_layers: a 1 for each layer that rotates, a 0 for each that does not.
static ts_status read_no_rope_layers(const cJSON *layers, const char *name, ts_model_config *c,
                                     ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *item;
    uint32_t layer = 0;
    if (!cJSON_IsArray(layers) || (uint32_t)cJSON_GetArraySize(layers) < c->layers) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'no_rope_layers': expected a number for each of %u layers",
                name, c->layers);
    }
    cJSON_ArrayForEach(item, layers)
    {
        bool rotates = cJSON_IsNumber(item) && item->valuedouble == 1;
        if (!rotates && !(cJSON_IsNumber(item) && item->valuedouble == 0)) {
            TS_FAIL(TS_ERR_FORMAT, "%s: key 'no_rope_layers': expected 0 or 1 for layer %u", name,
                    layer);
        }
        if (!rotates && layer < c->layers) {
            ts_layer_add(&c->unrotated, layer);
        }
        layer++;
    }
out:
    return status;
}

ts_status ts_config_read_unrotated(const cJSON *json, const char *name, ts_model_config *config,
                                   ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *layers = ts_json_get(json, "no_rope_layers");
    const cJSON *every = ts_json_get(json, "no_rope_layer_interval");
    uint64_t interval = ts_family_of(config->family)->no_rope_interval;
    if (interval == 0) { // every layer rotates
        return TS_OK;
    }
    if (layers != NULL && !cJSON_IsNull(layers)) {
        return read_no_rope_layers(layers, name, config, err);
    }
    if (every != NULL && !cJSON_IsNull(every)) {
        TS_TRY(
            ts_json_get_uint(json, "no_rope_layer_interval", 1, UINT32_MAX, name, &interval, err));
    }
    for (uint32_t layer = 0; layer < config->layers; layer++) {
        if ((layer + 1) % interval == 0) {
            ts_layer_add(&config->unrotated, layer);
        }
    }
out:
    return status;
}
