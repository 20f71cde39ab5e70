#include "eval/setup.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"
#include "data/dataset.h"

#include <math.h>
#include <string.h>

// ---- The adapter

// The last part of a path or of a Hugging Face name, without slashes at its end.
static int last_part(const char *path, const char **out)
{
    size_t end = strlen(path), begin;
    while (end > 1 && path[end - 1] == '/') {
        end--;
    }
    for (begin = end; begin > 0 && path[begin - 1] != '/'; begin--) {
    }
    *out = path + begin;
    return (int)(end - begin);
}

void ts_setup_check_adapter(const ts_setup *s)
{
    const char *trained_on = cJSON_GetStringValue(ts_json_get(s->training, "quantize"));
    const char *asked_on = ts_quantise_name(s->quantised);
    const char *made_for = s->adapter->base_model.bytes, *wanted, *given;
    if (trained_on != NULL && strcmp(trained_on, asked_on) != 0) {
        ts_log(TS_LOG_WARN,
               "%s was trained on a base quantised to %s, and now the base is quantised to %s",
               s->adapter_folder, trained_on, asked_on);
    }
    if (s->adapter->base_model.len > 0) {
        int len = last_part(made_for, &wanted);
        if (last_part(s->model, &given) != len || memcmp(wanted, given, (size_t)len) != 0) {
            ts_log(TS_LOG_WARN, "%s was trained on %s, and --model is %s", s->adapter_folder,
                   made_for, s->model);
        }
    }
}

// ---- What training saw

// Warns if the file is no longer the one that training.json recorded.
static ts_status check_unchanged(const cJSON *training, const char *adapter_folder,
                                 const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    ts_map map = {0};
    char hash[65];
    const char *recorded = cJSON_GetStringValue(ts_json_get(training, "data_sha256"));
    TS_TRY(ts_map_open(path, &map, err));
    ts_sha256_hex(map.bytes, map.len, hash);
    if (recorded != NULL && strcmp(recorded, hash) != 0) {
        ts_log(TS_LOG_WARN,
               "%s has changed since %s was trained on it: prompts that it holds now are marked as "
               "seen in training",
               path, adapter_folder);
    }
out:
    ts_map_close(&map);
    return status;
}

// *out: the file that training.json names; NULL: it names none, or that file is not here.
static ts_status find_recorded(const cJSON *training, const char *adapter_folder, const char **out,
                               ts_error *err)
{
    const char *path = cJSON_GetStringValue(ts_json_get(training, "data"));
    *out = NULL;
    if (path == NULL) {
        return TS_OK;
    }
    if (!ts_file_exists(path)) {
        ts_log(TS_LOG_WARN,
               "%s, which %s was trained on, is not here: prompts that training saw are not marked "
               "(--train-data FILE says where it is now)",
               path, adapter_folder);
        return TS_OK;
    }
    *out = path;
    return check_unchanged(training, adapter_folder, path, err);
}

ts_status ts_setup_mark_seen(const cJSON *training, const char *adapter_folder, const char *data,
                             const ts_tokenizer *tokenizer, ts_chat_template *template,
                             const ts_prompts *prompts, bool **seen, ts_error *err)
{
    ts_status status = TS_OK;
    ts_dataset dataset = {0};
    const ts_dataset_options rows = {.max_tokens = UINT32_MAX, .train_empty = true};
    *seen = NULL;
    if (data == NULL) {
        TS_TRY(find_recorded(training, adapter_folder, &data, err));
    }
    if (data == NULL) {
        goto out;
    }
    TS_TRY(ts_dataset_open(data, tokenizer, template, &rows, &dataset, err));
    TS_TRY(ts_alloc(prompts->count, sizeof **seen, seen, err));
    TS_TRY(ts_prompts_mark_seen(prompts, &dataset, *seen, err));
out:
    ts_dataset_close(&dataset);
    return status;
}

// ---- The configuration that the reports show

