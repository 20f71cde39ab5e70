#include "api/model.h"

#include "base/file.h"
#include "base/memory.h"
#include "eval/generate.h"
#include "eval/setup.h"
#include "export/export.h"
#include "export/ollama.h"

#include <string.h>

enum { USUAL_SHARD_MEGABYTES = 5000 };

// Everything of one call, freed together.
struct export
{
    tinysft_device *device;
    const tinysft_export_params *params;
    ts_api_loading loading;
    ts_text folder, name; // of the model
    ts_text system;
    ts_weights *weights;
    ts_model_config config;
    ts_tokenizer *tokenizer;
    ts_chat_template *template; // NULL: the model has none, and none was asked for
    cJSON *training;            // the adapter folder's training.json, or NULL
    ts_export_source source;
    ts_export_params wanted;
};

static void close_export(struct export *e)
{
    ts_export_source_close(&e->source);
    ts_chat_template_close(e->template);
    ts_tokenizer_close(e->tokenizer);
    cJSON_Delete(e->training);
    ts_weights_close(e->weights);
    ts_text_free(&e->folder);
    ts_text_free(&e->name);
    ts_text_free(&e->system);
}

// ---- What was asked for

static ts_status read_dtype(const char *name, ts_export_params *out, ts_error *err)
{
    static const struct {
        const char *name;
        ts_dtype dtype;
    } types[] = {{"f32", TS_F32}, {"f16", TS_F16}, {"bf16", TS_BF16}, {"q8_0", TS_Q8_0}};
    out->convert = name != NULL;
    for (size_t i = 0; i < TS_COUNT(types); i++) {
        if (name == NULL || strcmp(name, types[i].name) == 0) {
            out->dtype = types[i].dtype;
            return TS_OK;
        }
    }
    return ts_error_set(err, TS_ERR_ARGUMENT, "--dtype %s: expected f32, f16, bf16 or q8_0", name);
}

static ts_status read_params(const tinysft_export_params *params, ts_export_params *out,
                             ts_error *err)
{
    ts_status status = TS_OK;
    ts_text names = {0};
    if (params->format == NULL || params->path == NULL) {
        TS_FAIL(TS_ERR_ARGUMENT, "no %s is named", params->format == NULL ? "format" : "path");
    }
    if (!ts_export_format_parse(params->format, &out->format)) {
        for (size_t i = 0; ts_export_format_name(i) != NULL; i++) {
            TS_TRY(
                ts_text_format(&names, err, "%s%s", i > 0 ? ", " : "", ts_export_format_name(i)));
        }
        TS_FAIL(TS_ERR_ARGUMENT, "--format %s: expected %s", params->format, names.bytes);
    }
    out->path = params->path;
    out->overwrite = params->overwrite;
    out->ollama = params->ollama;
    out->shard_bytes =
        params->max_shard_bytes > 0 ? params->max_shard_bytes : USUAL_SHARD_MEGABYTES * 1000000ull;
    TS_TRY(read_dtype(params->dtype, out, err));
out:
    ts_text_free(&names);
    return status;
}

// Chooses the chat template that is written with the model, so that other programs ask it as it was
// trained. A model without one stays without, unless the adapter was trained with one.
static ts_status choose_template(struct export *e, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *templates;
    const char *name, *asked = e->params->chat_template;
    TS_TRY(ts_tokenizer_open(e->weights, &e->tokenizer, err));
    TS_TRY(ts_weights_templates(e->weights, &templates, &name, err));
    if (asked != NULL || templates->child != NULL ||
        ts_json_get(e->training, "chat_template") != NULL) {
        TS_TRY(ts_api_choose_template(e->weights, e->tokenizer, e->training, asked, &e->template,
                                      err));
    }
    e->wanted.tokenizer = e->tokenizer;
    e->wanted.chat_template = e->template;
out:
    return status;
}

