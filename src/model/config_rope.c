// The rotary part of config.json. transformers 4 writes rope_theta and rope_scaling. transformers 5
// writes rope_parameters, which holds both. Files that both have written may hold any mix. In a
// family whose windowed layers have a rope of their own, transformers 4 writes its theta to
// rope_local_base_freq, and 5 nests rope_parameters: one block for each kind of attention.
#include "model/config_parts.h"

#include "base/keys.h"
#include "base/memory.h"

#include <float.h>
#include <string.h>

struct rope {
    const char *name; // of the file
    ts_rope_config config;
    const char *theta_place; // where theta was found; NULL: not found yet
    const char *kind_key;    // the key whose block named the kind; NULL: none has yet
};

// Keys of rope_scaling and rope_parameters.
static const ts_key block_keys[] = {
    {"rope_type", TS_KEY_READ},
    {"type", TS_KEY_READ},
    {"rope_theta", TS_KEY_READ},
    {"partial_rotary_factor", TS_KEY_ONLY, "[1]"},
};

static ts_status read_llama3(const cJSON *block, const char *key, const char *name,
                             ts_rope_config *out, ts_error *err);

// What each kind adds to them, and the reader of its numbers. Keys that only other kinds of rope
// use are ignored with a warning, as in transformers.
enum { KIND_KEYS = 4 };
static const struct {
    ts_key keys[KIND_KEYS]; // ends with a NULL name unless it is full
    ts_status (*read)(const cJSON *block, const char *key, const char *name, ts_rope_config *out,
                      ts_error *err);
} kinds[TS_ROPE_KIND_COUNT] = {
    [TS_ROPE_DEFAULT] = {.keys = {{"factor", TS_KEY_NOTE, "[1]"}}},
    [TS_ROPE_LLAMA3] = {.keys = {{"factor", TS_KEY_READ},
                                 {"low_freq_factor", TS_KEY_READ},
                                 {"high_freq_factor", TS_KEY_READ},
                                 {"original_max_position_embeddings", TS_KEY_READ}},
                        .read = read_llama3},
};

static ts_status read_llama3(const cJSON *block, const char *key, const char *name,
                             ts_rope_config *out, ts_error *err)
{
    ts_status status = TS_OK;
    uint64_t original;
    TS_TRY(ts_json_get_double(block, "factor", name, &out->factor, err));
    TS_TRY(ts_json_get_double(block, "low_freq_factor", name, &out->low_freq_factor, err));
    TS_TRY(ts_json_get_double(block, "high_freq_factor", name, &out->high_freq_factor, err));
    TS_TRY(ts_json_get_uint(block, "original_max_position_embeddings", 1, 1 << 24, name, &original,
                            err));
    out->original_positions = (uint32_t)original;
    if (!(out->factor >= 1 && out->factor <= FLT_MAX)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key '%s': 'factor': expected a number of at least 1, found %g",
                name, key, out->factor);
    }
    if (!(out->low_freq_factor > 0 && out->high_freq_factor > out->low_freq_factor &&
          out->high_freq_factor <= FLT_MAX)) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: key '%s': expected a 'low_freq_factor' above 0 and a 'high_freq_factor' above "
                "that, found %g and %g",
                name, key, out->low_freq_factor, out->high_freq_factor);
    }
out:
    return status;
}

static ts_status read_theta(const cJSON *from, const char *key, const char *place, struct rope *r,
                            ts_error *err)
{
    ts_status status = TS_OK;
    double theta = 0;
    const cJSON *value = ts_json_get(from, key);
    if (value == NULL || cJSON_IsNull(value)) {
        return TS_OK;
    }
    TS_TRY(ts_json_get_double(from, key, r->name, &theta, err));
    if (!(theta > 0 && theta <= FLT_MAX)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key '%s' %s: expected a number above 0, found %g", r->name, key,
                place, theta);
    }
    if (r->theta_place != NULL && r->config.theta != theta) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: key '%s' is %.17g %s and %.17g %s: programs differ in which of them they "
                "take; leave the one that the model was trained with",
                r->name, key, r->config.theta, r->theta_place, theta, place);
    }
    r->config.theta = theta;
    r->theta_place = place;
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

// Takes the kind of rope and its numbers from the block called `key`. Two blocks may both have them
// if they agree.
static ts_status take(const ts_rope_config *kind, const char *key, struct rope *r, ts_error *err)
{
    const ts_rope_config *had = &r->config;
    bool same = had->kind == kind->kind && had->factor == kind->factor &&
                had->low_freq_factor == kind->low_freq_factor &&
                had->high_freq_factor == kind->high_freq_factor &&
                had->original_positions == kind->original_positions;
    if (r->kind_key != NULL && !same) {
        return ts_error_set(err, TS_ERR_FORMAT,
                            "%s: keys '%s' and '%s' ask for different kinds of rope: programs "
                            "differ in which of them they take; leave the one that the model was "
                            "trained with",
                            r->name, r->kind_key, key);
    }
    r->config = *kind;
    r->kind_key = key;
    return TS_OK;
}

