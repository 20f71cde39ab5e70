// The rotary part of config.json. transformers 4 writes rope_theta and rope_scaling. transformers 5
// writes rope_parameters, which holds both. Files that both have written may hold any mix.
#include "base/keys.h"
#include "base/memory.h"
#include "model/rope.h"

#include <float.h>
#include <string.h>

// The default of transformers.
#define DEFAULT_THETA 10000.0

struct rope {
    const char *name; // of the file
    double theta;
    ts_rope_kind kind;
    const char *place; // where theta was found; NULL: not found yet
};

// Keys of rope_scaling and rope_parameters. Keys that only other kinds of rope use are ignored with
// a warning where the kind is default, as in transformers.
static const ts_key block_keys[] = {
    {"rope_type", TS_KEY_READ},     {"type", TS_KEY_READ},
    {"rope_theta", TS_KEY_READ},    {"partial_rotary_factor", TS_KEY_ONLY, "[1]"},
    {"factor", TS_KEY_NOTE, "[1]"},
};

static ts_status read_theta(const cJSON *from, const char *place, struct rope *r, ts_error *err)
{
    ts_status status = TS_OK;
    double theta = 0;
    const cJSON *value = ts_json_get(from, "rope_theta");
    if (value == NULL || cJSON_IsNull(value)) {
        return TS_OK;
    }
    TS_TRY(ts_json_get_double(from, "rope_theta", r->name, &theta, err));
    if (!(theta > 0 && theta <= FLT_MAX)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'rope_theta' %s: expected a number above 0, found %g",
                r->name, place, theta);
    }
    if (r->place != NULL && r->theta != theta) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: key 'rope_theta' is %.17g %s and %.17g %s: programs differ in which of them "
                "they take; leave the one that the model was trained with",
                r->name, r->theta, r->place, theta, place);
    }
    r->theta = theta;
    r->place = place;
out:
    return status;
}

// rope_type, which older files spell type.
static ts_status read_kind(const cJSON *block, const char *key, const char *name, const char **kind,
                           ts_error *err)
{
    ts_status status = TS_OK;
    static const char *const spellings[] = {"rope_type", "type"};
    *kind = NULL;
    for (size_t i = 0; i < TS_COUNT(spellings); i++) {
        const cJSON *value = ts_json_get(block, spellings[i]);
        if (value == NULL || cJSON_IsNull(value)) {
            continue;
        }
        const char *text = NULL;
        TS_TRY(ts_json_get_text(block, spellings[i], name, &text, err));
        if (*kind != NULL && strcmp(*kind, text) != 0) {
            TS_FAIL(TS_ERR_FORMAT,
                    "%s: key '%s': rope_type is '%.40s' and type is '%.40s'; which is meant?", name,
                    key, *kind, text);
        }
        *kind = text;
    }
out:
    return status;
}

// A kind of rope that is not implemented is refused.
static ts_status take_kind(const cJSON *block, const char *key, struct rope *r, ts_error *err)
{
    ts_status status = TS_OK;
    const char *kind = NULL, *name = r->name;
    const cJSON *factor = ts_json_get(block, "factor");
    bool scales = factor != NULL && !cJSON_IsNull(factor) &&
                  !(cJSON_IsNumber(factor) && factor->valuedouble == 1);
    TS_TRY(read_kind(block, key, name, &kind, err));
    if (kind == NULL && scales) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key '%s' has a 'factor' and no 'rope_type' that says of what",
                name, key);
    }
    // Linear scaling divides the positions by its factor, so a factor of 1 changes nothing.
    bool is_linear = kind != NULL && strcmp(kind, "linear") == 0 && factor != NULL && !scales;
    if (kind != NULL && !is_linear && !ts_rope_kind_find(kind, &r->kind)) {
        TS_TRY(ts_key_refuse(block, key, "rope_type 'default'", NULL, name, err));
    }
out:
    return status;
}

static ts_status read_block(const cJSON *json, const char *key, struct rope *r, ts_error *err)
{
    ts_status status = TS_OK;
    bool scaling = strcmp(key, "rope_scaling") == 0;
    const cJSON *block = ts_json_get(json, key);
    if (ts_key_is_off(block)) {
        return TS_OK;
    }
    if (!cJSON_IsObject(block)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key '%s': expected an object, found %s", r->name, key,
                ts_json_kind(block));
    }
    for (const cJSON *entry = block->child; entry != NULL; entry = entry->next) {
        if (cJSON_IsObject(entry)) { // "full_attention": {...}, "sliding_attention": {...}
            TS_TRY(ts_key_refuse(block, key, "one for all layers", NULL, r->name, err));
        }
    }
    TS_TRY(take_kind(block, key, r, err));
    TS_TRY(read_theta(block, scaling ? "in rope_scaling" : "in rope_parameters", r, err));
    TS_TRY(ts_keys_check(block, block_keys, TS_COUNT(block_keys), false, r->name, err));
out:
    return status;
}

ts_status ts_rope_config_read(const cJSON *json, const char *name, ts_rope_config *out,
                              ts_error *err)
{
    ts_status status = TS_OK;
    struct rope r = {.name = name, .theta = DEFAULT_THETA};
    TS_TRY(read_block(json, "rope_scaling", &r, err));
    TS_TRY(read_block(json, "rope_parameters", &r, err));
    TS_TRY(read_theta(json, "at the top", &r, err));
    *out = (ts_rope_config){.kind = r.kind, .theta = r.theta};
out:
    return status;
}