// The system prompt for Ollama: the given one, or the one that training used in all rows, as long
// as its data is the same file as then.
static ts_status choose_system(struct export *e, ts_error *err)
{
    ts_status status = TS_OK;
    ts_map map = {0};
    ts_error ignored = {0};
    char hash[65];
    const char *data = cJSON_GetStringValue(ts_json_get(e->training, "data"));
    const char *recorded = cJSON_GetStringValue(ts_json_get(e->training, "data_sha256"));
    e->wanted.system = e->params->system;
    if (!e->params->ollama || e->params->system != NULL || data == NULL || recorded == NULL ||
        ts_map_open(data, &map, &ignored) != TS_OK) {
        goto out;
    }
    ts_sha256_hex(map.bytes, map.len, hash);
    if (strcmp(hash, recorded) == 0) {
        TS_TRY(ts_ollama_find_system(data, &e->system, err));
        e->wanted.system = e->system.len > 0 ? e->system.bytes : NULL;
    }
out:
    ts_map_close(&map);
    return status;
}

// The last part of the model's path or name.
static ts_status name_model(struct export *e, ts_error *err)
{
    const char *given = ts_api_text(e->params->name, e->params->model);
    size_t end = strlen(given), begin;
    while (end > 1 && given[end - 1] == '/') {
        end--;
    }
    for (begin = end; begin > 0 && given[begin - 1] != '/'; begin--) {
    }
    ts_status status = ts_text_append(&e->name, given + begin, end - begin, err);
    e->wanted.name = e->name.bytes;
    return status;
}

static ts_status open_export(struct export *e, ts_error *err)
{
    ts_status status = TS_OK;
    const tinysft_export_params *params = e->params;
    TS_TRY(read_params(params, &e->wanted, err));
    if (params->adapter != NULL) {
        TS_TRY(ts_api_read_optional(params->adapter, "training.json", &e->training, err));
    }
    TS_TRY(ts_api_find_model(params->model, params->revision, &e->loading, &e->folder, err));
    TS_TRY(ts_weights_open(e->folder.bytes, &e->weights, err));
    TS_TRY(ts_model_check(e->weights, &e->config, err));
    TS_TRY(choose_template(e, err));
    TS_TRY(name_model(e, err));
    TS_TRY(choose_system(e, err));
    status = ts_export_source_open(e->weights, &e->config, params->adapter, &e->source, err);
    if (status != TS_OK) {
        ts_error_context(err, "--adapter on --model %s", params->model);
    }
    if (status == TS_OK && params->adapter != NULL) {
        ts_setup_check_adapter(&(ts_setup){.model = ts_api_text(params->name, params->model)},
                               &(ts_setup_adapter){.folder = params->adapter,
                                                   .config = &e->source.adapter,
                                                   .training = e->training});
    }
out:
    return status;
}

// ---- What merging costs

static ts_status read_questions(struct export *e, ts_prompts *prompts, ts_questions *out,
                                ts_error *err)
{
    ts_status status = TS_OK;
    if (e->template == NULL) { // none is written, but the questions need one
        TS_TRY(ts_api_choose_template(e->weights, e->tokenizer, NULL, NULL, &e->template, err));
    }
    TS_TRY(ts_prompts_open(e->params->data, prompts, err));
    TS_TRY(ts_questions_make(prompts, e->weights, e->tokenizer, e->template,
                             e->config.max_positions, out, err));
    if (out->longest_reference == 0) {
        TS_FAIL(TS_ERR_ARGUMENT, "%s: no question has a reference answer to take the loss of",
                e->params->data);
    }
out:
    return status;
}

// The loss of a model: *base without the adapter in the folder `adapter`, *tuned with it; where
// `adapter` is NULL there is no *tuned.
static ts_status measure(struct export *e, ts_weights *weights, const ts_model_config *config,
                         const ts_questions *questions, const char *adapter, double *base,
                         double *tuned, ts_error *err)
{
    ts_status status = TS_OK;
    ts_model model = {0};
    uint64_t tokens;
    const ts_model_params params = {.config = config,
                                    .weights = weights,
                                    .positions = ts_questions_positions(questions, 1),
                                    .precision = e->device->precision,
                                    .embedding_in_file = e->device->info.unified_memory,
                                    .progress = ts_api_show_loading,
                                    .user = &e->loading};
    TS_TRY(ts_model_open(e->device->gpu, &params, &model, err));
    TS_TRY(ts_references_measure(&model, questions, base, &tokens, err));
    if (adapter != NULL) {
        TS_TRY(ts_model_load_lora(&model, adapter, err));
        TS_TRY(ts_references_measure(&model, questions, tuned, &tokens, err));
    }
out:
    ts_model_close(&model);
    return status;
}

