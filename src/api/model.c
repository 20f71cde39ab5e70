#include "api/model.h"

#include "base/file.h"
#include "base/memory.h"
#include "eval/setup.h"
#include "train/checkpoint.h"

#include <stdlib.h>
#include <string.h>

enum { USUAL_POSITIONS = 2048 };

// ---- The adapter

ts_status ts_api_read_optional(const char *folder, const char *name, cJSON **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    bool found;
    TS_TRY(ts_path_join(folder, name, &path, err));
    TS_TRY(ts_file_find(path.bytes, &found, err));
    if (found) {
        TS_TRY(ts_json_parse_file(path.bytes, out, err));
    }
out:
    ts_text_free(&path);
    return status;
}

// Keys and values depend on the adapter, so another one cannot use them.
static void close_caches(tinysft_model *model)
{
    ts_api_cache_close(&model->caches[0]);
    ts_api_cache_close(&model->caches[1]);
}

static void forget_adapter(tinysft_model *model)
{
    ts_text_clear(&model->adapter_folder);
    ts_adapter_config_free(&model->adapter);
    model->adapter = (ts_adapter_config){0};
    cJSON_Delete(model->training);
    cJSON_Delete(model->state);
    model->training = model->state = NULL;
}

// The files beside the weights: what the adapter is and how it was made.
static ts_status read_adapter(tinysft_model *model, const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_text_format(&model->adapter_folder, err, "%s", folder));
    TS_TRY(ts_adapter_config_read(folder, &model->adapter, err));
    TS_TRY(ts_api_read_optional(folder, "training.json", &model->training, err));
    TS_TRY(ts_api_read_optional(folder, "trainer_state.json", &model->state, err));
    ts_setup_check_adapter(&(ts_setup){.model = model->name.bytes, .quantised = model->quantise},
                           &(ts_setup_adapter){.folder = folder,
                                               .config = &model->adapter,
                                               .training = model->training});
out:
    return status;
}

static ts_status upload_adapter(tinysft_model *model, ts_error *err)
{
    ts_status status = ts_model_load_lora(&model->model, model->adapter_folder.bytes, err);
    if (status == TS_OK) {
        model->model.lora.config.base_model = model->adapter.base_model; // borrowed
    } else {
        ts_error_context(err, "--adapter on --model %s", model->name.bytes);
    }
    return status;
}

void ts_api_model_forget_adapter(tinysft_model *model)
{
    close_caches(model);
    ts_model_remove_lora(&model->model);
    forget_adapter(model);
}

ts_status ts_api_model_swap_adapter(tinysft_model *model, const char *folder, ts_error *err)
{
    ts_model_remove_lora(&model->model);
    if (folder == NULL || strcmp(folder, model->adapter_folder.bytes) == 0) {
        return upload_adapter(model, err);
    }
    ts_status status = ts_model_load_lora(&model->model, folder, err);
    if (status != TS_OK) {
        ts_error_context(err, "--adapter on --model %s", model->name.bytes);
    }
    return status;
}

static ts_status load_adapter(tinysft_model *model, const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    if (folder == NULL) {
        TS_FAIL(TS_ERR_ARGUMENT, "no folder of an adapter is named");
    }
    ts_api_model_forget_adapter(model);
    TS_TRY(read_adapter(model, folder, err));
    if (model->loaded) {
        TS_TRY(upload_adapter(model, err));
    }
out:
    if (status != TS_OK) {
        ts_model_remove_lora(&model->model);
        forget_adapter(model);
    }
    return status;
}

tinysft_status tinysft_model_load_adapter(tinysft_model *model, const char *folder,
                                          tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    ts_status status = ts_api_enter_model(model, err);
    if (status == TS_OK) {
        status = load_adapter(model, folder, err);
        ts_api_leave(&model->device->context);
    }
    return status;
}

static ts_status save_adapter(tinysft_model *model, const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    if (folder == NULL || model->adapter_folder.len == 0) {
        TS_FAIL(TS_ERR_ARGUMENT, "%s",
                folder == NULL ? "no folder is named" : "the model has no adapter to save");
    }
    TS_TRY(ts_api_model_load(model, err));
    TS_TRY(ts_folder_make(folder, err));
    TS_TRY(ts_adapter_write(&model->model, folder, NULL, ts_file_write, err));
out:
    return status;
}

tinysft_status tinysft_model_save_adapter(tinysft_model *model, const char *folder,
                                          tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    ts_status status = ts_api_enter_model(model, err);
    if (status == TS_OK) {
        status = save_adapter(model, folder, err);
        ts_api_leave(&model->device->context);
    }
    return status;
}

// ---- Opening and closing

ts_status ts_api_choose_template(ts_weights *weights, const ts_tokenizer *tokenizer,
                                 const cJSON *training, const char *asked, ts_chat_template **out,
                                 ts_error *err)
{
    const char *name = cJSON_GetStringValue(ts_json_get(training, "chat_template"));
    const char *text = cJSON_GetStringValue(ts_json_get(training, "chat_template_text"));
    if (asked == NULL && name != NULL && text != NULL) {
        return ts_chat_template_open_text(weights, name, text, tokenizer, out, err);
    }
    return ts_chat_template_open(weights, ts_api_text(asked, name), tokenizer, out, err);
}

