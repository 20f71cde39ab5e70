#include "data/bitsandbytes.h"

#include "base/blocks.h"
#include "base/keys.h"
#include "data/tensors_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 512 };

// ---- One weight

// What a weight's description says.
struct state {
    const char *path, *name; // for messages: the file's and the weight's
    uint64_t rows, cols, blocks;
    bool nested;
    float offset;
};

static const ts_key state_keys[] = {
    {"quant_type", TS_KEY_ONLY, "[\"nf4\"]"},
    {"blocksize", TS_KEY_ONLY, "[64]"},
    {"dtype", TS_KEY_READ}, // what the weight was before
    {"shape", TS_KEY_READ},
    {"nested_blocksize", TS_KEY_ONLY, "[256]"},
    {"nested_dtype", TS_KEY_ONLY, "[\"float32\"]"},
    {"nested_offset", TS_KEY_READ},
};

// Errors of this function and of the next do not name the file.
static ts_status read_shape(struct state *s, const cJSON *shape, ts_error *err)
{
    if (!cJSON_IsArray(shape) || cJSON_GetArraySize(shape) != 2 ||
        !ts_json_uint(shape->child, &s->rows) || !ts_json_uint(shape->child->next, &s->cols) ||
        s->rows == 0 || s->cols == 0 || s->rows > UINT32_MAX || s->cols > UINT32_MAX) {
        return ts_error_set(err, TS_ERR_FORMAT,
                            "the description of '%s': shape: expected two whole numbers from 1 to "
                            "4294967295",
                            s->name);
    }
    const uint32_t block = ts_dtype_block(TS_NF4);
    if (s->cols % block != 0) {
        return ts_error_set(err, TS_ERR_UNSUPPORTED,
                            "'%s' has rows of %llu, which are not whole blocks of %u", s->name,
                            (unsigned long long)s->cols, block);
    }
    s->blocks = s->rows * s->cols / block;
    return TS_OK;
}

static ts_status read_state(struct state *s, const ts_tensor *text, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *json = NULL;
    TS_TRY(ts_json_parse(text->bytes, text->len, text->name, &json, err));
    if (!cJSON_IsObject(json)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: expected an object, found %s", text->name, ts_json_kind(json));
    }
    TS_TRY(ts_keys_check(json, state_keys, TS_COUNT(state_keys), true, text->name, err));
    if (ts_json_get(json, "quant_type") == NULL || ts_json_get(json, "blocksize") == NULL) {
        TS_FAIL(TS_ERR_FORMAT, "%s: quant_type or blocksize is missing", text->name);
    }
    TS_TRY(read_shape(s, ts_json_get(json, "shape"), err));
    const cJSON *offset = ts_json_get(json, "nested_offset");
    s->nested = ts_json_get(json, "nested_blocksize") != NULL;
    if (s->nested != (offset != NULL) || (s->nested && !cJSON_IsNumber(offset))) {
        TS_FAIL(TS_ERR_FORMAT, "%s: nested_blocksize and a number nested_offset go together",
                text->name);
    }
    s->offset = s->nested ? (float)offset->valuedouble : 0;
out:
    cJSON_Delete(json);
    return status;
}

// Finds the tensor NAME.PART and checks its type and its number of elements.
static ts_status find_part(ts_tensors *tensors, const struct state *s, const char *part,
                           ts_dtype dtype, uint64_t count, const ts_tensor **out, ts_error *err)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%s%s", s->name, part);
    *out = ts_tensors_find(tensors, name);
    if (*out == NULL) {
        return ts_error_set(err, TS_ERR_FORMAT, "%s: tensor '%s' is missing, which '%s' needs",
                            s->path, name, s->name);
    }
    if ((*out)->dtype != dtype || (*out)->len != count * ts_dtype_bytes(dtype)) {
        return ts_error_set(
            err, TS_ERR_FORMAT,
            "%s: tensor '%s' has %llu bytes of %s; expected %llu elements of %s for '%s' of "
            "[%llu, %llu]",
            s->path, name, (unsigned long long)(*out)->len, ts_dtype_name((*out)->dtype),
            (unsigned long long)count, ts_dtype_name(dtype), s->name, (unsigned long long)s->rows,
            (unsigned long long)s->cols);
    }
    return TS_OK;
}

// The levels must be NF4's own, for the shaders know no others.
static ts_status check_levels(const struct state *s, const float levels[16], ts_error *err)
{
    for (int i = 0; i < 16; i++) {
        if (levels[i] != ts_nf4_levels[i]) {
            return ts_error_set(err, TS_ERR_UNSUPPORTED,
                                "%s: '%s.quant_map': level %d is %.9g, NF4's is %.9g", s->path,
                                s->name, i, (double)levels[i], (double)ts_nf4_levels[i]);
        }
    }
    return TS_OK;
}

