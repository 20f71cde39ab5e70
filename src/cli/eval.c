#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/signals.h"
#include "cli/cli.h"
#include "cli/eval_print.h"
#include "data/dataset.h"
#include "eval/generate.h"
#include "eval/picture.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SETTINGS = 16, MAX_NEW_TOKENS = 100000, MAX_ASKED = 64 };

#define DEFAULT_DATA "data/eval.json"

struct options {
    const char *model, *revision, *adapter, *data, *train_data, *output_dir, *png, *json, *template,
        *title, *precision;
    const char *questions[MAX_ASKED]; // --prompt
    size_t question_count;
    uint64_t max_new_tokens, png_height, examples;
    bool profile;
    ts_text config; // eval_run.json
    ts_gpu_params device;
};

// Everything of one evaluation, freed together.
struct session {
    struct options *options;
    ts_text folder;            // of the model
    ts_adapter_config adapter; // r is 0 without one
    cJSON *training, *state;   // the adapter folder's training.json, trainer_state.json; or NULL
    ts_tokenizer *tokenizer;
    ts_chat_template *template;
    ts_model_config config;
    ts_prompts prompts;
    ts_questions questions;
    bool *seen; // NULL: no telling
    ts_gpu *gpu;
    ts_profile profile;
    ts_model model;
    ts_answers base, tuned;
    ts_setting settings[MAX_SETTINGS];
    size_t setting_count;
    ts_arena arena; // the settings' texts and paths
};

// ---- What is to be evaluated

static ts_status format(struct session *s, const char **out, ts_error *err, const char *pattern,
                        ...) __attribute__((format(printf, 4, 5)));
static ts_status format(struct session *s, const char **out, ts_error *err, const char *pattern,
                        ...)
{
    char text[1024], *copy;
    va_list args;
    va_start(args, pattern);
    vsnprintf(text, sizeof text, pattern, args);
    va_end(args);
    ts_status status = ts_arena_copy_text(&s->arena, text, strlen(text), &copy, err);
    *out = status == TS_OK ? copy : NULL;
    return status;
}

// FOLDER/NAME as JSON, or NULL where there is no such file.
static ts_status read_optional(const char *folder, const char *name, cJSON **out, ts_error *err)
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

// The last part of a path or of a Hugging Face name, and its length.
static int base_name(const char *path, const char **name)
{
    size_t end = strlen(path), begin;
    while (end > 1 && path[end - 1] == '/') {
        end--;
    }
    for (begin = end; begin > 0 && path[begin - 1] != '/'; begin--) {
    }
    *name = path + begin;
    return (int)(end - begin);
}

static ts_status open_adapter(struct session *s, ts_error *err)
{
    ts_status status = TS_OK;
    const char *folder = s->options->adapter, *wanted, *given;
    TS_TRY(ts_adapter_config_read(folder, &s->adapter, err));
    TS_TRY(read_optional(folder, "training.json", &s->training, err));
    TS_TRY(read_optional(folder, "trainer_state.json", &s->state, err));
    if (s->adapter.base_model.len > 0) {
        int wanted_len = base_name(s->adapter.base_model.bytes, &wanted);
        int given_len = base_name(s->options->model, &given);
        if (wanted_len != given_len || memcmp(wanted, given, (size_t)given_len) != 0) {
            ts_log(TS_LOG_WARN, "%s was made for %s, and --model is %s", folder,
                   s->adapter.base_model.bytes, s->options->model);
        }
    }
out:
    return status;
}

// What was asked for, else what the adapter was trained with, else the model's own.
static ts_status choose_template(struct session *s, ts_error *err)
{
    const char *name = cJSON_GetStringValue(ts_json_get(s->training, "chat_template"));
    const char *text = cJSON_GetStringValue(ts_json_get(s->training, "chat_template_text"));
    if (s->options->template == NULL && name != NULL && text != NULL) {
        return ts_chat_template_open_text(s->folder.bytes, name, text, s->tokenizer, &s->template,
                                          err);
    }
    return ts_chat_template_open(s->folder.bytes,
                                 s->options->template != NULL ? s->options->template : name,
                                 s->tokenizer, &s->template, err);
}