static ts_status choose_positions(tinysft_model *model, uint32_t asked, ts_error *err)
{
    uint32_t most = model->config.max_positions;
    if (asked > most) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "positions %u: the model takes up to %u", asked,
                            most);
    }
    model->positions_asked = asked > 0;
    model->positions = asked > 0 ? asked : (uint32_t)ts_min_u64(USUAL_POSITIONS, most);
    return TS_OK;
}

static ts_status open_model(tinysft_model *model, const tinysft_model_params *params, ts_error *err)
{
    ts_status status = TS_OK;
    const char *name = ts_api_text(params->name, params->model);
    TS_TRY(ts_text_format(&model->name, err, "%s", ts_api_text(name, "")));
    TS_TRY(ts_api_quantize(params->quantize, &model->quantise, err));
    if (params->adapter != NULL) {
        TS_TRY(read_adapter(model, params->adapter, err));
    }
    TS_TRY(
        ts_api_find_model(params->model, params->revision, &model->loading, &model->folder, err));
    TS_TRY(ts_weights_open(model->folder.bytes, &model->weights, err));
    TS_TRY(ts_model_check(model->weights, &model->config, err)); // before anything is uploaded
    TS_TRY(ts_tokenizer_open(model->weights, &model->tokenizer, err));
    TS_TRY(ts_api_choose_template(model->weights, model->tokenizer, model->training,
                                  params->chat_template, &model->template, err));
    TS_TRY(choose_positions(model, params->positions, err));
out:
    return status;
}

void ts_api_model_make_room(tinysft_model *model, uint32_t positions)
{
    if (!model->loaded && !model->positions_asked) {
        model->positions = (uint32_t)ts_max_u64(model->positions, positions);
    }
}

// ---- Loading

ts_status ts_api_model_load(tinysft_model *model, ts_error *err)
{
    ts_status status = TS_OK;
    tinysft_device *device = model->device;
    if (model->loaded) {
        return TS_OK;
    }
    TS_TRY(ts_api_device_start(device, err));
    const ts_model_params wanted = {.config = &model->config,
                                    .weights = model->weights,
                                    .quantise = model->quantise,
                                    .positions = model->positions,
                                    .precision = device->precision,
                                    .embedding_in_file = device->info.unified_memory,
                                    .progress = ts_api_show_loading,
                                    .user = &model->loading};
    TS_TRY(ts_model_open(device->gpu, &wanted, &model->model, err));
    model->loaded = true;
    if (model->adapter_folder.len > 0 && (status = upload_adapter(model, err)) != TS_OK) {
        forget_adapter(model);
    }
out:
    return status;
}

tinysft_status tinysft_model_load(tinysft_model *model, tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    ts_status status = ts_api_enter_model(model, err);
    if (status == TS_OK) {
        status = ts_api_model_load(model, err);
        ts_api_leave(&model->device->context);
    }
    return status;
}

// ---- The handle

tinysft_status tinysft_model_open(tinysft_device *device, const tinysft_model_params *params,
                                  tinysft_model **out, tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    tinysft_model *model = NULL;
    if (params == NULL || out == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "%s is NULL", params == NULL ? "params" : "out");
    }
    *out = NULL;
    ts_status status = ts_api_enter_device(device, err);
    if (status != TS_OK) {
        return status;
    }
    status = ts_alloc(1, sizeof *model, &model, err);
    if (status == TS_OK) {
        model->device = device;
        model->users = 1;
        model->loading = (ts_api_loading){
            .context = &device->context, .tell = params->loading, .user = params->loading_user};
        ts_api_device_keep(device);
        status = open_model(model, params, err);
    }
    ts_api_leave(&device->context);
    *out = model;
    if (status != TS_OK) {
        tinysft_model_close(out);
    }
    return status;
}

void ts_api_model_keep(tinysft_model *model)
{
    model->users++;
}

void ts_api_model_release(tinysft_model *model)
{
    ts_error ignored;
    if (--model->users > 0 || ts_api_enter_model(model, &ignored) != TS_OK) {
        return;
    }
    close_caches(model);
    ts_model_close(&model->model);
    ts_chat_template_close(model->template);
    ts_tokenizer_close(model->tokenizer);
    ts_weights_close(model->weights);
    forget_adapter(model);
    ts_text_free(&model->adapter_folder);
    ts_text_free(&model->folder);
    ts_text_free(&model->name);
    ts_api_leave(&model->device->context);
    ts_api_device_release(model->device);
    free(model);
}

void tinysft_model_close(tinysft_model **model)
{
    if (model == NULL || *model == NULL || (*model)->device->context.inside) {
        return; // a callback must not close what its own call uses
    }
    ts_api_model_release(*model);
    *model = NULL;
}

tinysft_status tinysft_model_describe(const tinysft_model *model, tinysft_model_info *out,
                                      tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    if (model == NULL || out == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "%s is NULL",
                            model == NULL ? "the model" : "out");
    }
    *out = (tinysft_model_info){
        .layers = model->config.layers,
        .hidden = model->config.hidden,
        .vocabulary = model->config.vocab,
        .positions = model->positions,
        .has_adapter = model->adapter_folder.len > 0,
        .rank = model->adapter.r,
        .chat_template = ts_chat_template_name(model->template),
    };
    return TS_OK;
}