static ts_status find_scales(ts_tensors *tensors, const struct state *s, ts_nf4_scales *out,
                             ts_error *err)
{
    ts_status status = TS_OK;
    const ts_tensor *absmax, *levels, *groups;
    out->blocks = s->blocks;
    if (!s->nested) {
        TS_TRY(find_part(tensors, s, ".absmax", TS_F32, s->blocks, &absmax, err));
        out->absmax = absmax->bytes;
        goto out;
    }
    TS_TRY(find_part(tensors, s, ".absmax", TS_U8, s->blocks, &absmax, err));
    TS_TRY(find_part(tensors, s, ".nested_quant_map", TS_F32, 256, &levels, err));
    TS_TRY(find_part(tensors, s, ".nested_absmax", TS_F32, ts_ceil_div(s->blocks, TS_NF4_GROUP),
                     &groups, err));
    out->codes = absmax->bytes;
    out->levels = levels->bytes;
    out->groups = groups->bytes;
    out->offset = s->offset;
out:
    return status;
}

// Turns the weight `name` into NF4 as its description says: the tensor `text`,
// NAME.quant_state.bitsandbytes__nf4.
static ts_status gather_weight(ts_tensors *tensors, const char *name, const ts_tensor *text,
                               ts_error *err)
{
    ts_status status = TS_OK;
    struct state s = {.path = tensors->path, .name = name};
    const ts_tensor *weight, *levels;
    ts_nf4_scales *scales;
    if ((status = read_state(&s, text, err)) != TS_OK) {
        ts_error_context(err, "%s", tensors->path);
        goto out;
    }
    TS_TRY(find_part(tensors, &s, "", TS_U8, s.rows * s.cols / 2, &weight, err));
    TS_TRY(find_part(tensors, &s, ".quant_map", TS_F32, 16, &levels, err));
    TS_TRY(check_levels(&s, levels->bytes, err));
    TS_TRY(ts_arena_alloc(&tensors->arena, 1, sizeof *scales, &scales, err));
    *scales = (ts_nf4_scales){0};
    TS_TRY(find_scales(tensors, &s, scales, err));
    ts_tensor *made = &tensors->tensors[weight - tensors->tensors];
    made->dtype = TS_NF4;
    made->rank = 2;
    made->shape[0] = s.rows, made->shape[1] = s.cols;
    made->scales = scales;
out:
    return status;
}

// ---- All of them

static const char state_suffix[] = ".quant_state.bitsandbytes__";

// Whether `name` is one of the tensors that describe a weight which has been gathered.
static bool is_part(const ts_tensors *tensors, const char *name)
{
    static const char *const parts[] = {".absmax", ".quant_map", ".nested_absmax",
                                        ".nested_quant_map", ".quant_state.bitsandbytes__nf4"};
    const size_t len = strlen(name);
    char weight[NAME_BYTES];
    for (size_t i = 0; i < TS_COUNT(parts); i++) {
        const size_t end = strlen(parts[i]);
        if (len > end && len < sizeof weight && strcmp(name + len - end, parts[i]) == 0) {
            snprintf(weight, sizeof weight, "%.*s", (int)(len - end), name);
            const ts_tensor *owner = ts_tensors_find(tensors, weight);
            if (owner != NULL && owner->scales != NULL) {
                return true;
            }
        }
    }
    return false;
}

ts_status ts_bitsandbytes_gather(ts_tensors *tensors, ts_error *err)
{
    ts_status status = TS_OK;
    char weight[NAME_BYTES];
    bool *part = NULL;
    size_t found = 0, kept = 0;
    for (size_t i = 0; i < tensors->count; i++) {
        const ts_tensor *t = &tensors->tensors[i];
        const char *suffix = strstr(t->name, state_suffix);
        if (suffix == NULL) {
            continue;
        }
        if (strcmp(suffix + sizeof state_suffix - 1, "nf4") != 0) {
            TS_FAIL(TS_ERR_UNSUPPORTED,
                    "%s: '%.*s' is in bitsandbytes' %.20s: only nf4 is "
                    "implemented; take the model's unquantised weights",
                    tensors->path, (int)(suffix - t->name), t->name,
                    suffix + sizeof state_suffix - 1);
        }
        if (t->dtype != TS_U8 || (size_t)(suffix - t->name) >= sizeof weight - 64) {
            TS_FAIL(TS_ERR_FORMAT, "%s: tensor '%.600s' is no description of a weight",
                    tensors->path, t->name);
        }
        snprintf(weight, sizeof weight, "%.*s", (int)(suffix - t->name), t->name);
        TS_TRY(gather_weight(tensors, weight, t, err));
        found++;
    }
    if (found == 0) {
        goto out;
    }
    TS_TRY(ts_alloc(tensors->count, sizeof *part, &part, err));
    for (size_t i = 0; i < tensors->count; i++) {
        part[i] = is_part(tensors, tensors->tensors[i].name);
    }
    for (size_t i = 0; i < tensors->count; i++) {
        if (!part[i]) {
            tensors->tensors[kept++] = tensors->tensors[i];
        }
    }
    tensors->count = kept;
out:
    free(part);
    return status;
}

