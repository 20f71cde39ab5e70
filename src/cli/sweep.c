// sweep: trains every configuration of a grid, each with several seeds, on one base that is loaded
// once, and compares them. The same command goes on with a sweep that was stopped or killed:
// finished runs are left as they are. Several ranks have the runs in turn, each with a base of its
// own.
#include "cli/sweep_parts.h"

#include "api/inside.h"
#include "base/file.h"
#include "base/json.h"
#include "base/os.h"
#include "base/signals.h"
#include "cli/ranks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_REPEATS 1000

struct ts_cli_sweep_asked ts_cli_sweep_asked = {.repeats = 1, .max_new_tokens = 64};

place ts_cli_sweep_place(const session *s, size_t number)
{
    const size_t count = ts_cli_sweep_asked.grid.configuration_count;
    return (place){.number = number,
                   .of = count * ts_cli_sweep_asked.repeats,
                   .configuration = number % count,
                   .seed = s->options.settings.seed + number / count};
}

// ---- Settling

static ts_status check_flags(const ts_train_options *o, ts_error *err)
{
    const ts_train_settings *s = &o->settings;
    if (s->output_dir == NULL && !ts_cli_sweep_asked.dry_run) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "--output-dir OUT is missing: where the runs and their comparison go");
    }
    if (s->eval_data == NULL && s->eval_split == 0 && ts_cli_sweep_asked.questions == NULL) {
        return ts_error_set(
            err, TS_ERR_ARGUMENT,
            "a sweep needs rows that are not trained on, to judge its runs by: give "
            "--eval-split 0.1, --eval-data FILE or --questions FILE");
    }
    if (ts_cli_sweep_asked.grid.axis_count == 0 && ts_cli_sweep_asked.repeats < 2) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "there is one run alone: --grid rank=4,8 trains several "
                            "configurations, --repeats 3 several seeds");
    }
    if (s->seed + ts_cli_sweep_asked.repeats > 1ull << 53) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "--seed %llu: too large for %llu repeats",
                            (unsigned long long)s->seed,
                            (unsigned long long)ts_cli_sweep_asked.repeats);
    }
    return TS_OK;
}

static ts_status make_title(session *s, ts_error *err)
{
    ts_cli_name model = ts_cli_last_name(s->options.settings.model_folder);
    bool one_data = true;
    for (size_t a = 0; a < ts_cli_sweep_asked.grid.axis_count; a++) {
        one_data &= strcmp(ts_cli_sweep_asked.grid.names[a], "data") != 0;
    }
    return ts_text_format(
        &s->title, err, "%.*s%s%s: %zu configuration%s, %llu seed%s", model.len, model.text,
        one_data ? " on " : "", one_data ? ts_path_name(s->options.settings.data) : "",
        ts_cli_sweep_asked.grid.configuration_count,
        ts_plural(ts_cli_sweep_asked.grid.configuration_count),
        (unsigned long long)ts_cli_sweep_asked.repeats, ts_plural(ts_cli_sweep_asked.repeats));
}

static ts_status find_questions(session *s, ts_error *err)
{
    ts_status status = TS_OK;
    ts_map map = {0};
    if (ts_cli_sweep_asked.questions != NULL) {
        TS_TRY(ts_cli_find(ts_cli_sweep_asked.questions, &s->questions, err));
        TS_TRY(ts_map_open(s->questions.bytes, &map, err));
        ts_sha256_hex(map.bytes, map.len, s->questions_hash);
    }
out:
    ts_map_close(&map);
    return status;
}

// Reads the flags and everything that needs no device.
static ts_status read_flags(session *s, int argc, char **argv, ts_error *err)
{
    ts_status status = TS_OK;
    ts_train_options settled;
    s->flags = ts_cli_sweep_asked.grid.flags = ts_train_flags_begin();
    TS_TRY(ts_flags_parse(&ts_command_sweep, argc, argv, err));
    TS_TRY(ts_cli_start_ranks(&ts_command_sweep, ts_cli_sweep_asked.devices, argc, argv, err));
    if (ts_cli_sweep_asked.devices != NULL) {
        s->flags->device.device = ts_cli_sweep_asked.devices;
    }
    s->flags->dry_run = ts_cli_sweep_asked.dry_run;
    s->options = *s->flags;
    TS_TRY(check_flags(&s->options, err));
    TS_TRY(ts_grid_make(&ts_cli_sweep_asked.grid, &s->options, err));
    TS_TRY(make_title(s, err));
    TS_TRY(find_questions(s, err));
    settled = s->options;
    TS_TRY(ts_train_settle(&settled, err));
    TS_TRY(ts_train_find(&settled, &s->places, err));
out:
    return status;
}

