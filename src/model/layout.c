// Everything here works on the files' headers: no weight is read or placed.
#include "model/layout.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/bitsandbytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ts_module_shape(const ts_model_config *config, ts_module module, uint32_t *out, uint32_t *in)
{
    uint32_t q = ts_config_q_size(config), kv = ts_config_kv_size(config);
    const uint32_t shapes[TS_MODULE_COUNT][2] = {
        [TS_MODULE_Q] = {q, config->hidden},
        [TS_MODULE_K] = {kv, config->hidden},
        [TS_MODULE_V] = {kv, config->hidden},
        [TS_MODULE_O] = {config->hidden, q},
        [TS_MODULE_GATE] = {config->ffn, config->hidden},
        [TS_MODULE_UP] = {config->ffn, config->hidden},
        [TS_MODULE_DOWN] = {config->hidden, config->ffn},
    };
    *out = shapes[module][0];
    *in = shapes[module][1];
}

static const ts_tensor_names *names_of(const ts_model_config *config)
{
    return &ts_family_of(config->family)->tensors;
}

// How many weights a layer has: its norms, its linear layers and their biases.
static uint32_t count_in_layer(const ts_model_config *config)
{
    uint32_t count = TS_MODULE_COUNT;
    for (ts_norm norm = 0; norm < TS_NORM_COUNT; norm++) {
        count += names_of(config)->norms[norm] != NULL;
    }
    for (ts_module module = 0; module < TS_MODULE_COUNT; module++) {
        count += (ts_family_of(config->family)->biases & TS_MODULE_BIT(module)) != 0;
    }
    return count;
}

uint32_t ts_weight_count(const ts_model_config *config)
{
    return 1 + config->layers * count_in_layer(config) + 1 + !config->tied;
}

void ts_module_tensor(const ts_model_config *config, uint32_t layer, ts_module module,
                      char out[TS_WEIGHT_NAME_BYTES])
{
    snprintf(out, TS_WEIGHT_NAME_BYTES, "%s.%u.%s", names_of(config)->layers, layer,
             ts_module_path(module));
}

static void describe_norm(const ts_model_config *config, ts_norm norm, ts_weight *out)
{
    const ts_tensor_names *names = names_of(config);
    uint32_t parts;
    out->part = TS_WEIGHT_NORM;
    out->norm = norm;
    out->plus_one = ts_family_of(config->family)->norm_plus_one;
    ts_config_norm_shape(config, norm, &parts, &out->cols);
    snprintf(out->name, sizeof out->name, "%s.%u.%s.weight", names->layers, out->layer,
             names->norms[norm]);
}

static void describe_linear(const ts_model_config *config, ts_module module, bool bias,
                            ts_weight *out)
{
    char prefix[TS_WEIGHT_NAME_BYTES - sizeof ".weight"];
    ts_module_shape(config, module, &out->rows, &out->cols);
    out->part = TS_WEIGHT_LINEAR;
    out->module = module;
    if (bias) {
        out->part = TS_WEIGHT_BIAS;
        out->cols = out->rows;
        out->rows = 0;
    }
    snprintf(prefix, sizeof prefix, "%s.%u.%s", names_of(config)->layers, out->layer,
             ts_module_path(module));
    snprintf(out->name, sizeof out->name, "%s.%s", prefix, bias ? "bias" : "weight");
}

// Weight `index` of a layer: first the norms, then each linear layer with its bias.
static void describe_in_layer(const ts_model_config *config, uint32_t index, ts_weight *out)
{
    for (ts_norm norm = 0; norm < TS_NORM_COUNT; norm++) {
        if (names_of(config)->norms[norm] != NULL && index-- == 0) {
            describe_norm(config, norm, out);
            return;
        }
    }
    for (ts_module module = 0; module < TS_MODULE_COUNT; module++) {
        bool has_bias = ts_family_of(config->family)->biases & TS_MODULE_BIT(module);
        if (index <= has_bias) {
            describe_linear(config, module, index == 1, out);
            return;
        }
        index -= 1 + has_bias;
    }
}