// ---- What training saw

// Whether the file is still the one that training.json recorded.
static ts_status check_unchanged(const struct session *s, const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    ts_map map = {0};
    char hash[65];
    const char *recorded = cJSON_GetStringValue(ts_json_get(s->training, "data_sha256"));
    TS_TRY(ts_map_open(path, &map, err));
    ts_sha256_hex(map.bytes, map.len, hash);
    if (recorded != NULL && strcmp(recorded, hash) != 0) {
        ts_log(TS_LOG_WARN,
               "%s is no longer the file that %s was trained on: which prompts training saw is "
               "told by what it holds now",
               path, s->options->adapter);
    }
out:
    ts_map_close(&map);
    return status;
}

static ts_status mark_seen(struct session *s, ts_error *err)
{
    ts_status status = TS_OK;
    ts_dataset dataset = {0};
    const ts_dataset_options rows = {.max_tokens = UINT32_MAX, .train_empty = true};
    const char *path = s->options->train_data;
    if (path == NULL) {
        path = cJSON_GetStringValue(ts_json_get(s->training, "data"));
        if (path != NULL && !ts_file_exists(path)) {
            ts_log(TS_LOG_WARN,
                   "%s, which %s was trained on, is not here: prompts that training saw are not "
                   "told apart (--train-data FILE does)",
                   path, s->options->adapter);
            path = NULL;
        } else if (path != NULL) {
            TS_TRY(check_unchanged(s, path, err));
        }
    }
    if (path == NULL) {
        goto out;
    }
    TS_TRY(ts_dataset_open(path, s->tokenizer, s->template, &rows, &dataset, err));
    TS_TRY(ts_alloc(s->prompts.count, sizeof *s->seen, &s->seen, err));
    TS_TRY(ts_prompts_mark_seen(&s->prompts, &dataset, s->seen, err));
out:
    ts_dataset_close(&dataset);
    return status;
}

// ---- Running

enum { LINE_SECONDS = 10 }; // between lines where there is no terminal to draw a bar on

struct display {
    ts_progress bar;
    size_t prompts, complete; // complete: answers
    double line_s;
};

static void show_progress(void *user, uint64_t done, uint64_t total, size_t complete)
{
    struct display *display = user;
    char count[64];
    double now = ts_clock_s();
    bool line = done == total || (!display->bar.terminal && now - display->line_s >= LINE_SECONDS);
    snprintf(count, sizeof count, "%zu/%zu answers", complete, display->prompts);
    display->line_s = line ? now : display->line_s;
    display->complete = complete;
    display->bar.count = count;
    ts_progress_update(&display->bar, done, "", line);
}

static ts_status answer(struct session *s, const char *label, bool adapter, ts_answers *out,
                        ts_error *err)
{
    struct display display = {.prompts = s->prompts.count};
    const ts_answer_params params = {.max_new_tokens = (uint32_t)s->options->max_new_tokens,
                                     .progress = show_progress,
                                     .user = &display,
                                     .profile = s->options->profile ? &s->profile : NULL};
    s->model.lora_enabled = adapter;
    ts_progress_begin(&display.bar, stderr, label,
                      s->prompts.count * (s->options->max_new_tokens + 2));
    display.line_s = display.bar.started_s;
    ts_status status = ts_answers_make(&s->model, &s->questions, &params, out, err);
    ts_progress_end(&display.bar);
    if (status == TS_ERR_STOPPED) {
        ts_error_set(err, status,
                     "stopped after %zu of %zu answers (%s): none of them are kept, and reports of "
                     "an earlier evaluation are as they were",
                     display.complete, display.prompts, label);
    }
    return status;
}

// A question on the command line is answered there; files are written where one is named.
static bool writes_reports(const struct options *o)
{
    return o->question_count == 0 || o->output_dir != NULL || o->png != NULL;
}