// The model that all runs share. It is loaded when the first of them needs it. Questions and rows
// are read before, so that it has room for the longest.
static ts_status open_base(session *s, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_train_options *o = &s->options;
    const char *name =
        o->settings.base_model != NULL ? o->settings.base_model : o->settings.model_folder;
    const tinysft_model_params params = {.model = s->places.model.bytes,
                                         .name = name,
                                         .chat_template = o->settings.chat_template,
                                         .quantize = o->quantize,
                                         .loading = ts_cli_speaks() ? ts_cli_show_file : NULL,
                                         .loading_user = &s->loading};
    TS_TRY(tinysft_model_open(s->device, &params, &s->base, err));
    if (ts_cli_sweep_asked.questions != NULL) {
        const tinysft_evaluation_params questions = {
            .data = s->questions.bytes,
            .max_new_tokens = (uint32_t)ts_cli_sweep_asked.max_new_tokens};
        TS_TRY(tinysft_evaluation_open(s->base, &questions, &s->base_answers, err));
    }
out:
    return status;
}

// ---- One run

// Makes the settings point to the files that they name. The rows are sought anew for each run,
// since a grid may vary them; the model and the rows to judge by are the same for all.
static ts_status point_to_files(session *s, ts_train_settings *settings, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text data = {0};
    char *kept;
    TS_TRY(ts_cli_find(settings->data, &data, err));
    TS_TRY(ts_arena_copy_text(&s->arena, data.bytes, data.len, &kept, err));
    settings->data = kept;
    settings->model_folder = s->places.model.bytes;
    if (settings->eval_data != NULL) {
        settings->eval_data = s->places.eval_data.bytes;
    }
out:
    ts_text_free(&data);
    return status;
}

ts_status ts_cli_sweep_settle(session *s, const place *at, ts_train_options *out,
                              const char **logging_dir, ts_text *config, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text name = {0}, folder = {0};
    const char *output_dir;
    TS_TRY(ts_grid_folder(&ts_cli_sweep_asked.grid, at->configuration, &name, err));
    TS_TRY(ts_text_format(&folder, err, "%s%sseed-%llu", name.len > 0 ? name.bytes : "",
                          name.len > 0 ? "/" : "", (unsigned long long)at->seed));
    *s->flags = s->options;
    TS_TRY(ts_grid_apply(&ts_cli_sweep_asked.grid, at->configuration, err));
    s->flags->settings.seed = at->seed;
    if (s->options.settings.output_dir != NULL) {
        TS_TRY(ts_arena_format(&s->arena, &output_dir, err, "%s/%s", s->options.settings.output_dir,
                               folder.bytes));
        s->flags->settings.output_dir = output_dir;
    }
    if (ts_cli_sweep_asked.logging_dir != NULL) {
        TS_TRY(ts_arena_format(&s->arena, logging_dir, err, "%s/%s", ts_cli_sweep_asked.logging_dir,
                               folder.bytes));
    }
    if (config != NULL) {
        TS_TRY(ts_config_print(&ts_command_train, config, err));
    }
    *out = *s->flags;
    TS_TRY(ts_train_settle(out, err));
    TS_TRY(point_to_files(s, &out->settings, err));
out:
    ts_text_free(&name);
    ts_text_free(&folder);
    return status;
}

ts_status ts_cli_sweep_open(session *s, const ts_train_options *o, const char *logging_dir,
                            tinysft_training **out, ts_error *err)
{
    tinysft_training_params params = ts_train_params(o, &s->loading);
    if (s->base != NULL) {
        params.base = s->base;
        params.model = params.revision = params.quantize = NULL;
    }
    params.logging_dir = logging_dir;
    params.held_out = NULL;
    params.overwrite = ts_cli_sweep_asked.overwrite;
    bool begun = params.output_dir != NULL && ts_folder_exists(params.output_dir);
    params.resume = begun && !ts_cli_sweep_asked.overwrite ? "latest" : NULL;
    return tinysft_training_open(s->device, &params, out, err);
}

