#include "eval/setup.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"
#include "data/dataset.h"
#include "model/losses.h"

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

void ts_setup_check_adapter(const ts_setup *s, const ts_setup_adapter *a)
{
    const char *trained_on = cJSON_GetStringValue(ts_json_get(a->training, "quantize"));
    const char *asked_on = ts_quantise_name(s->quantised);
    const char *made_for = a->config->base_model.bytes, *wanted, *given;
    if (trained_on != NULL && strcmp(trained_on, asked_on) != 0) {
        ts_log(TS_LOG_WARN,
               "%s was trained on a base quantised to %s, and now the base is quantised to %s",
               a->folder, trained_on, asked_on);
    }
    if (a->config->base_model.len > 0) {
        int len = last_part(made_for, &wanted);
        if (last_part(s->model, &given) != len || memcmp(wanted, given, (size_t)len) != 0) {
            ts_log(TS_LOG_WARN, "%s was trained on %s, and --model is %s", a->folder, made_for,
                   s->model);
        }
    }
}

// The last `parts` parts of a path, without slashes at its end.
static int last_parts(const char *path, size_t parts, const char **out)
{
    const char *last;
    size_t end = (size_t)last_part(path, &last), begin;
    end += (size_t)(last - path);
    for (begin = end; begin > 0 && (path[begin - 1] != '/' || --parts > 0); begin--) {
    }
    *out = path + begin;
    return (int)(end - begin);
}

ts_status ts_setup_name_adapters(const char *const *folders, size_t count, ts_arena *arena,
                                 const char **names, ts_error *err)
{
    enum { MOST_PARTS = 8 }; // paths that are alike for longer are not told apart
    ts_status status = TS_OK;
    for (size_t i = 0; i < count; i++) {
        const char *name, *other;
        int len = 0;
        bool told = false;
        for (size_t parts = 1; parts <= MOST_PARTS && !told; parts++) {
            len = last_parts(folders[i], parts, &name);
            told = true;
            for (size_t k = 0; k < count; k++) {
                told = told && (k == i || last_parts(folders[k], parts, &other) != len ||
                                memcmp(name, other, (size_t)len) != 0);
            }
        }
        TS_TRY(ts_arena_format(arena, &names[i], err, "%.*s", len, name));
    }
out:
    return status;
}

