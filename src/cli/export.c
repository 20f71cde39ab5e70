// export: takes a model, with an adapter or without, to other programs.
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/signals.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#define USUAL_DATA "data/eval.json" // what the loss is measured on where --data is not given

static struct options {
    tinysft_export_params params;
    const char *precision;
    uint64_t shard_megabytes;
    bool no_loss;
    ts_gpu_params device;
} asked = {.shard_megabytes = 5000, .precision = "auto"};

static const ts_flag flags[] = {
    TS_CLI_CONFIG_FLAG,
    {"model", NULL, TS_FLAG_TEXT, &asked.params.model, "MODEL", TS_CLI_MODEL_HELP, 0, 0, true},
    {"revision", NULL, TS_FLAG_TEXT, &asked.params.revision, "NAME", TS_CLI_REVISION_HELP},
    {"adapter", NULL, TS_FLAG_TEXT, &asked.params.adapter, "OUT",
     "PEFT folder, as training writes it, to be merged;\nwithout it the model goes out as it is"},
    {"format", NULL, TS_FLAG_TEXT, &asked.params.format, "FORMAT",
     "hf: a folder for transformers and its relatives;\ngguf: a file for llama.cpp and its "
     "relatives;\ngguf-adapter: the adapter alone, for the same",
     0, 0, true, .choice = ts_choice_format},
    {"output", NULL, TS_FLAG_TEXT, &asked.params.path, "PATH", "the folder or file that is made", 0,
     0, true},
    {"dtype", "torch-dtype", TS_FLAG_TEXT, &asked.params.dtype, "TYPE",
     "of the weights: f32, f16, bf16; gguf: q8_0 too\n[as they are stored; of an adapter alone "
     "f32]",
     .choice = ts_choice_dtype},
    {"max-shard-size", NULL, TS_FLAG_UINT, &asked.shard_megabytes, "MB",
     "hf: millions of bytes of a file of weights [5000]", 1, 1e9},
    {"chat-template", NULL, TS_FLAG_TEXT, &asked.params.chat_template, "NAME", TS_CLI_TEMPLATE_HELP,
     .choice = ts_choice_template},
    {"overwrite", NULL, TS_FLAG_SWITCH, &asked.params.overwrite, NULL, "replace what is at PATH",
     .passing = true},
    {"ollama", NULL, TS_FLAG_SWITCH, &asked.params.ollama, NULL,
     "gguf and gguf-adapter: a Modelfile beside it"},
    {"system", NULL, TS_FLAG_TEXT, &asked.params.system, "TEXT",
     "the Modelfile's system prompt\n[the one that all training rows have, if any]"},
    {"data", NULL, TS_FLAG_TEXT, &asked.params.data, "FILE",
     "prompts with references, as eval takes them, to measure\nwhat merging costs [" USUAL_DATA
     "]"},
    {"no-loss", NULL, TS_FLAG_SWITCH, &asked.no_loss, NULL,
     "do not measure the loss: no device is needed then"},
    TS_CLI_PRODUCT_FLAGS(asked.precision, "auto", asked.device),
    TS_CLI_VALIDATE_FLAG(asked.device),
    TS_CLI_VERBOSE_FLAG,
};

// The bar of what is read or written now.
static void show(void *user, const char *what, uint64_t done, uint64_t total)
{
    ts_progress *bar = user;
    if (bar->stream == NULL) {
        ts_progress_begin(bar, stderr, what == asked.params.path ? "writing" : "loading", total);
        bar->bytes = true;
        bar->line_every_s = TS_CLI_LINE_SECONDS;
    }
    ts_progress_update(bar, done, "", false);
    if (done == total) {
        ts_progress_end(bar);
        *bar = (ts_progress){0};
    }
}

// What the loss is measured on, if it is: *data becomes its path, or stays empty.
static ts_status find_questions(const struct options *o, ts_text *data, ts_error *err)
{
    ts_status status = TS_OK;
    if (o->no_loss || o->params.adapter == NULL || strcmp(o->params.format, "hf") != 0) {
        return o->params.data == NULL || !o->no_loss
                   ? TS_OK
                   : ts_error_set(err, TS_ERR_ARGUMENT,
                                  "--data and --no-loss: expected one of them");
    }
    TS_TRY(ts_cli_find(o->params.data != NULL ? o->params.data : USUAL_DATA, data, err));
    if (o->params.data == NULL && !ts_file_exists(data->bytes)) {
        ts_log(TS_LOG_INFO, "there is no " USUAL_DATA " here: what merging costs is not measured "
                            "(--data FILE names prompts with references)");
        ts_text_clear(data);
    }
out:
    return status;
}

static ts_status export_model(struct options *o, tinysft_export_result *result, ts_error *err)
{
    ts_status status = TS_OK;
    tinysft_device *device = NULL;
    ts_progress bar = {0};
    ts_text folder = {0}, data = {0};
    TS_TRY(find_questions(o, &data, err));
    if (data.len > 0) {
        const tinysft_device_params wanted = ts_cli_device_params(&o->device, o->precision);
        TS_TRY(tinysft_device_open(&wanted, &device, err));
    }
    TS_TRY(ts_cli_resolve_model(o->params.model, o->params.revision, true, &folder, err));
    tinysft_export_params params = o->params;
    params.name = o->params.model;
    params.model = folder.bytes;
    params.data = data.len > 0 ? data.bytes : NULL;
    params.max_shard_bytes = o->shard_megabytes * 1000000;
    params.loading = show;
    params.loading_user = &bar;
    params.caller = ts_cli_caller;
    ts_signals_install("\nstopping; once more to end at once\n");
    status = tinysft_export(device, &params, result, err);
out:
    ts_progress_end(&bar);
    tinysft_device_close(&device);
    ts_text_free(&folder);
    ts_text_free(&data);
    return status;
}

static int run(int argc, char **argv)
{
    ts_status status = TS_OK;
    ts_error error = {0}, *err = &error;
    tinysft_export_result result = {0};
    TS_TRY(ts_flags_parse(&ts_command_export, argc, argv, err));
    TS_TRY(export_model(&asked, &result, err));
    ts_cli_say(stdout, "written: %s\n", asked.params.path);
    if (result.measured) {
        ts_cli_say(stdout,
                   "loss on the reference answers: base %.4f, with the adapter %.4f, merged %.4f\n",
                   result.base, result.adapter, result.merged);
    }
out:
    if (status == TS_OK) {
        return 0;
    }
    int code = ts_cli_fail(&ts_command_export, err);
    return status == TS_ERR_STOPPED ? 128 + ts_signals_pending() : code;
}

const ts_command ts_command_export = {
    .name = "export",
    .summary = "take a model and its adapter to other programs",
    .usage = "--model MODEL [--adapter OUT] --format FORMAT --output PATH [flags]",
    .needs_less = "--no-loss leaves out the comparison, which loads the model on a device; or take "
                  "another --device",
    .flags = flags,
    .flag_count = TS_COUNT(flags),
    .run = run,
};