ts_status ts_cli_sweep_blame(size_t configuration, ts_error *err)
{
    ts_text name = {0};
    if (ts_grid_describe(&ts_cli_sweep_asked.grid, configuration, &name, NULL) == TS_OK &&
        name.len > 0) {
        ts_error_context(err, "%s", name.bytes);
    }
    ts_text_free(&name);
    return err->code;
}

// Plans every configuration, so that what cannot run is told before the first run.
static ts_status plan_all(session *s, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text name = {0};
    for (size_t c = 0; c < ts_cli_sweep_asked.grid.configuration_count; c++) {
        const place at = {.configuration = c, .seed = s->options.settings.seed};
        tinysft_training *training = NULL;
        tinysft_training_plan plan;
        ts_train_options o;
        const char *logging_dir = NULL;
        status = ts_cli_sweep_settle(s, &at, &o, &logging_dir, NULL, err);
        status = status == TS_OK ? ts_cli_sweep_open(s, &o, logging_dir, &training, err) : status;
        status = status == TS_OK ? tinysft_training_get_plan(training, &plan, err) : status;
        status = status == TS_OK ? ts_api_check_fit(training, err) : status;
        if (status == TS_OK && ts_cli_sweep_asked.dry_run) {
            ts_text_clear(&name);
            TS_TRY(ts_grid_describe(&ts_cli_sweep_asked.grid, c, &name, err));
            ts_cli_say(stderr, "%s%s%llu steps, %llu trained parameters, %.1f MiB\n",
                       name.len > 0 ? name.bytes : "", name.len > 0 ? ": " : "",
                       (unsigned long long)plan.steps, (unsigned long long)plan.parameters,
                       (double)plan.bytes / (1 << 20));
        }
        tinysft_training_close(&training);
        if (status != TS_OK) {
            ts_cli_sweep_blame(c, err);
            goto out;
        }
    }
out:
    ts_text_free(&name);
    return status;
}

// ---- The comparison

static ts_status compare(session *s, ts_error *err)
{
    ts_status status = TS_OK;
    const char *folder = s->options.settings.output_dir;
    tinysft_sweep_result result = {0};
    const tinysft_sweep_params params = {.title = s->title.bytes,
                                         .axes = ts_cli_sweep_asked.grid.names,
                                         .values = ts_cli_sweep_asked.grid.values,
                                         .axis_count = ts_cli_sweep_asked.grid.axis_count,
                                         .configuration_count =
                                             ts_cli_sweep_asked.grid.configuration_count,
                                         .runs = s->runs,
                                         .run_count = s->run_count,
                                         .folder = folder};
    TS_TRY(tinysft_sweep_compare(&params, &result, err));
    ts_grid_print(&ts_cli_sweep_asked.grid, &result);
    ts_cli_say(stdout, "\n%s\n\nwritten: %s/sweep.md, sweep.png, sweep.json\n", result.verdict,
               folder);
out:
    tinysft_sweep_result_free(&result);
    return status;
}

// ---- The command

static const ts_flag flags[] = {
    TS_CLI_CONFIG_FLAG,
    {"grid", NULL, TS_FLAG_PARSED, &ts_cli_sweep_asked.grid, "NAME=VALUE,VALUE",
     "flags of train, each with the values to try:\n--grid rank=4,8 lr=1e-4,5e-4 "
     "'target-modules=q_proj;all-linear'",
     .parse = ts_grid_add, .many = true},
    {"repeats", "seeds", TS_FLAG_UINT, &ts_cli_sweep_asked.repeats, "N",
     "train each configuration with N seeds, --seed and those\nafter it [1]", 1, MOST_REPEATS},
    {"questions", NULL, TS_FLAG_TEXT, &ts_cli_sweep_asked.questions, "FILE",
     "ask each result these, as eval --data does, for its\nmetrics [none]"},
    {"max-new-tokens", NULL, TS_FLAG_UINT, &ts_cli_sweep_asked.max_new_tokens, "N",
     "tokens of an answer to them, at most N [64]", 1, 100000},
    {"devices", NULL, TS_FLAG_TEXT, &ts_cli_sweep_asked.devices, "N,N,...",
     "deal the runs among these, a rank on each, by mpirun", .passing = true},
    {"logging-dir", NULL, TS_FLAG_TEXT, &ts_cli_sweep_asked.logging_dir, "DIR",
     "each run's event files for TensorBoard, in a folder of\nits own there", .passing = true},
    {"overwrite-output-dir", NULL, TS_FLAG_SWITCH, &ts_cli_sweep_asked.overwrite, NULL,
     "train all anew, although OUT has finished runs", .passing = true},
    {"dry-run", NULL, TS_FLAG_SWITCH, &ts_cli_sweep_asked.dry_run, NULL,
     "tell every configuration's plan; nothing is run", .passing = true},
    TS_CLI_VERBOSE_FLAG,
};