// ---- config.json

static const ts_key config_keys[] = {
    {"quant_method", TS_KEY_ONLY, "[\"bitsandbytes\"]", "take the model's unquantised weights"},
    {"load_in_8bit", TS_KEY_ONLY, NULL, "take the unquantised weights and --quantize q8_0"},
    {"_load_in_8bit", TS_KEY_ONLY, NULL, "take the unquantised weights and --quantize q8_0"},
    {"load_in_4bit", TS_KEY_READ},
    {"_load_in_4bit", TS_KEY_READ},
    {"bnb_4bit_quant_type", TS_KEY_ONLY, "[\"nf4\"]", "take the unquantised weights"},
    {"bnb_4bit_quant_storage", TS_KEY_ONLY, "[\"uint8\"]", "take the unquantised weights"},
    {"bnb_4bit_use_double_quant", TS_KEY_READ}, // each weight's description says it
    {"bnb_4bit_compute_dtype", TS_KEY_READ},    // --precision decides
    {"llm_int8_skip_modules", TS_KEY_READ},
    {"llm_int8_enable_fp32_cpu_offload", TS_KEY_READ}, // for 8 bits only, as those that follow
    {"llm_int8_has_fp16_weight", TS_KEY_READ},
    {"llm_int8_threshold", TS_KEY_READ},
};

ts_status ts_bitsandbytes_check_config(const cJSON *config, const char *file, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *skip = ts_json_get(config, "llm_int8_skip_modules"), *entry;
    char name[NAME_BYTES];
    if (config == NULL || cJSON_IsNull(config)) {
        goto out;
    }
    snprintf(name, sizeof name, "%.480s: quantization_config", file);
    if (!cJSON_IsObject(config)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: expected an object, found %s", name, ts_json_kind(config));
    }
    const cJSON *method = ts_json_get(config, "quant_method");
    // Another method has other keys, so it is refused before they are checked.
    if (method != NULL && !ts_key_is_one_of(method, config_keys[0].only)) {
        TS_TRY(ts_key_refuse(method, "quant_method", config_keys[0].only, config_keys[0].todo, name,
                             err));
    }
    TS_TRY(ts_keys_check(config, config_keys, TS_COUNT(config_keys), true, name, err));
    if (method == NULL || !cJSON_IsTrue(ts_json_get(config, "load_in_4bit"))) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "%s: only bitsandbytes' load_in_4bit is implemented: take the "
                "model's unquantised weights",
                name);
    }
    if (ts_json_get(config, "bnb_4bit_quant_type") == NULL) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "%s: without bnb_4bit_quant_type it is fp4, and only nf4 is "
                "implemented: take the model's unquantised weights",
                name);
    }
    if (skip != NULL && !cJSON_IsNull(skip) && !cJSON_IsArray(skip)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: llm_int8_skip_modules: expected an array, found %s", name,
                ts_json_kind(skip));
    }
    cJSON_ArrayForEach(entry, skip)
    {
        if (!cJSON_IsString(entry)) {
            TS_FAIL(TS_ERR_FORMAT, "%s: llm_int8_skip_modules: expected strings, found %s", name,
                    ts_json_kind(entry));
        }
    }
out:
    return status;
}

// Whether the tensor `name` belongs to `module`. As in transformers, `module` is any whole part of
// the tensor's path: the linear layer, or a module that contains it.
static bool is_within(const char *name, const char *module)
{
    const size_t len = strlen(module);
    for (const char *at = strstr(name, module); at != NULL && len > 0;
         at = strstr(at + 1, module)) {
        if ((at == name || at[-1] == '.') && at[len] == '.') {
            return true;
        }
    }
    return false;
}

bool ts_bitsandbytes_claims(const cJSON *config, const char *name)
{
    const cJSON *skip = ts_json_get(config, "llm_int8_skip_modules"), *entry;
    if (!cJSON_IsObject(config)) {
        return false;
    }
    if (!cJSON_IsArray(skip)) {
        return !is_within(name, "lm_head");
    }
    cJSON_ArrayForEach(entry, skip)
    {
        if (is_within(name, entry->valuestring)) {
            return false;
        }
    }
    return true;
}