void ts_weight_describe(const ts_model_config *config, uint32_t index, ts_weight *out)
{
    uint32_t in_layer = count_in_layer(config), after = 1 + config->layers * in_layer;
    const ts_tensor_names *names = names_of(config);
    *out = (ts_weight){.cols = config->hidden};
    if (index == 0) {
        out->part = TS_WEIGHT_EMBEDDING;
        out->rows = config->vocab;
        snprintf(out->name, sizeof out->name, "%s.weight", names->embedding);
    } else if (index < after) {
        out->layer = (index - 1) / in_layer;
        describe_in_layer(config, (index - 1) % in_layer, out);
    } else if (index == after) {
        out->part = TS_WEIGHT_FINAL_NORM;
        out->plus_one = ts_family_of(config->family)->norm_plus_one;
        snprintf(out->name, sizeof out->name, "%s.weight", names->final_norm);
    } else {
        out->part = TS_WEIGHT_HEAD;
        out->rows = config->vocab;
        snprintf(out->name, sizeof out->name, "%s.weight", names->head);
    }
}

static ts_status refuse_type(const ts_tensor *tensor, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text names = {0};
    for (ts_dtype dtype = 0; dtype < TS_WEIGHT_TYPES; dtype++) {
        TS_TRY(ts_text_list(&names, dtype + 1 == TS_WEIGHT_TYPES ? " or " : ", ",
                            ts_dtype_name(dtype), err));
    }
    TS_FAIL(TS_ERR_UNSUPPORTED, "tensor '%s' is %s; weights may be %s", tensor->name,
            ts_dtype_name(tensor->dtype), names.bytes);
out:
    ts_text_free(&names);
    return status;
}

ts_status ts_weight_find(const ts_tensors *file, const ts_weight *weight, const ts_tensor **out,
                         ts_error *err)
{
    ts_status status = TS_OK;
    const uint64_t matrix[] = {weight->rows, weight->cols}, vector[] = {weight->cols};
    TS_TRY(ts_tensors_expect(file, weight->name, weight->rows > 0 ? 2 : 1,
                             weight->rows > 0 ? matrix : vector, out, err));
    if ((*out)->dtype >= TS_WEIGHT_TYPES) {
        TS_TRY(refuse_type(*out, err));
    }
    if ((*out)->scales != NULL && weight->part != TS_WEIGHT_LINEAR &&
        weight->part != TS_WEIGHT_HEAD) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "%s is in bitsandbytes' NF4: that is implemented for linear layers and lm_head",
                weight->name);
    }
out:
    return status;
}

ts_dtype ts_embedding_dtype(const ts_model_config *config, const ts_tensors *files)
{
    ts_weight weight;
    ts_weight_describe(config, 0, &weight);
    return ts_tensors_find(files, weight.name)->dtype;
}

// ---- All of them at once

// With tie_word_embeddings true, lm_head is the embedding, and a file need not hold it. If it holds
// a different one all the same, that one is used, as in transformers 5 (4 ignored it).
static void settle_tie(const ts_tensors *file, const char *folder, ts_model_config *config)
{
    ts_model_config untied = *config;
    ts_weight first, last;
    untied.tied = false;
    ts_weight_describe(&untied, 0, &first);
    ts_weight_describe(&untied, ts_weight_count(&untied) - 1, &last);
    const ts_tensor *head = ts_tensors_find(file, last.name);
    const ts_tensor *embedding = ts_tensors_find(file, first.name);
    if (!config->tied || head == NULL || embedding == NULL) {
        return;
    }
    bool same = head->dtype == embedding->dtype && head->len == embedding->len &&
                memcmp(head->bytes, embedding->bytes, head->len) == 0;
    ts_tensors_release(file, head);
    ts_tensors_release(file, embedding);
    if (!same) {
        config->tied = false;
        ts_log_once(TS_LOG_WARN,
                    "%s: config.json says that %s is the embedding, and the file holds another "
                    "one: that one is taken, as transformers 5 does",
                    folder, last.name);
    }
}

// Unused tensors that need no warning: buffers that old versions of transformers saved, and a head
// that repeats the embedding.
static bool is_expected(const ts_model_config *config, const char *name)
{
    static const char buffer[] = ".rotary_emb.inv_freq", weight[] = ".weight";
    const char *head = names_of(config)->head;
    size_t len = strlen(name), tail = sizeof buffer - 1, start = strlen(head);
    return (len >= tail && strcmp(name + len - tail, buffer) == 0) ||
           (config->tied && strncmp(name, head, start) == 0 && strcmp(name + start, weight) == 0);
}