// Where the results go is settled before the work, so that none is lost to a folder that is not
// there.
static ts_status prepare_output(struct session *s, ts_error *err)
{
    ts_status status = TS_OK;
    struct options *o = s->options;
    const char *folder;
    if (!writes_reports(o)) {
        goto out;
    }
    if (o->output_dir == NULL) {
        o->output_dir = o->adapter != NULL ? o->adapter : ".";
    }
    ts_cli_tell_new_folder(o->output_dir);
    TS_TRY(ts_folder_make(o->output_dir, err));
    if (o->png == NULL) {
        TS_TRY(format(s, &o->png, err, "%s/evaluation_screenshot.png", o->output_dir));
    } else if (ts_path_name(o->png) != o->png) {
        int len = (int)(ts_path_name(o->png) - o->png);
        TS_TRY(format(s, &folder, err, "%.*s", len, o->png));
        ts_cli_tell_new_folder(o->png);
        TS_TRY(ts_folder_make(folder, err));
    }
    TS_TRY(ts_file_check_writable(o->png, err));
out:
    return status;
}

static ts_status open_prompts(struct session *s, ts_error *err)
{
    ts_status status = TS_OK;
    const struct options *o = s->options;
    ts_text data = {0};
    if (o->question_count > 0 && o->data != NULL) {
        TS_FAIL(TS_ERR_ARGUMENT, "--prompt and --data: expected one of them");
    }
    if (o->question_count > 0) {
        status = ts_prompts_of_texts(o->questions, o->question_count, &s->prompts, err);
        goto out;
    }
    TS_TRY(ts_cli_find(o->data != NULL ? o->data : DEFAULT_DATA, &data, err));
    if (o->data == NULL && !ts_file_exists(data.bytes)) {
        TS_FAIL(TS_ERR_ARGUMENT, "there is no " DEFAULT_DATA
                                 " here: --data FILE names the prompts, --prompt TEXT asks one");
    }
    TS_TRY(ts_prompts_open(data.bytes, &s->prompts, err));
out:
    ts_text_free(&data);
    return status;
}

static ts_status open_all(struct session *s, ts_error *err)
{
    ts_status status = TS_OK;
    const struct options *o = s->options;
    ts_progress loading = {0};
    ts_tensors *weights = NULL; // looked at before a device is opened
    ts_precision precision = TS_PRECISION_F32;
    if (o->adapter != NULL) {
        TS_TRY(open_adapter(s, err));
    }
    TS_TRY(ts_cli_resolve_model(o->model, o->revision, true, &s->folder, err));
    TS_TRY(ts_model_files_open(s->folder.bytes, &s->config, &weights, err));
    TS_TRY(ts_tokenizer_open(s->folder.bytes, &s->tokenizer, err));
    TS_TRY(choose_template(s, err));
    TS_TRY(open_prompts(s, err));
    TS_TRY(mark_seen(s, err));
    TS_TRY(ts_questions_make(&s->prompts, s->folder.bytes, s->tokenizer, s->template,
                             s->config.max_positions, &s->questions, err));
    TS_TRY(ts_cli_open_device(&o->device, &s->gpu, err));
    TS_TRY(ts_cli_choose_precision(o->precision, s->gpu, &precision, err));
    const ts_model_params params = {
        .folder = s->folder.bytes,
        .positions = ts_questions_positions(&s->questions, (uint32_t)o->max_new_tokens),
        .precision = precision,
        .embedding_in_file = ts_gpu_capabilities(s->gpu)->unified_memory,
        .progress = ts_cli_show_loading,
        .user = &loading};
    TS_TRY(ts_model_open(s->gpu, &params, &s->model, err));
    if (o->profile) {
        TS_TRY(ts_profile_open(s->gpu, &s->profile, err));
    }
    if (o->adapter != NULL) {
        if ((status = ts_model_load_lora(&s->model, o->adapter, err)) != TS_OK) {
            ts_error_context(err, "--adapter on --model %s", o->model);
        }
    }
out:
    ts_tensors_close(weights);
    return status;
}

// ---- The configuration that the reports show

static ts_status add_setting(struct session *s, const char *key, const char *value)
{
    s->settings[s->setting_count++] = (ts_setting){key, value};
    return TS_OK;
}