// Adds a row, and returns where its value goes.
static const char **add(ts_setup_text *text, const char *key)
{
    ts_setting *row = &text->rows[text->count++];
    row->key = key;
    return &row->value;
}

static size_t count_held_out(const ts_prompts *prompts, const bool *seen)
{
    size_t count = 0;
    for (size_t i = 0; i < prompts->count; i++) {
        count += !seen[i];
    }
    return count;
}

static ts_status describe_adapter(const ts_setup *s, ts_arena *arena, ts_setup_text *out,
                                  ts_error *err)
{
    ts_status status = TS_OK;
    ts_text targets = {0};
    const ts_adapter_config *adapter = s->adapter;
    double steps = cJSON_GetNumberValue(ts_json_get(s->state, "global_step"));
    double epochs = cJSON_GetNumberValue(ts_json_get(s->state, "epoch"));
    double rate = cJSON_GetNumberValue(ts_json_get(s->training, "learning_rate"));
    TS_TRY(ts_arena_format(arena, add(out, "Adapter"), err, "%s", s->adapter_folder));
    TS_TRY(ts_arena_format(arena, add(out, "LoRA"), err, "r = %u, alpha = %g%s", adapter->r,
                           adapter->alpha, adapter->use_rslora ? ", rsLoRA" : ""));
    for (ts_module module = 0; module < TS_MODULE_COUNT; module++) {
        if (adapter->targets & TS_MODULE_BIT(module)) {
            TS_TRY(ts_text_format(&targets, err, "%s%s", targets.len > 0 ? ", " : "",
                                  ts_module_name(module)));
        }
    }
    TS_TRY(
        ts_arena_format(arena, add(out, "Adapted"), err, "%s",
                        adapter->targets == TS_MODULES_ALL ? "all linear layers" : targets.bytes));
    if (!isnan(steps) && !isnan(epochs)) {
        TS_TRY(ts_arena_format(arena, add(out, "Training"), err, "%g steps, %.3g epochs", steps,
                               epochs));
    }
    if (!isnan(rate)) {
        TS_TRY(ts_arena_format(arena, add(out, "Learning rate"), err, "%g", rate));
    }
out:
    ts_text_free(&targets);
    return status;
}

ts_status ts_setup_describe(const ts_setup *s, const ts_prompts *prompts, const bool *seen,
                            ts_arena *arena, ts_setup_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    const char *name;
    int len = last_part(s->model, &name);
    bool tuned = s->adapter_folder != NULL;
    *out = (ts_setup_text){0};
    TS_TRY(ts_arena_format(arena, &out->title, err, "%.*s%s", len, name,
                           tuned ? " before and after LoRA fine-tuning" : ""));
    TS_TRY(ts_arena_format(arena, add(out, "Model"), err, "%s (%u layers, width %u)", s->model,
                           s->config->layers, s->config->hidden));
    if (tuned) {
        TS_TRY(describe_adapter(s, arena, out, err));
    }
    TS_TRY(ts_arena_format(arena, add(out, "Device"), err, "%s", s->device));
    TS_TRY(ts_arena_format(arena, add(out, "Driver"), err, "%s", s->driver));
    *add(out, "Products in") = ts_precision_name(s->precision);
    if (s->held_in != NULL && s->held_in[0] != '\0') {
        *add(out, "Linear layers in") = s->held_in;
    }
    const char **value = add(out, "Prompts");
    TS_TRY(seen != NULL ? ts_arena_format(arena, value, err, "%zu, %zu of them held out",
                                          prompts->count, count_held_out(prompts, seen))
                        : ts_arena_format(arena, value, err, "%zu", prompts->count));
    TS_TRY(ts_arena_format(arena, add(out, "Answers"), err, "greedy, at most %llu tokens",
                           (unsigned long long)s->max_new_tokens));
    TS_TRY(ts_arena_format(arena, add(out, "Chat template"), err, "%s",
                           ts_chat_template_name(s->template)));
out:
    return status;
}
