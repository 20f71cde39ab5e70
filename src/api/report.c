// The configuration that an evaluation's reports show, and writing the reports.
#include "api/evaluation.h"

#include "base/file.h"
#include "eval/picture.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// ---- The configuration

static ts_status format(tinysft_evaluation *e, const char **out, ts_error *err, const char *pattern,
                        ...) __attribute__((format(printf, 4, 5)));
static ts_status format(tinysft_evaluation *e, const char **out, ts_error *err, const char *pattern,
                        ...)
{
    char text[1024], *copy = NULL;
    va_list args;
    va_start(args, pattern);
    vsnprintf(text, sizeof text, pattern, args);
    va_end(args);
    ts_status status = ts_arena_copy_text(&e->texts, text, strlen(text), &copy, err);
    *out = copy;
    return status;
}

// Adds a setting and returns where its value goes.
static const char **add(tinysft_evaluation *e, const char *key)
{
    ts_setting *setting = &e->settings[e->all.setting_count++];
    setting->key = key;
    return &setting->value;
}

static size_t count_held_out(const tinysft_evaluation *e)
{
    size_t count = 0;
    for (size_t i = 0; i < e->prompts.count; i++) {
        count += e->seen == NULL || !e->seen[i];
    }
    return count;
}

static ts_status describe_adapter(tinysft_evaluation *e, const tinysft_model *m, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text targets = {0};
    double steps = cJSON_GetNumberValue(ts_json_get(m->state, "global_step"));
    double epochs = cJSON_GetNumberValue(ts_json_get(m->state, "epoch"));
    double rate = cJSON_GetNumberValue(ts_json_get(m->training, "learning_rate"));
    TS_TRY(format(e, add(e, "Adapter"), err, "%s", m->adapter_folder.bytes));
    TS_TRY(format(e, add(e, "LoRA"), err, "r = %u, alpha = %g%s", m->adapter.r, m->adapter.alpha,
                  m->adapter.use_rslora ? ", rsLoRA" : ""));
    for (ts_module module = 0; module < TS_MODULE_COUNT; module++) {
        if (m->adapter.targets & TS_MODULE_BIT(module)) {
            TS_TRY(ts_text_format(&targets, err, "%s%s", targets.len > 0 ? ", " : "",
                                  ts_module_name(module)));
        }
    }
    TS_TRY(format(e, add(e, "Adapted"), err, "%s",
                  m->adapter.targets == TS_MODULES_ALL ? "all linear layers" : targets.bytes));
    if (!isnan(steps) && !isnan(epochs)) {
        TS_TRY(format(e, add(e, "Training"), err, "%g steps, %.3g epochs", steps, epochs));
    }
    if (!isnan(rate)) {
        TS_TRY(format(e, add(e, "Learning rate"), err, "%g", rate));
    }
out:
    ts_text_free(&targets);
    return status;
}

// Sets *out to the last part of a path or of a Hugging Face name and returns its length.
static int last_part(const ts_text *path, const char **out)
{
    size_t end = path->len, begin;
    while (end > 1 && path->bytes[end - 1] == '/') {
        end--;
    }
    for (begin = end; begin > 0 && path->bytes[begin - 1] != '/'; begin--) {
    }
    *out = path->bytes + begin;
    return (int)(end - begin);
}

ts_status ts_api_describe(tinysft_evaluation *e, const tinysft_model *m, uint32_t max_new_tokens,
                          ts_error *err)
{
    ts_status status = TS_OK;
    const char *name;
    int len = last_part(&m->name, &name);
    bool tuned = m->model.has_lora;
    TS_TRY(format(e, &e->all.title, err, "%.*s%s", len, name,
                  tuned ? " before and after LoRA fine-tuning" : ""));
    TS_TRY(format(e, add(e, "Model"), err, "%s (%u layers, width %u)", m->name.bytes,
                  m->config.layers, m->config.hidden));
    if (tuned) {
        TS_TRY(describe_adapter(e, m, err));
    }
    TS_TRY(format(e, add(e, "Device"), err, "%s", m->device->info.name));
    TS_TRY(format(e, add(e, "Driver"), err, "%s", m->device->info.driver));
    *add(e, "Products in") = ts_precision_name(m->device->precision);
    const char **prompts = add(e, "Prompts");
    TS_TRY(e->seen != NULL ? format(e, prompts, err, "%zu, %zu of them held out", e->prompts.count,
                                    count_held_out(e))
                           : format(e, prompts, err, "%zu", e->prompts.count));
    TS_TRY(format(e, add(e, "Answers"), err, "greedy, at most %u tokens", max_new_tokens));
    TS_TRY(format(e, add(e, "Chat template"), err, "%s", ts_chat_template_name(m->template)));
    e->all.settings = e->settings;
out:
    return status;
}

// ---- Writing

// `given`, or FOLDER/NAME if it is NULL.
static ts_status place(const char *given, const char *folder, const char *name, ts_text *out,
                       ts_error *err)
{
    return given != NULL ? ts_text_format(out, err, "%s", given)
                         : ts_path_join(folder, name, out, err);
}

static ts_status write_reports(const tinysft_evaluation *e, const tinysft_report_params *p,
                               ts_error *err)
{
    ts_status status = TS_OK;
    ts_evaluation all = e->all;
    ts_text path = {0}, json = {0};
    if (p->folder == NULL) {
        TS_FAIL(TS_ERR_ARGUMENT, "no folder is named");
    }
    all.title = ts_api_text(p->title, all.title);
    all.picture_height = p->picture_height;
    TS_TRY(ts_folder_make(p->folder, err));
    TS_TRY(place(p->json, p->folder, "evaluation.json", &path, err));
    TS_TRY(ts_report_json(&all, &e->results, &json, err));
    TS_TRY(ts_file_write(path.bytes, json.bytes, json.len, err));
    TS_TRY(ts_report_write(&all, &e->results, p->folder, err));
    ts_text_clear(&path);
    TS_TRY(place(p->picture, p->folder, "evaluation_screenshot.png", &path, err));
    TS_TRY(ts_picture_write(&all, &e->results, path.bytes, err));
out:
    ts_text_free(&path);
    ts_text_free(&json);
    return status;
}

tinysft_status tinysft_evaluation_write(const tinysft_evaluation *evaluation,
                                        const tinysft_report_params *params, tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    ts_api_context context;
    if (evaluation == NULL || params == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "%s is NULL",
                            params == NULL ? "params" : "the evaluation");
    }
    ts_api_context_open(&context, &(tinysft_caller){0});
    ts_status status = ts_api_enter(&context, "the evaluation", err);
    if (status == TS_OK) {
        status = write_reports(evaluation, params, err);
        ts_api_leave(&context);
    }
    return status;
}
