#include "train/trainer.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/signals.h"
#include "cli/cli.h"
#include "cli/train_show.h"
#include "eval/plot.h"
#include "train/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The flags' values as the parser stores them; numbers are wide there.
struct options {
    ts_train_settings settings;
    ts_gpu_params device;
    ts_gpu_list devices; // what there is, and which one it will be
    const char *targets, *schedule, *precision, *quantize, *revision;
    bool eight_bit;
    uint64_t rank, batch_size, accumulation, max_length;
    double max_memory_mib;
    bool dry_run, show_mask, profile;
    ts_text config;      // run.json
    bool trained, saved; // a step was trained; the output folder has a checkpoint of this run
};

// The plan's limit: what was asked for, or nearly all that the device has free. Without a device
// there is none, which --dry-run may live with.
static ts_status choose_limit(struct options *options, ts_error *err)
{
    ts_gpu_list *list = &options->devices;
    ts_status status = ts_gpu_enumerate(&options->device, list, err);
    if (status == TS_OK) {
        const ts_gpu_caps *caps = &list->caps[list->chosen];
        ts_cli_say(stderr, "device: %s, %.1f MiB free\n", caps->name,
                   (double)caps->memory_free_bytes / (1 << 20));
        ts_train_settings_suit(&options->settings, caps);
    } else if (options->dry_run) {
        ts_cli_say(stderr, "device: none: %s\n", err->message);
        status = TS_OK;
    }
    if (options->max_memory_mib > 0) {
        options->settings.memory_limit = (uint64_t)(options->max_memory_mib * (1 << 20));
    }
    return status;
}

// ---- Progress

struct bars {
    ts_progress steps, loading;
};

static void show_loading(void *user, uint64_t done, uint64_t total)
{
    struct bars *bars = user;
    ts_cli_show_loading(&bars->loading, done, total);
}

static void show_progress(void *user, const ts_train_progress *p)
{
    ts_progress *bar = &((struct bars *)user)->steps;
    char detail[256];
    if (bar->stream == NULL) {
        ts_progress_begin(bar, stderr, "step", p->steps);
        bar->first = p->step;
    }
    snprintf(detail, sizeof detail,
             "loss %.4f (mean of %llu)  %.0f tok/s  epoch %.2f  lr %.2e  grad %.3f  %.0f MiB",
             p->loss, (unsigned long long)p->loss_steps, p->tokens_per_second, p->epoch, p->rate,
             p->grad_norm, (double)p->device_bytes / (1 << 20));
    ts_progress_update(bar, p->step, detail, p->log);
}

// ---- The command

#define BIG 1e9

// "TinyLlama-1.1B-Chat-v1.0 on dataset.json, learning rate 5e-05"
static ts_status title_curve(const ts_trainer *trainer, ts_text *out, ts_error *err)
{
    const ts_train_settings *s = &trainer->settings;
    const char *model = s->base_model != NULL ? s->base_model : s->model_folder;
    const ts_cli_name name = ts_cli_last_name(model);
    return ts_text_format(out, err, "%.*s on %s, learning rate %g", name.len, name.text,
                          ts_path_name(s->data), s->learning_rate);
}

static ts_status write_curve(void *user, const ts_trainer *trainer, ts_error *err)
{
    (void)user;
    ts_status status = TS_OK;
    ts_text path = {0}, title = {0};
    TS_TRY(title_curve(trainer, &title, err));
    const ts_curve curve = {.title = title.bytes,
                            .count = trainer->history.count,
                            .loss = trainer->history.loss,
                            .learning_rate = trainer->history.rate,
                            .grad_norm = trainer->history.grad_norm,
                            .interval = trainer->settings.logging_steps};
    TS_TRY(ts_path_join(trainer->settings.output_dir, "training_curve.png", &path, err));
    TS_TRY(ts_plot_write(&curve, path.bytes, err));
out:
    ts_text_free(&title);
    ts_text_free(&path);
    return status;
}

// What repeats the run: tinysft-vk train --config OUT/run.json --output-dir ANOTHER.
static ts_status write_config(const struct options *options, ts_error *err)
{
    return ts_cli_write_config(options->settings.output_dir, "run.json", &options->config, err);
}