// What a model's linear layers are stored as: the first of them. A device may hold them otherwise.
static ts_status stored_as(ts_weights *weights, const ts_model_config *config, ts_dtype *out,
                           ts_error *err)
{
    ts_status status = TS_OK;
    const ts_tensors *tensors;
    ts_weight weight = {0};
    TS_TRY(ts_weights_tensors(weights, &tensors, err));
    for (uint32_t i = 0; weight.part != TS_WEIGHT_LINEAR; i++) {
        ts_weight_describe(config, i, &weight);
    }
    *out = ts_tensors_find(tensors, weight.name)->dtype;
out:
    return status;
}

static ts_status measure_all(struct export *e, const ts_questions *questions,
                             tinysft_export_result *out, ts_dtype *stored, ts_error *err)
{
    ts_status status = TS_OK;
    ts_weights *merged = NULL;
    ts_model_config config;
    TS_TRY(measure(e, e->weights, &e->config, questions, e->params->adapter, &out->base,
                   &out->adapter, err));
    TS_TRY(ts_weights_open(e->params->path, &merged, err));
    TS_TRY(ts_model_check(merged, &config, err));
    TS_TRY(measure(e, merged, &config, questions, NULL, &out->merged, NULL, err));
    TS_TRY(stored_as(merged, &config, stored, err));
    out->measured = true;
out:
    ts_weights_close(merged);
    return status;
}

static void warn_of_loss(const tinysft_export_result *found, ts_dtype stored)
{
    const double gain = found->base - found->adapter, eaten = found->merged - found->adapter;
    if (gain > 0 && eaten > gain / 20) {
        ts_log(TS_LOG_WARN,
               "rounding to %s took %.0f %% of what the adapter gained: --dtype f32 keeps it%s",
               ts_dtype_name(stored), 100 * eaten / gain,
               stored == TS_BF16 ? "; --dtype f16 rounds eight times as finely" : "");
    }
}

// ---- The call

static ts_status run(struct export *e, tinysft_export_result *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_prompts prompts = {0};
    ts_questions questions = {0};
    ts_dtype stored = TS_F32;
    TS_TRY(open_export(e, err));
    const bool compares =
        e->params->data != NULL && e->params->adapter != NULL && e->wanted.format == TS_EXPORT_HF;
    e->loading.what = e->params->path;
    e->wanted.progress = ts_api_show_loading;
    e->wanted.user = &e->loading;
    if (compares && e->device == NULL) {
        TS_FAIL(TS_ERR_ARGUMENT, "--data: a device is needed to measure the loss");
    }
    if (compares) { // mistakes in the file are reported before anything is written
        TS_TRY(read_questions(e, &prompts, &questions, err));
        TS_TRY(ts_api_device_start(e->device, err));
    }
    TS_TRY(ts_export_run(&e->source, &e->wanted, err));
    if (compares) {
        TS_TRY(measure_all(e, &questions, out, &stored, err));
        warn_of_loss(out, stored);
    }
out:
    ts_questions_free(&questions);
    ts_prompts_close(&prompts);
    return status;
}

tinysft_status tinysft_export(tinysft_device *device, const tinysft_export_params *params,
                              tinysft_export_result *out, tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    tinysft_export_result ignored;
    ts_api_context alone;
    if (params == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "params is NULL");
    }
    out = out != NULL ? out : &ignored;
    *out = (tinysft_export_result){0};
    ts_api_context_open(&alone, &params->caller);
    ts_api_context *context = device != NULL ? &device->context : &alone;
    ts_status status = ts_api_enter(context, "the device", err);
    if (status != TS_OK) {
        return status;
    }
    struct export e = {
        .device = device,
        .params = params,
        .loading = {.context = context, .tell = params->loading, .user = params->loading_user}};
    status = run(&e, out, err);
    close_export(&e);
    ts_api_leave(context);
    return status;
}