static void close_session(session *s)
{
    tinysft_evaluation_close(&s->base_answers);
    tinysft_model_close(&s->base);
    tinysft_device_close(&s->device);
    ts_train_places_free(&s->places);
    ts_text_free(&s->options.own_device);
    ts_text_free(&s->questions);
    ts_text_free(&s->title);
    ts_arena_free(&s->arena);
    ts_grid_free(&ts_cli_sweep_asked.grid);
}

// The exit code. Of several ranks one that fails ends all.
static int end(const session *s, ts_status status, bool quiet, const ts_error *err)
{
    enum { REQUEST = 15 }; // SIGTERM: what another rank was stopped by
    const int signal = ts_signals_pending();
    int code = (int)status;
    if (status == TS_ERR_STOPPED) {
        ts_cli_say(stderr, "%zu of %zu runs are finished; the same command goes on\n", s->run_count,
                   ts_cli_sweep_asked.grid.configuration_count *
                       (size_t)ts_cli_sweep_asked.repeats);
    }
    if (status != TS_OK && !quiet) {
        code = ts_cli_fail(&ts_command_sweep, err);
    }
    if (status != TS_OK && status != TS_ERR_STOPPED) {
        ts_cli_fail_ranks(err);
    }
    if (status == TS_ERR_STOPPED) {
        code = 128 + (signal > 0 ? signal : REQUEST);
    }
    ts_cli_leave_ranks(code);
    return code;
}

static int run(int argc, char **argv)
{
    ts_status status = TS_OK;
    ts_error error = {0}, *err = &error;
    session s = {0};
    bool quiet = false;
    TS_TRY(ts_cli_join_ranks(&quiet, err));
    TS_TRY(read_flags(&s, argc, argv, err));
    TS_TRY(ts_train_open_device(&s.options, &s.device, err));
    if (s.device != NULL) {
        TS_TRY(open_base(&s, err));
    }
    TS_TRY(plan_all(&s, err));
    if (ts_cli_sweep_asked.dry_run) {
        ts_cli_say(stderr, "%zu runs: %zu configurations, %llu seeds each\n",
                   ts_cli_sweep_asked.grid.configuration_count * (size_t)ts_cli_sweep_asked.repeats,
                   ts_cli_sweep_asked.grid.configuration_count,
                   (unsigned long long)ts_cli_sweep_asked.repeats);
        goto out;
    }
    ts_cli_tell_new_folder(s.options.settings.output_dir);
    ts_signals_install("\nstopping after this step and saving; once more to end at once\n");
    TS_TRY(ts_cli_sweep_run(&s, err));
    TS_TRY(ts_cli_speaks() ? compare(&s, err) : TS_OK);
out:;
    const int code = end(&s, status, quiet, err);
    close_session(&s);
    return code;
}

const ts_command ts_command_sweep = {
    .name = "sweep",
    .summary = "train several configurations and seeds, and compare them",
    .usage = "--model MODEL --data FILE --output-dir OUT --eval-split 0.1 [--grid NAME=VALUE,VALUE "
             "...] [--repeats N] [flags of train]",
    .notes = "Values are parted by commas, those of a flag that is a list by semicolons (which a "
             "shell wants in quotes). The base is loaded once; runs go one after another, each in "
             "a folder of its own in OUT, or, started by mpirun or with --devices, as many at a "
             "time as there are ranks. The same command goes on with a sweep that was stopped: "
             "finished runs are left as they are, the one under way goes on from its last "
             "checkpoint. Without --grid, --repeats N shows the spread over N seeds.",
    .needs_less = "a smaller --max-length, --batch-size or rank needs less memory",
    .flags = flags,
    .flag_count = TS_COUNT(flags),
    .inherits = &ts_command_train,
    .ranks = true,
    .run = run,
};