// Reads a block's kind of rope. One that is not implemented is refused.
static ts_status take_kind(const cJSON *block, const char *key, struct rope *r, ts_error *err)
{
    ts_status status = TS_OK;
    const char *spelt = NULL, *name = r->name;
    const cJSON *factor = ts_json_get(block, "factor");
    ts_rope_config kind = {.theta = r->config.theta};
    bool scales = factor != NULL && !cJSON_IsNull(factor) &&
                  !(cJSON_IsNumber(factor) && factor->valuedouble == 1);
    TS_TRY(read_kind(block, key, name, &spelt, err));
    if (spelt == NULL && scales) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key '%s' has a 'factor' and no 'rope_type' that says of what",
                name, key);
    }
    // Linear scaling divides the positions by its factor, so a factor of 1 changes nothing.
    bool is_linear = spelt != NULL && strcmp(spelt, "linear") == 0 && factor != NULL && !scales;
    if (spelt != NULL && !is_linear && !ts_rope_kind_find(spelt, &kind.kind)) {
        TS_TRY(ts_key_refuse(block, key, "rope_type 'default' or 'llama3'", NULL, name, err));
    }
    if (kinds[kind.kind].read != NULL) {
        TS_TRY(kinds[kind.kind].read(block, key, name, &kind, err));
    }
    if (spelt != NULL) {
        TS_TRY(take(&kind, key, r, err));
    }
out:
    return status;
}

static ts_status check_keys(const cJSON *block, ts_rope_kind kind, const char *name, ts_error *err)
{
    ts_key keys[TS_COUNT(block_keys) + KIND_KEYS];
    size_t count = TS_COUNT(block_keys);
    memcpy(keys, block_keys, sizeof block_keys);
    for (size_t i = 0; i < KIND_KEYS && kinds[kind].keys[i].name != NULL; i++) {
        keys[count++] = kinds[kind].keys[i];
    }
    return ts_keys_check(block, keys, count, false, name, err);
}

// Reads a block: an object with the kind of rope and its numbers. `key` is its name. `place` says
// for messages where it stands, as in "rope_theta is 5 in rope_scaling".
static ts_status read_block(const cJSON *block, const char *key, const char *place, struct rope *r,
                            ts_error *err)
{
    ts_status status = TS_OK;
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
    TS_TRY(read_theta(block, "rope_theta", place, r, err));
    TS_TRY(check_keys(block, r->config.kind, r->name, err));
out:
    return status;
}

// rope_parameters with a block for each kind of attention.
static ts_status read_nested(const cJSON *block, struct rope *whole, struct rope *local,
                             ts_error *err)
{
    // transformers 5 writes the last two as well, without a meaning.
    static const ts_key keys[] = {{"full_attention", TS_KEY_READ},
                                  {"sliding_attention", TS_KEY_READ},
                                  {"rope_type", TS_KEY_ONLY, "[\"default\"]"},
                                  {"rope_theta", TS_KEY_ONLY}};
    static const char key[] = "rope_parameters";
    ts_status status = TS_OK;
    if (ts_key_is_off(block)) {
        return TS_OK;
    }
    if (!cJSON_IsObject(block)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key '%s': expected an object, found %s", whole->name, key,
                ts_json_kind(block));
    }
    TS_TRY(ts_keys_check(block, keys, TS_COUNT(keys), true, whole->name, err));
    TS_TRY(read_block(ts_json_get(block, "full_attention"), "full_attention", "in rope_parameters",
                      whole, err));
    TS_TRY(read_block(ts_json_get(block, "sliding_attention"), "sliding_attention",
                      "in rope_parameters", local, err));
out:
    return status;
}

ts_status ts_config_read_rope(const cJSON *json, const char *name, ts_model_config *config,
                              ts_error *err)
{
    ts_status status = TS_OK;
    const ts_family *family = ts_family_of(config->family);
    const cJSON *parameters = ts_json_get(json, "rope_parameters");
    struct rope r = {.name = name, .config.theta = family->theta > 0 ? family->theta : 10000};
    struct rope local = {.name = name, .config.theta = family->local_theta};
    TS_TRY(
        read_block(ts_json_get(json, "rope_scaling"), "rope_scaling", "in rope_scaling", &r, err));
    if (family->local_theta > 0) {
        TS_TRY(read_nested(parameters, &r, &local, err));
        TS_TRY(read_theta(json, "rope_local_base_freq", "at the top", &local, err));
    } else {
        TS_TRY(read_block(parameters, "rope_parameters", "in rope_parameters", &r, err));
    }
    TS_TRY(read_theta(json, "rope_theta", "at the top", &r, err));
    config->rope = r.config;
    config->local_rope = local.config;
out:
    return status;
}