static size_t held_out_count(const struct session *s)
{
    size_t count = 0;
    for (size_t i = 0; i < s->prompts.count; i++) {
        count += s->seen == NULL || !s->seen[i];
    }
    return count;
}

static ts_status describe_adapter(struct session *s, ts_error *err)
{
    ts_status status = TS_OK;
    const char *value;
    ts_text targets = {0};
    double steps = cJSON_GetNumberValue(ts_json_get(s->state, "global_step"));
    double epochs = cJSON_GetNumberValue(ts_json_get(s->state, "epoch"));
    double rate = cJSON_GetNumberValue(ts_json_get(s->training, "learning_rate"));
    TS_TRY(add_setting(s, "Adapter", s->options->adapter));
    TS_TRY(format(s, &value, err, "r = %u, alpha = %g%s", s->adapter.r, s->adapter.alpha,
                  s->adapter.use_rslora ? ", rsLoRA" : ""));
    TS_TRY(add_setting(s, "LoRA", value));
    for (ts_module module = 0; module < TS_MODULE_COUNT; module++) {
        if (s->adapter.targets & TS_MODULE_BIT(module)) {
            TS_TRY(ts_text_format(&targets, err, "%s%s", targets.len > 0 ? ", " : "",
                                  ts_module_name(module)));
        }
    }
    TS_TRY(format(s, &value, err, "%s",
                  s->adapter.targets == TS_MODULES_ALL ? "all linear layers" : targets.bytes));
    TS_TRY(add_setting(s, "Adapted", value));
    if (!isnan(steps) && !isnan(epochs)) {
        TS_TRY(format(s, &value, err, "%g steps, %.3g epochs", steps, epochs));
        TS_TRY(add_setting(s, "Training", value));
    }
    if (!isnan(rate)) {
        TS_TRY(format(s, &value, err, "%g", rate));
        TS_TRY(add_setting(s, "Learning rate", value));
    }
out:
    ts_text_free(&targets);
    return status;
}

static ts_status describe(struct session *s, ts_error *err)
{
    ts_status status = TS_OK;
    const struct options *o = s->options;
    const ts_model_config *c = &s->config;
    const ts_gpu_caps *caps = ts_gpu_capabilities(s->gpu);
    const char *value;
    TS_TRY(format(s, &value, err, "%s (%u layers, width %u)", o->model, c->layers, c->hidden));
    TS_TRY(add_setting(s, "Model", value));
    if (o->adapter != NULL) {
        TS_TRY(describe_adapter(s, err));
    }
    TS_TRY(add_setting(s, "Device", caps->name));
    TS_TRY(format(s, &value, err, "%s", caps->driver));
    TS_TRY(add_setting(s, "Driver", value));
    TS_TRY(add_setting(s, "Products in", ts_precision_name(s->model.precision)));
    TS_TRY(s->seen != NULL ? format(s, &value, err, "%zu, %zu of them held out", s->prompts.count,
                                    held_out_count(s))
                           : format(s, &value, err, "%zu", s->prompts.count));
    TS_TRY(add_setting(s, "Prompts", value));
    TS_TRY(format(s, &value, err, "greedy, at most %llu tokens",
                  (unsigned long long)o->max_new_tokens));
    TS_TRY(add_setting(s, "Answers", value));
    TS_TRY(add_setting(s, "Chat template", ts_chat_template_name(s->template)));
out:
    return status;
}

// ---- Results

// What repeats it: tinysft-vk eval --config DIR/eval_run.json.
static ts_status write_config(const struct options *o, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    TS_TRY(ts_path_join(o->output_dir, "eval_run.json", &path, err));
    TS_TRY(ts_file_write(path.bytes, o->config.bytes, o->config.len, err));
out:
    ts_text_free(&path);
    return status;
}

