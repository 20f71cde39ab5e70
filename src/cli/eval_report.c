// What `eval` writes: the configuration that the reports show, then metrics, answers and picture.
#include "base/file.h"
#include "cli/cli.h"
#include "cli/eval_print.h"
#include "cli/eval_session.h"
#include "eval/picture.h"

#include <math.h>

// Whether there are reports. A question on the command line is only answered on the terminal,
// unless the flags name a place for files.
static bool writes_reports(const struct eval_options *o)
{
    return o->question_count == 0 || o->output_dir != NULL || o->png != NULL;
}

ts_status ts_cli_eval_prepare_output(struct eval_session *s, ts_error *err)
{
    ts_status status = TS_OK;
    struct eval_options *o = s->options;
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
        TS_TRY(ts_cli_eval_text(s, &o->png, err, "%s/evaluation_screenshot.png", o->output_dir));
    } else if (ts_path_name(o->png) != o->png) {
        int len = (int)(ts_path_name(o->png) - o->png);
        TS_TRY(ts_cli_eval_text(s, &folder, err, "%.*s", len, o->png));
        ts_cli_tell_new_folder(o->png);
        TS_TRY(ts_folder_make(folder, err));
    }
    TS_TRY(ts_file_check_writable(o->png, err));
out:
    return status;
}

// ---- The configuration that the reports show

// Adds a setting, and returns where its value goes.
static const char **add(struct eval_session *s, const char *key)
{
    ts_setting *setting = &s->settings[s->setting_count++];
    setting->key = key;
    return &setting->value;
}

static size_t held_out_count(const struct eval_session *s)
{
    size_t count = 0;
    for (size_t i = 0; i < s->prompts.count; i++) {
        count += s->seen == NULL || !s->seen[i];
    }
    return count;
}

static ts_status describe_adapter(struct eval_session *s, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text targets = {0};
    double steps = cJSON_GetNumberValue(ts_json_get(s->state, "global_step"));
    double epochs = cJSON_GetNumberValue(ts_json_get(s->state, "epoch"));
    double rate = cJSON_GetNumberValue(ts_json_get(s->training, "learning_rate"));
    *add(s, "Adapter") = s->options->adapter;
    TS_TRY(ts_cli_eval_text(s, add(s, "LoRA"), err, "r = %u, alpha = %g%s", s->adapter.r,
                            s->adapter.alpha, s->adapter.use_rslora ? ", rsLoRA" : ""));
    for (ts_module module = 0; module < TS_MODULE_COUNT; module++) {
        if (s->adapter.targets & TS_MODULE_BIT(module)) {
            TS_TRY(ts_text_format(&targets, err, "%s%s", targets.len > 0 ? ", " : "",
                                  ts_module_name(module)));
        }
    }
    TS_TRY(ts_cli_eval_text(s, add(s, "Adapted"), err, "%s",
                            s->adapter.targets == TS_MODULES_ALL ? "all linear layers"
                                                                 : targets.bytes));
    if (!isnan(steps) && !isnan(epochs)) {
        TS_TRY(
            ts_cli_eval_text(s, add(s, "Training"), err, "%g steps, %.3g epochs", steps, epochs));
    }
    if (!isnan(rate)) {
        TS_TRY(ts_cli_eval_text(s, add(s, "Learning rate"), err, "%g", rate));
    }
out:
    ts_text_free(&targets);
    return status;
}

static ts_status describe(struct eval_session *s, ts_error *err)
{
    ts_status status = TS_OK;
    const struct eval_options *o = s->options;
    const ts_model_config *c = &s->config;
    const ts_gpu_caps *caps = ts_gpu_capabilities(s->gpu);
    TS_TRY(ts_cli_eval_text(s, add(s, "Model"), err, "%s (%u layers, width %u)", o->model,
                            c->layers, c->hidden));
    if (o->adapter != NULL) {
        TS_TRY(describe_adapter(s, err));
    }
    *add(s, "Device") = caps->name;
    TS_TRY(ts_cli_eval_text(s, add(s, "Driver"), err, "%s", caps->driver));
    *add(s, "Products in") = ts_precision_name(s->model.precision);
    if (s->quantise != TS_F32) {
        *add(s, "Linear layers in") = ts_dtype_name(s->quantise);
    }
    const char **prompts = add(s, "Prompts");
    TS_TRY(s->seen != NULL ? ts_cli_eval_text(s, prompts, err, "%zu, %zu of them held out",
                                              s->prompts.count, held_out_count(s))
                           : ts_cli_eval_text(s, prompts, err, "%zu", s->prompts.count));
    TS_TRY(ts_cli_eval_text(s, add(s, "Answers"), err, "greedy, at most %llu tokens",
                            (unsigned long long)o->max_new_tokens));
    *add(s, "Chat template") = ts_chat_template_name(s->template);
out:
    return status;
}

// ---- Results

static ts_status write_json(const struct eval_options *o, const ts_evaluation *evaluation,
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

ts_status ts_cli_eval_report(struct eval_session *s, ts_error *err)
{
    ts_status status = TS_OK;
    const struct eval_options *o = s->options;
    bool tuned = o->adapter != NULL;
    const char *title = o->title;
    const ts_cli_name name = ts_cli_last_name(o->model);
    ts_results results = {0};
    if (title == NULL) {
        TS_TRY(tuned ? ts_cli_eval_text(s, &title, err, "%.*s before and after LoRA fine-tuning",
                                        name.len, name.text)
                     : ts_cli_eval_text(s, &title, err, "%.*s", name.len, name.text));
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
    // To repeat the evaluation: tinysft-vk eval --config DIR/eval_run.json.
    TS_TRY(ts_cli_write_config(o->output_dir, "eval_run.json", &o->config, err));
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