static ts_status settle_options(struct options *options, ts_error *err)
{
    ts_status status = TS_OK;
    ts_train_settings *s = &options->settings;
    if (s->output_dir == NULL && !options->dry_run && !options->show_mask) {
        TS_FAIL(TS_ERR_ARGUMENT, "--output-dir OUT is missing: where the adapter goes");
    }
    s->rank = (uint32_t)options->rank;
    s->batch_size = (uint32_t)options->batch_size;
    s->accumulation = (uint32_t)options->accumulation;
    s->max_length = (uint32_t)options->max_length;
    TS_TRY(ts_modules_parse(options->targets, &s->targets, err));
    TS_TRY(ts_schedule_parse(options->schedule, &s->schedule, err));
    TS_TRY(ts_cli_choose_quantize(options->quantize, options->eight_bit, &s->quantise, err));
    // A wrong name is told at once; what it means, the device decides.
    TS_TRY(ts_precision_choose(options->precision, &(ts_gpu_caps){0}, &s->precision, err));
out:
    return status;
}

static void tell_finished(const ts_trainer *trainer)
{
    unsigned long long steps = trainer->steps;
    ts_cli_say(stderr,
               "%s is finished, %llu of %llu steps; nothing was touched. --overwrite-output-dir "
               "replaces it, more --epochs goes on\n",
               trainer->settings.output_dir, steps, steps);
}

// Tells from what a run can go on that did not come to its end.
static void tell_checkpoint(const struct options *options)
{
    ts_text found = {0};
    ts_error ignored = {0};
    const ts_train_settings settings = options->settings;
    if (!options->saved) {
        if (options->trained) {
            ts_cli_say(stderr, "the run ended before its first checkpoint (--save-steps N makes "
                               "one every N steps): it can only start again\n");
        }
        return;
    }
    if (ts_checkpoint_find(&settings, &found, &ignored) == TS_OK && found.len > 0) {
        ts_cli_say(stderr, "%s is saved; go on from it with --resume-from-checkpoint\n",
                   found.bytes);
    }
    ts_text_free(&found);
}

static ts_status train(struct options *options, ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    ts_gpu *gpu = NULL;
    struct bars bars = {0};
    ts_profile profile = {0};
    const ts_train_callbacks callbacks = {show_loading, show_progress, write_curve, &bars};
    ts_cli_tell_new_folder(trainer->settings.output_dir);
    TS_TRY(ts_trainer_prepare_output(trainer, err));
    if (trainer->output.finished) {
        tell_finished(trainer);
        goto out;
    }
    TS_TRY(ts_device_open_listed(&options->devices, &options->device, &gpu, err));
    TS_TRY(ts_device_choose_precision(gpu, options->precision, &trainer->settings.precision, err));
    if (options->profile) {
        TS_TRY(ts_profile_open(gpu, &profile, err));
        trainer->profile = &profile;
    }
    bool replaces = trainer->output.replaces; // then the other run's stays until this one saves
    if (!replaces) {
        TS_TRY(write_config(options, err));
    }
    ts_signals_install();
    status = ts_trainer_run(trainer, gpu, &callbacks, err);
    if (replaces && !trainer->output.replaces) {
        ts_error second = {0};
        ts_status written = write_config(options, status == TS_OK ? err : &second);
        status = status == TS_OK ? written : status;
    }
    ts_progress_end(&bars.steps);
    options->saved = trainer->saved > 0;
    options->trained = trainer->history.count > 0;
    TS_TRY(status);
    ts_cli_print_profile(&profile);
    if (options->profile || ts_cli_verbose) {
        ts_cli_print_submits(trainer->pass.recorder);
    }
    ts_cli_say(stderr,
               "%s: adapter_model.safetensors and adapter_config.json (the adapter), README.md "
               "(what it is, and how to use it), training_curve.png, training.json, "
               "trainer_state.json, run.json\n"
               "ask it: tinysft-vk eval --model %s --adapter %s --prompt \"...\"\n",
               trainer->settings.output_dir, trainer->settings.base_model,
               trainer->settings.output_dir);
out:
    ts_trainer_close(trainer); // its device memory goes before the device
    ts_profile_close(&profile);
    ts_gpu_close(gpu);
    return status;
}

static struct options asked = {
    .targets = "q_proj,v_proj", .schedule = "linear", .precision = "auto"};