static ts_status write_json(const struct options *o, const ts_evaluation *evaluation,
                            const ts_results *results, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0}, json = {0};
    TS_TRY(o->json != NULL ? ts_text_format(&path, err, "%s", o->json)
                           : ts_path_join(o->output_dir, "evaluation.json", &path, err));
    TS_TRY(ts_report_json(evaluation, results, &json, err));
    TS_TRY(ts_file_write(path.bytes, json.bytes, json.len, err));
out:
    ts_text_free(&path);
    ts_text_free(&json);
    return status;
}

static ts_status report(struct session *s, ts_error *err)
{
    ts_status status = TS_OK;
    const struct options *o = s->options;
    bool tuned = o->adapter != NULL;
    const char *title = o->title, *name;
    int len = base_name(o->model, &name);
    ts_results results = {0};
    if (title == NULL) {
        TS_TRY(tuned ? format(s, &title, err, "%.*s before and after LoRA fine-tuning", len, name)
                     : format(s, &title, err, "%.*s", len, name));
    }
    TS_TRY(describe(s, err));
    const ts_evaluation evaluation = {.title = title,
                                      .settings = s->settings,
                                      .setting_count = s->setting_count,
                                      .prompts = &s->prompts,
                                      .base = s->base.responses,
                                      .tuned = s->tuned.responses,
                                      .seen = s->seen,
                                      .picture_height = (uint32_t)o->png_height};
    TS_TRY(ts_results_make(&evaluation, &results, err));
    if (o->question_count > 0) {
        TS_TRY(ts_cli_print_answers(&evaluation, err));
    }
    if (writes_reports(o) || o->json != NULL) {
        TS_TRY(write_json(o, &evaluation, &results, err));
    }
    if (!writes_reports(o)) {
        goto out;
    }
    TS_TRY(ts_report_write(&evaluation, &results, o->output_dir, err));
    TS_TRY(ts_picture_write(&evaluation, &results, o->png, err));
    TS_TRY(write_config(o, err));
    if (o->question_count == 0) {
        ts_cli_print_results(&evaluation, &results);
        TS_TRY(ts_cli_print_examples(&evaluation, &results, o->examples, err));
    }
    ts_cli_say(stdout, "\nwritten: %s/base_responses.txt, %sbefore_after.md, %s\n", o->output_dir,
               tuned ? "finetuned_responses.txt, " : "", o->png);
out:
    ts_results_free(&results);
    return status;
}

// ---- The command

static void close_session(struct session *s)
{
    ts_answers_free(&s->base);
    ts_answers_free(&s->tuned);
    ts_model_close(&s->model);
    ts_profile_close(&s->profile);
    ts_gpu_close(s->gpu);
    ts_questions_free(&s->questions);
    ts_prompts_close(&s->prompts);
    ts_chat_template_close(s->template);
    ts_tokenizer_close(s->tokenizer);
    ts_adapter_config_free(&s->adapter);
    cJSON_Delete(s->training);
    cJSON_Delete(s->state);
    free(s->seen);
    ts_text_free(&s->folder);
    ts_arena_free(&s->arena);
}

static struct options asked = {.max_new_tokens = 64, .examples = 3, .precision = "auto"};

static ts_status add_question(const char *text, void *value, ts_error *err)
{
    struct options *o = value;
    if (strspn(text, " \t\r\n") == strlen(text)) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "an empty question");
    }
    if (ts_utf8_valid_prefix(text, strlen(text)) != strlen(text)) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "the question is not UTF-8");
    }
    if (o->question_count == MAX_ASKED) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "more than %d questions; --data FILE takes them",
                            MAX_ASKED);
    }
    o->questions[o->question_count++] = text;
    return TS_OK;
}