// The name of the loss that a run had, if that is one over pairs of answers; NULL otherwise.
static const char *loss_over_pairs(const cJSON *training)
{
    const char *name = cJSON_GetStringValue(ts_json_get(training, "loss"));
    ts_loss_kind kind;
    ts_error ignored = {0};
    return name != NULL && ts_loss_parse(name, &kind, &ignored) == TS_OK && ts_losses[kind].pairs
               ? name
               : NULL;
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

static ts_status mark_seen(const cJSON *training, const char *adapter_folder, const char *data,
                           const ts_tokenizer *tokenizer, ts_chat_template *template,
                           const ts_prompts *prompts, bool **seen, ts_error *err)
{
    ts_status status = TS_OK;
    ts_dataset dataset = {0};
    const ts_dataset_options rows = {
        .pairs = loss_over_pairs(training) != NULL, .max_tokens = UINT32_MAX, .train_empty = true};
    if (data == NULL) {
        TS_TRY(find_recorded(training, adapter_folder, &data, err));
    }
    if (data == NULL) {
        goto out;
    }
    TS_TRY(ts_dataset_open(data, tokenizer, template, &rows, &dataset, err));
    if (*seen == NULL) {
        TS_TRY(ts_alloc(prompts->count, sizeof **seen, seen, err));
    }
    TS_TRY(ts_prompts_mark_seen(prompts, &dataset, *seen, err));
out:
    ts_dataset_close(&dataset);
    return status;
}

ts_status ts_setup_mark_seen(const cJSON *training, const char *adapter_folder, const char *data,
                             const ts_tokenizer *tokenizer, ts_chat_template *template,
                             const ts_prompts *prompts, bool **seen, ts_error *err)
{
    enum { MOST_ANCESTORS = 8 };
    ts_status status = TS_OK;
    ts_text path = {0};
    cJSON *files[MOST_ANCESTORS] = {0};
    TS_TRY(mark_seen(training, adapter_folder, data, tokenizer, template, prompts, seen, err));
    for (size_t i = 0;; i++) {
        const char *before = cJSON_GetStringValue(ts_json_get(training, "adapter"));
        bool found;
        if (before == NULL) {
            break;
        }
        ts_text_clear(&path);
        TS_TRY(ts_path_join(before, "training.json", &path, err));
        TS_TRY(ts_file_find(path.bytes, &found, err));
        if (!found || i == MOST_ANCESTORS) {
            ts_log(TS_LOG_WARN,
                   "%s, which %s goes on from, %s: prompts that its training saw are not marked",
                   before, adapter_folder,
                   found ? "has too many adapters before it" : "has no training.json");
            break;
        }
        TS_TRY(ts_json_parse_file(path.bytes, &files[i], err));
        training = files[i];
        TS_TRY(mark_seen(training, before, NULL, tokenizer, template, prompts, seen, err));
        adapter_folder = before;
    }
out:
    for (size_t i = 0; i < MOST_ANCESTORS; i++) {
        cJSON_Delete(files[i]);
    }
    ts_text_free(&path);
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

static ts_status describe_targets(const ts_adapter_config *adapter, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    if (adapter->targets == TS_MODULES_ALL) {
        return ts_text_format(out, err, "all linear layers");
    }
    for (ts_module module = 0; module < TS_MODULE_COUNT; module++) {
        if (adapter->targets & TS_MODULE_BIT(module)) {
            TS_TRY(
                ts_text_format(out, err, "%s%s", out->len > 0 ? ", " : "", ts_module_name(module)));
        }
    }
out:
    return status;
}

// One of several, in a row.
static ts_status describe_in_a_row(const ts_setup_adapter *a, const char *name, ts_arena *arena,
                                   ts_setup_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    double steps = cJSON_GetNumberValue(ts_json_get(a->state, "global_step"));
    double rate = cJSON_GetNumberValue(ts_json_get(a->training, "learning_rate"));
    const char *loss = loss_over_pairs(a->training);
    TS_TRY(describe_targets(a->config, &text, err));
    TS_TRY(ts_text_format(&text, err, "; r = %u, alpha = %g%s%s", a->config->r, a->config->alpha,
                          a->config->use_rslora ? ", rsLoRA" : "",
                          a->config->use_dora ? ", DoRA" : ""));
    if (loss != NULL) {
        TS_TRY(ts_text_format(&text, err, "; %s", loss));
    }
    if (!isnan(steps)) {
        TS_TRY(ts_text_format(&text, err, "; %g steps", steps));
    }
    if (!isnan(rate)) {
        TS_TRY(ts_text_format(&text, err, ", rate %g", rate));
    }
    TS_TRY(ts_arena_format(arena, add(out, name), err, "%s", text.bytes));
out:
    ts_text_free(&text);
    return status;
}

static ts_status describe_adapter(const ts_setup_adapter *a, ts_arena *arena, ts_setup_text *out,
                                  ts_error *err)
{
    ts_status status = TS_OK;
    ts_text targets = {0};
    const ts_adapter_config *adapter = a->config;
    double steps = cJSON_GetNumberValue(ts_json_get(a->state, "global_step"));
    double epochs = cJSON_GetNumberValue(ts_json_get(a->state, "epoch"));
    double rate = cJSON_GetNumberValue(ts_json_get(a->training, "learning_rate"));
    TS_TRY(ts_arena_format(arena, add(out, "Adapter"), err, "%s", a->folder));
    const bool patterns = adapter->rank_pattern.len > 0 || adapter->alpha_pattern.len > 0;
    TS_TRY(ts_arena_format(arena, add(out, adapter->use_dora ? "DoRA" : "LoRA"), err,
                           "r = %u, alpha = %g%s%s", adapter->r, adapter->alpha,
                           adapter->use_rslora ? ", rsLoRA" : "",
                           patterns ? ", others by module" : ""));
    TS_TRY(describe_targets(adapter, &targets, err));
    TS_TRY(ts_arena_format(arena, add(out, "Adapted"), err, "%s", targets.bytes));
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
    const char *folders[TS_MOST_ADAPTERS], *names[TS_MOST_ADAPTERS];
    size_t adapters = 0;
    while (adapters < TS_MOST_ADAPTERS && s->adapters[adapters].folder != NULL) {
        folders[adapters] = s->adapters[adapters].folder;
        adapters++;
    }
    *out = (ts_setup_text){0};
    TS_TRY(ts_arena_format(arena, &out->title, err, "%.*s%s", len, name,
                           adapters > 0 ? " before and after LoRA fine-tuning" : ""));
    TS_TRY(ts_arena_format(arena, add(out, "Model"), err, "%s (%u layers, width %u)", s->model,
                           s->config->layers, s->config->hidden));
    if (adapters == 1) {
        TS_TRY(describe_adapter(&s->adapters[0], arena, out, err));
    }
    TS_TRY(ts_setup_name_adapters(folders, adapters, arena, names, err));
    for (size_t i = 0; i < adapters && adapters > 1; i++) {
        TS_TRY(describe_in_a_row(&s->adapters[i], names[i], arena, out, err));
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