static const ts_flag flags[] = {
    TS_CLI_CONFIG_FLAG,
    {"model", NULL, TS_FLAG_TEXT, &asked.settings.model_folder, "MODEL", TS_CLI_MODEL_HELP, 0, 0,
     true},
    {"revision", NULL, TS_FLAG_TEXT, &asked.revision, "NAME", TS_CLI_REVISION_HELP},
    {"data", NULL, TS_FLAG_TEXT, &asked.settings.data, "FILE", "JSON or JSON lines", 0, 0, true},
    {"output-dir", NULL, TS_FLAG_TEXT, &asked.settings.output_dir, "OUT", "where the adapter goes"},
    {"epochs", "num-train-epochs", TS_FLAG_REAL, &asked.settings.epochs, "N", "[3]", 0, 1e6},
    {"max-steps", NULL, TS_FLAG_UINT, &asked.settings.max_steps, "N", "instead of epochs", 0, BIG},
    {"lr", "learning-rate", TS_FLAG_REAL, &asked.settings.learning_rate, "X", "peak [5e-5]", 0,
     100},
    {"lr-scheduler-type", "schedule", TS_FLAG_TEXT, &asked.schedule, "NAME",
     "linear, cosine or constant [linear]", .choice = ts_choice_schedule},
    {"warmup-steps", NULL, TS_FLAG_UINT, &asked.settings.warmup_steps, "N", "[0]", 0, BIG},
    {"warmup-ratio", NULL, TS_FLAG_REAL, &asked.settings.warmup_ratio, "X", "of all steps [0]", 0,
     1},
    {"batch-size", "per-device-train-batch-size", TS_FLAG_UINT, &asked.batch_size, "N",
     "examples at once [1]", 1, 65536},
    {"grad-accum", "gradient-accumulation-steps", TS_FLAG_UINT, &asked.accumulation, "N",
     "batches a step [1]", 1, 65536},
    {"max-length", "max-seq-length", TS_FLAG_UINT, &asked.max_length, "N",
     "longer rows are cut, with a warning [2048]", 2, 1 << 20},
    {"train-empty", NULL, TS_FLAG_SWITCH, &asked.settings.train_empty, NULL,
     "learn empty answers too: to say nothing"},
    {"rank", "lora-r", TS_FLAG_UINT, &asked.rank, "N", "[8]", 1, TS_ADAPTER_MAX_RANK},
    {"alpha", "lora-alpha", TS_FLAG_REAL, &asked.settings.alpha, "X", "[16]", 0, 1e6},
    {"lora-dropout", "dropout", TS_FLAG_REAL, &asked.settings.dropout, "X", "[0]", 0, 0.999},
    {"target-modules", NULL, TS_FLAG_TEXT, &asked.targets, "LIST",
     "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj\nor all-linear [q_proj,v_proj]",
     .choice = ts_choice_module},
    {"use-rslora", "rslora", TS_FLAG_SWITCH, &asked.settings.use_rslora, NULL,
     "scale by alpha / sqrt(rank)"},
    {"weight-decay", NULL, TS_FLAG_REAL, &asked.settings.adamw.weight_decay, "X", "[0]", 0, 100},
    {"max-grad-norm", NULL, TS_FLAG_REAL, &asked.settings.adamw.max_grad_norm, "X",
     "0: no clipping [1]", 0, 1e9},
    {"adam-beta1", NULL, TS_FLAG_REAL, &asked.settings.adamw.beta1, "X", "[0.9]", 0, 0.9999999},
    {"adam-beta2", NULL, TS_FLAG_REAL, &asked.settings.adamw.beta2, "X", "[0.999]", 0, 0.9999999},
    {"adam-epsilon", NULL, TS_FLAG_REAL, &asked.settings.adamw.eps, "X", "[1e-8]", 0, 1},
    {"seed", NULL, TS_FLAG_UINT, &asked.settings.seed, "N", "[42]", 0, 0x1p53},
    {"save-steps", NULL, TS_FLAG_UINT, &asked.settings.save_steps, "N",
     "a checkpoint every N steps", 0, BIG},
    {"save-total-limit", NULL, TS_FLAG_UINT, &asked.settings.save_limit, "N", "keep the newest N",
     0, BIG},
    {"logging-steps", NULL, TS_FLAG_UINT, &asked.settings.logging_steps, "N", "[10]", 0, BIG},
    {"resume-from-checkpoint", "resume", TS_FLAG_OPTION, &asked.settings.resume, "[PATH]",
     "go on from a checkpoint, or from the last one;\n\"latest\": where there is none, begin",
     .otherwise = TS_RESUME_LAST, .passing = true},
    {"overwrite-output-dir", NULL, TS_FLAG_SWITCH, &asked.settings.overwrite, NULL,
     "replace the run that OUT holds", .passing = true},
    {"base-model-name", NULL, TS_FLAG_TEXT, &asked.settings.base_model, "NAME",
     "what adapter_config.json calls the base [MODEL]"},
    {"chat-template", NULL, TS_FLAG_TEXT, &asked.settings.chat_template, "NAME",
     TS_CLI_TEMPLATE_HELP, .choice = ts_choice_template},
    TS_CLI_QUANTIZE_FLAGS(asked.quantize, asked.eight_bit),
    TS_CLI_PRODUCT_FLAGS(asked.precision, "auto", asked.device),
    TS_CLI_VALIDATE_FLAG(asked.device),
    {"max-memory", NULL, TS_FLAG_REAL, &asked.max_memory_mib, "MIB",
     "device memory to stay below [what is free]", 1, BIG},
    {"dry-run", NULL, TS_FLAG_SWITCH, &asked.dry_run, NULL, "plan and memory; nothing is run",
     .passing = true},
    {"show-mask", NULL, TS_FLAG_SWITCH, &asked.show_mask, NULL,
     "show each row as the model sees it, and what of it\nis trained on; nothing is run",
     .passing = true},
    {"profile", NULL, TS_FLAG_SWITCH, &asked.profile, NULL, "time on the device by shader",
     .passing = true},
    TS_CLI_VERBOSE_FLAG,
};