static const ts_flag flags[] = {
    TS_CLI_CONFIG_FLAG,
    {"model", NULL, TS_FLAG_TEXT, &asked.model, "MODEL", TS_CLI_MODEL_HELP, 0, 0, true},
    {"revision", NULL, TS_FLAG_TEXT, &asked.revision, "NAME", TS_CLI_REVISION_HELP},
    {"adapter", NULL, TS_FLAG_TEXT, &asked.adapter, "OUT",
     "PEFT folder, as training writes it;\nwithout it the base alone is evaluated"},
    {"prompt", NULL, TS_FLAG_PARSED, &asked, "TEXT",
     "ask this and print the answers; may be given again", 0, 0, false, NULL, add_question},
    {"data", NULL, TS_FLAG_TEXT, &asked.data, "FILE",
     "the prompts: JSON or JSON lines, such as {\"prompt\": \"...\"}\n[" DEFAULT_DATA "]"},
    {"examples", NULL, TS_FLAG_UINT, &asked.examples, "N", "answers to print at the end [3]", 0,
     1000},
    {"train-data", NULL, TS_FLAG_TEXT, &asked.train_data, "FILE",
     "what the adapter was trained on, to tell prompts that\ntraining saw [as OUT says]"},
    {"output-dir", NULL, TS_FLAG_TEXT, &asked.output_dir, "DIR",
     "where the reports go [OUT, or here]"},
    {"png", NULL, TS_FLAG_TEXT, &asked.png, "FILE",
     "the picture [evaluation_screenshot.png in that folder]"},
    {"json", NULL, TS_FLAG_TEXT, &asked.json, "FILE",
     "all figures and answers for programs\n[evaluation.json in that folder]"},
    {"png-height", NULL, TS_FLAG_UINT, &asked.png_height, "N",
     "of the picture in pixels, at most [12000]", 1000, 12000},
    {"max-new-tokens", NULL, TS_FLAG_UINT, &asked.max_new_tokens, "N", "of an answer [64]", 1,
     MAX_NEW_TOKENS},
    {"chat-template", NULL, TS_FLAG_TEXT, &asked.template, "NAME", TS_CLI_TEMPLATE_HELP,
     .choice = ts_choice_template},
    {"title", NULL, TS_FLAG_TEXT, &asked.title, "TEXT", "of the picture [from the model]"},
    {"precision", NULL, TS_FLAG_TEXT, &asked.precision, "P", TS_CLI_PRECISION_HELP " [auto]",
     .choice = ts_choice_precision},
    {"device", NULL, TS_FLAG_TEXT, &asked.device.device, "N", "number or part of the name"},
    TS_CLI_MASK_FLAG(&asked.device.masks),
    TS_CLI_NO_TUNE_FLAG(&asked.device.no_tuning),
    {"validate", NULL, TS_FLAG_SWITCH, &asked.device.validate, NULL,
     "run under the Vulkan validation layer", .passing = true},
    {"profile", NULL, TS_FLAG_SWITCH, &asked.profile, NULL, "time on the device by shader",
     .passing = true},
    TS_CLI_VERBOSE_FLAG,
};

static int run(int argc, char **argv)
{
    ts_status status = TS_OK;
    ts_error error = {0}, *err = &error;
    struct options *o = &asked;
    struct session session = {.options = o};
    TS_TRY(ts_flags_parse(&ts_command_eval, argc, argv, err));
    TS_TRY(ts_config_print(&ts_command_eval, &o->config, err));
    TS_TRY(open_all(&session, err));
    TS_TRY(prepare_output(&session, err));
    ts_signals_install();
    TS_TRY(answer(&session, "base", false, &session.base, err));
    if (o->adapter != NULL) {
        TS_TRY(answer(&session, "fine-tuned", true, &session.tuned, err));
    }
    ts_cli_print_profile(&session.profile);
    TS_TRY(report(&session, err));
out:
    close_session(&session);
    ts_text_free(&o->config);
    if (status == TS_OK) {
        return 0;
    }
    int code = ts_cli_fail(&ts_command_eval, err);
    return status == TS_ERR_STOPPED ? 128 + ts_signals_pending() : code;
}

const ts_command ts_command_eval = {
    .name = "eval",
    .summary = "show side by side what an adapter changed",
    .usage = "--model MODEL [--adapter OUT] [--data FILE | --prompt TEXT] [flags]",
    .needs_less = "a smaller --max-new-tokens or shorter prompts in --data need less memory; or "
                  "take another --device",
    .flags = flags,
    .flag_count = TS_COUNT(flags),
    .run = run,
};
