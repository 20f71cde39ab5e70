// What `eval` writes: the configuration that the reports show, then metrics, answers and picture.
#include "base/file.h"
#include "cli/cli.h"
#include "cli/eval_print.h"
#include "cli/eval_session.h"
#include "eval/picture.h"
#include "eval/setup.h"

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
        TS_TRY(ts_arena_format(&s->arena, &o->png, err, "%s/evaluation_screenshot.png",
                               o->output_dir));
    } else if (ts_path_name(o->png) != o->png) {
        int len = (int)(ts_path_name(o->png) - o->png);
        TS_TRY(ts_arena_format(&s->arena, &folder, err, "%.*s", len, o->png));
        ts_cli_tell_new_folder(o->png);
        TS_TRY(ts_folder_make(folder, err));
    }
    TS_TRY(ts_file_check_writable(o->png, err));
out:
    return status;
}

// ---- The configuration that the reports show

static ts_status describe(struct eval_session *s, ts_setup_text *out, ts_error *err)
{
    const struct eval_options *o = s->options;
    const ts_gpu_caps *caps = ts_gpu_capabilities(s->gpu);
    const ts_setup setup = {.model = o->model,
                            .config = &s->config,
                            .adapter_folder = o->adapter,
                            .adapter = &s->adapter,
                            .training = s->training,
                            .state = s->state,
                            .device = caps->name,
                            .driver = caps->driver,
                            .precision = s->model.precision,
                            .quantised = s->quantise,
                            .template = s->template,
                            .max_new_tokens = o->max_new_tokens};
    return ts_setup_describe(&setup, &s->prompts, s->seen, &s->arena, out, err);
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
    ts_setup_text setup;
    ts_results results = {0};
    TS_TRY(describe(s, &setup, err));
    const ts_evaluation evaluation = {.title = o->title != NULL ? o->title : setup.title,
                                      .settings = setup.rows,
                                      .setting_count = setup.count,
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