static int run(int argc, char **argv)
{
    ts_status status = TS_OK;
    ts_error error = {0}, *err = &error;
    struct options *o = &asked;
    ts_train_settings *s = &o->settings;
    *s = ts_train_defaults();
    o->rank = s->rank, o->batch_size = s->batch_size, o->accumulation = s->accumulation;
    o->max_length = s->max_length;
    ts_trainer trainer = {0};
    ts_text model_folder = {0}, data = {0};
    TS_TRY(ts_flags_parse(&ts_command_train, argc, argv, err));
    TS_TRY(ts_config_print(&ts_command_train, &o->config, err));
    TS_TRY(settle_options(o, err));
    if (s->base_model == NULL) {
        s->base_model = s->model_folder; // the name that was given, not where its download lies
    }
    TS_TRY(ts_cli_resolve_model(s->model_folder, o->revision, true, &model_folder, err));
    s->model_folder = model_folder.bytes;
    TS_TRY(ts_cli_find(s->data, &data, err));
    s->data = data.bytes;
    if (!o->show_mask) {
        TS_TRY(choose_limit(o, err));
    }
    TS_TRY(ts_trainer_open(s, &trainer, err));
    if (o->show_mask) {
        TS_TRY(ts_cli_show_mask(&trainer, err));
        goto out;
    }
    ts_cli_print_plan(&trainer);
    TS_TRY(ts_trainer_check_fit(&trainer, err));
    if (o->dry_run) {
        ts_cli_print_rendered(&trainer);
        goto out;
    }
    status = train(o, &trainer, err);
out:
    ts_trainer_close(&trainer);
    ts_text_free(&model_folder);
    ts_text_free(&data);
    ts_text_free(&o->config);
    ts_gpu_list_close(&o->devices);
    if (status == TS_OK) {
        return 0;
    }
    int code = ts_cli_fail(&ts_command_train, err);
    if (status != TS_ERR_STOPPED) { // which tells it itself
        tell_checkpoint(o);
    }
    return status == TS_ERR_STOPPED ? 128 + ts_signals_pending() : code;
}

const ts_command ts_command_train = {
    .name = "train",
    .summary = "fine-tune a Llama with LoRA",
    .usage = "--model MODEL --data FILE --output-dir OUT [flags]",
    .needs_less = "a smaller --max-length, --batch-size or --rank needs less memory, --max-memory "
                  "MIB sets the limit; or take another --device",
    .flags = flags,
    .flag_count = TS_COUNT(flags),
    .run = run,
};