static ts_status tell_extra(const ts_model_config *config, const ts_tensors *file,
                            const bool *needed, const char *folder, ts_error *err)
{
    enum { NAMED = 4 }; // the warning names so many and counts the rest
    ts_status status = TS_OK;
    ts_text list = {0};
    const char *first = NULL;
    size_t extra = 0, absent = ts_tensors_absent(file, &first);
    for (size_t i = 0; i < ts_tensors_count(file); i++) {
        const char *name = ts_tensors_at(file, i)->name;
        if (!needed[i] && !is_expected(config, name) && extra++ < NAMED) {
            TS_TRY(ts_text_format(&list, err, "%s%.80s", list.len > 0 ? ", " : "", name));
        }
    }
    if (extra > 0) {
        ts_log_once(TS_LOG_WARN,
                    "%s: %zu tensor%s that a %s of this config.json has no use for: %s%s", folder,
                    extra, ts_plural(extra), ts_family_of(config->family)->name, list.bytes,
                    extra > NAMED ? ", ..." : "");
    }
    if (absent > 0) {
        ts_log_once(TS_LOG_WARN,
                    "%s: the index names %zu tensor%s that no file holds and nobody needs: %s%s",
                    folder, absent, ts_plural(absent), first, absent > 1 ? ", ..." : "");
    }
out:
    ts_text_free(&list);
    return status;
}

// Holds the linear layers against what config.json's quantization_config says of them.
static ts_status check_claims(ts_weights *model, const ts_model_config *config,
                              const ts_tensors *tensors, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *json, *claims;
    const char *first = NULL;
    uint32_t plain = 0;
    TS_TRY(ts_weights_read(model, TS_PART_CONFIG, &json, NULL, err));
    claims = ts_json_get(json, "quantization_config");
    for (uint32_t i = 0; cJSON_IsObject(claims) && i < ts_weight_count(config); i++) {
        ts_weight weight;
        ts_weight_describe(config, i, &weight);
        if (weight.part != TS_WEIGHT_LINEAR && weight.part != TS_WEIGHT_HEAD) {
            continue;
        }
        const bool nf4 = ts_tensors_find(tensors, weight.name)->dtype == TS_NF4;
        const bool claimed = ts_bitsandbytes_claims(claims, weight.name);
        if (nf4 && !claimed) {
            TS_FAIL(TS_ERR_FORMAT,
                    "%s: %s is in NF4, and config.json's llm_int8_skip_modules says that it is not",
                    ts_weights_path(model), weight.name);
        }
        first =
            claimed && !nf4 && plain++ == 0 ? ts_tensors_find(tensors, weight.name)->name : first;
    }
    if (plain > 0) {
        ts_log_once(TS_LOG_WARN,
                    "%s: config.json says that linear layers are in NF4, and %u of them are not: "
                    "they are taken as they are stored: %s%s",
                    ts_weights_path(model), plain, first, plain > 1 ? ", ..." : "");
    }
out:
    return status;
}

ts_status ts_model_check(ts_weights *model, ts_model_config *config, ts_error *err)
{
    ts_status status = TS_OK;
    const char *path = ts_weights_path(model);
    const ts_tensors *tensors;
    bool *needed = NULL;
    TS_TRY(ts_model_config_read(model, config, err));
    TS_TRY(ts_weights_tensors(model, &tensors, err));
    settle_tie(tensors, path, config);
    TS_TRY(ts_alloc(ts_tensors_count(tensors) + 1, sizeof *needed, &needed, err));
    for (uint32_t i = 0; i < ts_weight_count(config); i++) {
        ts_weight weight;
        const ts_tensor *tensor;
        ts_weight_describe(config, i, &weight);
        status = ts_weight_find(tensors, &weight, &tensor, err);
        if (status == TS_ERR_UNSUPPORTED) {
            ts_error_context(err, "%s", path);
        }
        TS_TRY(status);
        needed[tensor - ts_tensors_at(tensors, 0)] = true;
    }
    TS_TRY(check_claims(model, config, tensors, err));
    TS_TRY(tell_extra(config, tensors, needed, path, err));
out:
    free(needed);
    return status;
}
