#include "cli/train.h"
#include "api/inside.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/progress.h"
#include "base/signals.h"
#include "cli/ranks.h"
#include "cli/train_show.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ts_status ts_train_open_device(ts_train_options *options, tinysft_device **out, ts_error *err)
{
    uint32_t sharers = 1;
    ts_status status = ts_cli_rank_device(&options->device, &options->own_device, &sharers, err);
    if (options->own_device.len > 0) {
        options->device.device = options->own_device.bytes;
    }
    const tinysft_device_params wanted = ts_cli_device_params(&options->device, options->precision);
    status = status == TS_OK ? tinysft_device_open(&wanted, out, err) : status;
    if (status == TS_OK) {
        const tinysft_device_info *info = tinysft_device_describe(*out);
        if (sharers > 1 && options->max_memory_mib == 0) { // ranks share it
            options->max_memory_mib = 0.95 * (double)info->memory_free_bytes / sharers / (1 << 20);
        }
        ts_cli_say(stderr, "device: %s, %.1f MiB free\n", info->name,
                   (double)info->memory_free_bytes / (1 << 20));
    } else if (options->dry_run) {
        ts_cli_say(stderr, "device: none: %s\n", err->message);
        status = TS_OK;
    }
    return status;
}

// ---- Progress

struct bars {
    ts_progress steps, loading;
};

static tinysft_next show_step(void *user, const tinysft_step *step)
{
    ts_progress *bar = &((struct bars *)user)->steps;
    char detail[256], pairs[64] = "", held_out[48] = "";
    if (isfinite(step->margin)) {
        snprintf(pairs, sizeof pairs, "  margin %.3f  right %.0f%%", step->margin,
                 100 * step->accuracy);
    }
    if (isfinite(step->held_out_loss)) {
        snprintf(held_out, sizeof held_out, "  held-out %.4f", step->held_out_loss);
    }
    if (bar->stream == NULL) {
        ts_progress_begin(bar, stderr, "step", step->steps);
        bar->first = step->step;
    }
    snprintf(detail, sizeof detail,
             "loss %.4f (mean of %llu)%s%s  %.0f tok/s  epoch %.2f  lr %.2e  grad %.3f  %.0f MiB",
             step->loss, (unsigned long long)step->loss_steps, held_out, pairs,
             step->tokens_per_second, step->epoch, step->learning_rate, step->grad_norm,
             (double)step->device_bytes / (1 << 20));
    ts_progress_update(bar, step->step, detail, step->log);
    return TINYSFT_GO_ON; // a signal interrupts (ts_cli_caller)
}

static tinysft_next show_held_out(void *user, const tinysft_held_out *measured)
{
    (void)user;
    char best[64] = "the least so far";
    if (measured->best_step != measured->step) {
        snprintf(best, sizeof best, "the least was %.4f after step %llu", measured->best_loss,
                 (unsigned long long)measured->best_step);
    }
    char more[64];
    bool pairs = isfinite(measured->margin);
    if (pairs) {
        snprintf(more, sizeof more, "margin %.3f, right %.0f%%", measured->margin,
                 100 * measured->accuracy);
    } else {
        snprintf(more, sizeof more, "perplexity %.4g", exp(measured->loss));
    }
    ts_progress_clear();
    ts_cli_say(stderr, "step %llu: held-out %s: loss %.4f (%s), %s%s\n",
               (unsigned long long)measured->step, pairs ? "pairs" : "rows", measured->loss, more,
               best, measured->stops ? "; no progress, so training stops here" : "");
    return TINYSFT_GO_ON;
}

// ---- The command

#define BIG 1e9

// To repeat the run: tinysft-vk train --config OUT/run.json --output-dir ANOTHER.
static ts_status write_config(const ts_train_options *options, ts_error *err)
{
    return ts_cli_write_config(options->settings.output_dir, "run.json", &options->config, err);
}

// --eval-steps is a number or "epoch"; the only metric is the loss.
static ts_status settle_evaluation(ts_train_options *options, ts_error *err)
{
    ts_status status = TS_OK;
    ts_train_settings *s = &options->settings;
    const char *text = options->eval_steps;
    char *end = NULL;
    if (text != NULL && strcmp(text, "epoch") != 0) {
        double number = strtod(text, &end);
        if (end == text || *end != '\0' || !(number >= 1 && number <= BIG) ||
            number != floor(number)) {
            TS_FAIL(TS_ERR_ARGUMENT, "--eval-steps %s: expected a number of steps, or epoch", text);
        }
        s->eval_steps = (uint64_t)number;
    }
    if (strcmp(options->metric, "eval_loss") != 0 && strcmp(options->metric, "loss") != 0) {
        TS_FAIL(TS_ERR_ARGUMENT,
                "--metric %s: expected eval_loss, the loss on the held-out rows; eval measures "
                "other things on the finished adapter",
                options->metric);
    }
    if (text != NULL && s->eval_data == NULL && s->eval_split == 0) {
        TS_FAIL(TS_ERR_ARGUMENT, "--eval-steps needs rows that are not trained on: give "
                                 "--eval-data FILE or --eval-split 0.1");
    }
out:
    return status;
}

ts_status ts_train_settle(ts_train_options *options, ts_error *err)
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
    TS_TRY(settle_evaluation(options, err));
    TS_TRY(ts_loss_parse(options->loss, &s->loss, err));
    TS_TRY(ts_modules_parse(options->targets, &s->targets, err));
    TS_TRY(ts_schedule_parse(options->schedule, &s->schedule, err));
    if (options->train_on != NULL) {
        TS_TRY(ts_train_on_parse(options->train_on, &s->train_on, err));
    }
    if (options->init_lora != NULL) {
        TS_TRY(ts_lora_init_parse(options->init_lora, &s->init_lora, err));
    }
    TS_TRY(ts_cli_choose_quantize(options->quantize, &s->quantise, err));
    // Only checks the name, before a device is opened; what "auto" means depends on the device.
    TS_TRY(ts_precision_choose(options->precision, &(ts_gpu_caps){0}, &s->precision, err));
out:
    return status;
}

// To the library 0 means the default, and a negative number means 0.
static double number(double value)
{
    return value == 0 ? -1 : value;
}

static int64_t count(uint64_t value)
{
    return value == 0 ? -1 : (int64_t)value;
}

static void describe_adapter(const ts_train_options *options, tinysft_training_params *out)
{
    const ts_train_settings *s = &options->settings;
    out->adapter = s->adapter;
    out->rank = s->rank;
    out->alpha = number(s->alpha);
    out->use_rslora = s->use_rslora;
    out->use_dora = s->use_dora;
    out->rank_pattern = s->rank_pattern;
    out->alpha_pattern = s->alpha_pattern;
    out->lora_dropout = s->dropout;
    out->neftune_alpha = s->neftune_alpha;
    out->init_lora = options->init_lora;
    out->target_modules = options->targets;
}

tinysft_training_params ts_train_params(const ts_train_options *options, ts_progress *loading)
{
    const ts_train_settings *s = &options->settings;
    tinysft_training_params params = {
        .model = s->model_folder,
        .data = s->data,
        .output_dir = s->output_dir,
        .base_model = s->base_model,
        .chat_template = s->chat_template,
        .quantize = options->quantize,
        .train_on = options->train_on,
        .train_empty = s->train_empty,
        .max_length = s->max_length,
        .loss = options->loss,
        .beta = number(s->loss_params.beta),
        .label_smoothing = s->loss_params.label_smoothing,
        .epochs = number(s->epochs),
        .max_steps = s->max_steps,
        .batch_size = s->batch_size,
        .grad_accum = s->accumulation,
        .group_by_length = s->group_by_length,
        .learning_rate = number(s->learning_rate),
        .schedule = options->schedule,
        .min_lr_ratio = s->min_lr_ratio,
        .lr_cycles = s->lr_cycles,
        .loraplus_ratio = s->adamw.b_ratio,
        .warmup_steps = s->warmup_steps,
        .warmup_ratio = s->warmup_ratio,
        .weight_decay = s->adamw.weight_decay,
        .max_grad_norm = number(s->adamw.max_grad_norm),
        .adam_beta1 = number(s->adamw.beta1),
        .adam_beta2 = number(s->adamw.beta2),
        .adam_epsilon = number(s->adamw.eps),
        .seed = count(s->seed),
        .save_steps = s->save_steps,
        .save_total_limit = s->save_limit,
        .logging_steps = count(s->logging_steps),
        .log_file = s->log_file,
        .logging_dir = s->logging_dir,
        .max_memory = (uint64_t)(options->max_memory_mib * (1 << 20)),
        .resume = s->resume,
        .overwrite = s->overwrite,
        .eval_data = s->eval_data,
        .eval_split = s->eval_split,
        .eval_steps = s->eval_steps,
        .load_best_at_end = s->load_best,
        .early_stopping = s->early_stopping,
        .early_stopping_threshold = s->early_stopping_threshold,
        .held_out = show_held_out,
        .loading = ts_cli_show_file,
        .loading_user = loading,
        .caller = ts_cli_caller,
    };
    describe_adapter(options, &params);
    return params;
}

static void tell_finished(const ts_train_options *options)
{
    unsigned long long steps = options->state.steps;
    ts_cli_say(stderr,
               "%s is finished, %llu of %llu steps; nothing was touched. --overwrite-output-dir "
               "replaces it, more --epochs goes on\n",
               options->settings.output_dir, steps, steps);
}

// Tells from which checkpoint a run that did not finish can go on.
static void tell_checkpoint(const ts_train_options *options)
{
    if (options->state.saved > 0) {
        ts_cli_say(stderr,
                   "%s/checkpoint-%llu is saved; go on from it with "
                   "--resume-from-checkpoint\n",
                   options->settings.output_dir, (unsigned long long)options->state.saved);
    } else if (options->state.steps > 0) {
        ts_cli_say(stderr, "the run ended before its first checkpoint (--save-steps N makes "
                           "one every N steps): it can only start again\n");
    }
}

// Runs the training. Where it replaces another run, that one's run.json stays until this one saves.
static ts_status train(ts_train_options *options, tinysft_training *training, struct bars *bars,
                       ts_error *err)
{
    ts_status status = TS_OK;
    bool replaces = options->state.replaces;
    if (!replaces && ts_cli_speaks()) {
        TS_TRY(write_config(options, err));
    }
    ts_signals_install("\nstopping after this step and saving; once more to end at once, without "
                       "saving\n");
    status = tinysft_training_run(training, ts_cli_speaks() ? show_step : NULL, bars, err);
    tinysft_training_get_state(training, &options->state, NULL);
    if (replaces && !options->state.replaces && ts_cli_speaks()) {
        ts_error second = {0};
        ts_status written = write_config(options, status == TS_OK ? err : &second);
        status = status == TS_OK ? written : status;
    }
    ts_progress_end(&bars->steps);
out:
    return status;
}

static void tell_end(const ts_train_options *options)
{
    const char *output_dir = options->settings.output_dir;
    ts_cli_say(stderr,
               "%s: adapter_model.safetensors and adapter_config.json (the adapter), README.md "
               "(what it is, and how to use it), training_curve.png, training.json, "
               "trainer_state.json, run.json\n"
               "ask it: tinysft-vk eval --model %s --adapter %s --prompt \"...\"\n",
               output_dir, options->settings.base_model, output_dir);
}

// From the planned training to its adapter. The training is closed before the profile that it uses,
// and the profile before the device.
static ts_status run_training(ts_train_options *options, tinysft_device *device,
                              tinysft_training **training, struct bars *bars, ts_error *err)
{
    ts_status status = TS_OK;
    ts_profile profile = {0};
    ts_cli_tell_new_folder(options->settings.output_dir);
    TS_TRY(tinysft_training_prepare(*training, err));
    TS_TRY(tinysft_training_get_state(*training, &options->state, err));
    if (options->state.was_finished) {
        tell_finished(options);
        goto out;
    }
    TS_TRY(tinysft_device_start(device, err));
    if (options->profile) {
        TS_TRY(ts_api_profile(*training, &profile, err));
    }
    TS_TRY(train(options, *training, bars, err));
    if (ts_cli_speaks()) {
        ts_cli_print_profile(&profile);
        TS_TRY(ts_cli_print_exchange(*training, err));
    }
    if ((options->profile || ts_cli_verbose) && ts_cli_speaks()) {
        ts_cli_print_submits(ts_api_recorder(*training));
    }
    tell_end(options);
out:
    tinysft_training_close(training);
    ts_profile_close(&profile);
    return status;
}

static ts_train_options asked = {.targets = "q_proj,v_proj",
                                 .schedule = "linear",
                                 .precision = "auto",
                                 .metric = "eval_loss",
                                 .loss = "cross_entropy"};

static const ts_flag flags[] = {
    TS_CLI_CONFIG_FLAG,
    {"model", NULL, TS_FLAG_TEXT, &asked.settings.model_folder, "MODEL", TS_CLI_MODEL_HELP, 0, 0,
     true},
    {"revision", NULL, TS_FLAG_TEXT, &asked.revision, "NAME", TS_CLI_REVISION_HELP},
    {"data", NULL, TS_FLAG_TEXT, &asked.settings.data, "FILE",
     "the rows to learn from, JSON or JSON lines", 0, 0, true},
    {"output-dir", NULL, TS_FLAG_TEXT, &asked.settings.output_dir, "OUT", "where the adapter goes"},
    {"epochs", "num-train-epochs", TS_FLAG_REAL, &asked.settings.epochs, "N",
     "times through all rows [3]", 0, 1e6},
    {"max-steps", NULL, TS_FLAG_UINT, &asked.settings.max_steps, "N",
     "stop after so many steps instead", 0, BIG},
    {"lr", "learning-rate", TS_FLAG_REAL, &asked.settings.learning_rate, "X",
     "learning rate at its peak [5e-5]", 0, 100},
    {"lr-scheduler-type", "schedule", TS_FLAG_TEXT, &asked.schedule, "NAME",
     "how the rate falls: linear, cosine, cosine_with_restarts\nor constant [linear]",
     .choice = ts_choice_schedule},
    {"min-lr-ratio", "min-lr-rate", TS_FLAG_REAL, &asked.settings.min_lr_ratio, "X",
     "the floor of cosine, as a part of --lr [0]", 0, 1},
    {"lr-cycles", "num-cycles", TS_FLAG_UINT, &asked.settings.lr_cycles, "N",
     "cosine_with_restarts falls so many times [1]", 1, BIG},
    {"loraplus-ratio", "loraplus-lr-ratio", TS_FLAG_REAL, &asked.settings.adamw.b_ratio, "R",
     "the rate of B matrices is R times that of A [1]", 1e-6, 1e6},
    {"warmup-steps", NULL, TS_FLAG_UINT, &asked.settings.warmup_steps, "N",
     "the rate rises over so many steps [0]", 0, BIG},
    {"warmup-ratio", NULL, TS_FLAG_REAL, &asked.settings.warmup_ratio, "X",
     "or over this part of all steps [0]", 0, 1},
    {"batch-size", "per-device-train-batch-size", TS_FLAG_UINT, &asked.batch_size, "N",
     "rows at once [1]", 1, 65536},
    {"grad-accum", "gradient-accumulation-steps", TS_FLAG_UINT, &asked.accumulation, "N",
     "batches that one step learns from [1]", 1, 65536},
    {"group-by-length", NULL, TS_FLAG_SWITCH, &asked.settings.group_by_length, NULL,
     "rows of about the same length come together"},
    {"loss", NULL, TS_FLAG_TEXT, &asked.loss, "NAME",
     "cross_entropy; dpo or ipo: learn to prefer one answer of a\npair, from rows of prompt, "
     "chosen and rejected",
     .choice = ts_choice_loss},
    {"beta", NULL, TS_FLAG_REAL, &asked.settings.loss_params.beta, "X",
     "of dpo and ipo: a small one strays further [0.1]", 0, 1e6},
    {"label-smoothing", NULL, TS_FLAG_REAL, &asked.settings.loss_params.label_smoothing, "X",
     "part of each label that all tokens share; of dpo: of\nthe pairs, that may be wrong [0]", 0,
     1},
    {"max-length", "max-seq-length", TS_FLAG_UINT, &asked.max_length, "N",
     "tokens; longer rows are cut, with a warning [2048]", 2, 1 << 20},
    {"train-on", NULL, TS_FLAG_TEXT, &asked.train_on, "WHAT",
     "assistant: all answers; last: the last one of a\nconversation; all: every token [assistant]",
     .choice = ts_choice_train_on},
    {"train-empty", NULL, TS_FLAG_SWITCH, &asked.settings.train_empty, NULL,
     "learn empty answers too: to say nothing"},
    {"adapter", NULL, TS_FLAG_TEXT, &asked.settings.adapter, "IN",
     "go on with this PEFT adapter instead of a new one"},
    {"rank", "lora-r", TS_FLAG_UINT, &asked.rank, "N", "of the adapter: how much it can learn [8]",
     1, TS_ADAPTER_MAX_RANK},
    {"alpha", "lora-alpha", TS_FLAG_REAL, &asked.settings.alpha, "X",
     "the adapter counts alpha / rank [16]", 0, 1e6},
    {"lora-dropout", "dropout", TS_FLAG_REAL, &asked.settings.dropout, "X",
     "part of the adapter's inputs set to zero [0]", 0, 0.999},
    {"neftune-alpha", "neftune-noise-alpha", TS_FLAG_REAL, &asked.settings.neftune_alpha, "X",
     "NEFTune: noise on the embeddings while training [0]", 0, 1e6},
    {"init-lora", "init-lora-weights", TS_FLAG_TEXT, &asked.init_lora, "HOW",
     "the adapter's first numbers: default (uniform) or\ngaussian [default]",
     .choice = ts_choice_init_lora},
    {"target-modules", NULL, TS_FLAG_TEXT, &asked.targets, "LIST",
     "layers to adapt: q_proj,k_proj,v_proj,o_proj,gate_proj,\nup_proj,down_proj or all-linear "
     "[q_proj,v_proj]",
     .choice = ts_choice_module},
    {"use-rslora", "rslora", TS_FLAG_SWITCH, &asked.settings.use_rslora, NULL,
     "the adapter counts alpha / sqrt(rank) instead"},
    {"rank-pattern", NULL, TS_FLAG_TEXT, &asked.settings.rank_pattern, "LIST",
     "other ranks by the ends of modules' names:\nq_proj=16,layers.0.mlp.down_proj=4"},
    {"alpha-pattern", NULL, TS_FLAG_TEXT, &asked.settings.alpha_pattern, "LIST",
     "other alphas likewise"},
    {"use-dora", "dora", TS_FLAG_SWITCH, &asked.settings.use_dora, NULL,
     "DoRA: learn the lengths of weights' rows apart"},
    {"weight-decay", NULL, TS_FLAG_REAL, &asked.settings.adamw.weight_decay, "X", "of AdamW [0]", 0,
     100},
    {"max-grad-norm", NULL, TS_FLAG_REAL, &asked.settings.adamw.max_grad_norm, "X",
     "clip the gradient to this norm; 0: never [1]", 0, 1e9},
    {"adam-beta1", NULL, TS_FLAG_REAL, &asked.settings.adamw.beta1, "X", "of AdamW [0.9]", 0,
     0.9999999},
    {"adam-beta2", NULL, TS_FLAG_REAL, &asked.settings.adamw.beta2, "X", "of AdamW [0.999]", 0,
     0.9999999},
    {"adam-epsilon", NULL, TS_FLAG_REAL, &asked.settings.adamw.eps, "X", "of AdamW [1e-8]", 0, 1},
    {"seed", NULL, TS_FLAG_UINT, &asked.settings.seed, "N",
     "of the rows' order and the adapter's first numbers [42]", 0, 0x1p53},
    {"save-steps", NULL, TS_FLAG_UINT, &asked.settings.save_steps, "N",
     "a checkpoint every N steps [only at the end]", 0, BIG},
    {"save-total-limit", NULL, TS_FLAG_UINT, &asked.settings.save_limit, "N",
     "keep the newest N checkpoints [all]", 0, BIG},
    {"logging-steps", NULL, TS_FLAG_UINT, &asked.settings.logging_steps, "N",
     "tell the mean loss every N steps [10]", 0, BIG},
    {"log-file", NULL, TS_FLAG_TEXT, &asked.settings.log_file, "FILE",
     "the same as JSON lines, for programs", .passing = true},
    {"logging-dir", NULL, TS_FLAG_TEXT, &asked.settings.logging_dir, "DIR",
     "the same as event files, for TensorBoard", .passing = true},
    {"eval-data", "validation-file", TS_FLAG_TEXT, &asked.settings.eval_data, "FILE",
     "rows on which the loss is measured meanwhile"},
    {"eval-split", NULL, TS_FLAG_REAL, &asked.settings.eval_split, "X",
     "or this part of the data, which is then not trained\non [0]", 0, 0.999},
    {"eval-steps", NULL, TS_FLAG_TEXT, &asked.eval_steps, "N", "every N steps, or epoch [epoch]"},
    {"load-best-at-end", "load-best-model-at-end", TS_FLAG_SWITCH, &asked.settings.load_best, NULL,
     "the result is the adapter whose loss on those rows\nis least, not the last"},
    {"metric", "metric-for-best-model", TS_FLAG_TEXT, &asked.metric, "NAME",
     "what is best by: eval_loss alone [eval_loss]"},
    {"early-stopping", "early-stopping-patience", TS_FLAG_UINT, &asked.settings.early_stopping, "N",
     "stop after N measurements without progress", 0, BIG},
    {"early-stopping-threshold", NULL, TS_FLAG_REAL, &asked.settings.early_stopping_threshold, "X",
     "progress is more than this below the least loss [0]", 0, BIG},
    {"resume-from-checkpoint", "resume", TS_FLAG_OPTION, &asked.settings.resume, "[PATH]",
     "go on from this checkpoint, or from the last one;\n\"latest\": or begin where there is none",
     .otherwise = TS_RESUME_LAST, .passing = true},
    {"overwrite-output-dir", NULL, TS_FLAG_SWITCH, &asked.settings.overwrite, NULL,
     "replace the run that OUT holds", .passing = true},
    {"base-model-name", NULL, TS_FLAG_TEXT, &asked.settings.base_model, "NAME",
     "what adapter_config.json calls the base [MODEL]"},
    {"chat-template", NULL, TS_FLAG_TEXT, &asked.settings.chat_template, "NAME",
     TS_CLI_TEMPLATE_HELP, .choice = ts_choice_template},
    TS_CLI_QUANTIZE_FLAGS(asked.quantize),
    TS_CLI_PRODUCT_FLAGS(asked.precision, "auto", asked.device),
    {"devices", NULL, TS_FLAG_TEXT, &asked.devices, "N,N,...",
     "train on these together, a rank on each, by mpirun", .passing = true},
    {"balance", NULL, TS_FLAG_SWITCH, &asked.balance, NULL,
     "of several ranks, faster ones get more micro-batches", .passing = true},
    TS_CLI_VALIDATE_FLAG(asked.device),
    {"max-memory", NULL, TS_FLAG_REAL, &asked.max_memory_mib, "MIB",
     "device memory to stay below [what is free]", 1, BIG},
    {"dry-run", NULL, TS_FLAG_SWITCH, &asked.dry_run, NULL,
     "tell the plan and its memory; nothing is run", .passing = true},
    {"show-mask", NULL, TS_FLAG_SWITCH, &asked.show_mask, NULL,
     "show each row as the model sees it, and what of it\nis trained on; nothing is run",
     .passing = true},
    {"profile", NULL, TS_FLAG_SWITCH, &asked.profile, NULL, "tell the time on the device by shader",
     .passing = true},
    TS_CLI_VERBOSE_FLAG,
};

ts_train_options *ts_train_flags_begin(void)
{
    ts_train_settings *s = &asked.settings;
    *s = ts_train_defaults();
    asked.rank = s->rank, asked.batch_size = s->batch_size, asked.accumulation = s->accumulation;
    asked.max_length = s->max_length;
    return &asked;
}

ts_status ts_train_find(ts_train_options *o, ts_train_places *places, ts_error *err)
{
    ts_status status = TS_OK;
    ts_train_settings *s = &o->settings;
    if (s->base_model == NULL) {
        s->base_model = s->model_folder; // the name that was given, not where its download lies
    }
    TS_TRY(ts_cli_resolve_model(s->model_folder, o->revision, true, &places->model, err));
    s->model_folder = places->model.bytes;
    TS_TRY(ts_cli_find(s->data, &places->data, err));
    s->data = places->data.bytes;
    if (s->eval_data != NULL) {
        TS_TRY(ts_cli_find(s->eval_data, &places->eval_data, err));
        s->eval_data = places->eval_data.bytes;
    }
out:
    return status;
}

void ts_train_places_free(ts_train_places *places)
{
    ts_text_free(&places->model);
    ts_text_free(&places->data);
    ts_text_free(&places->eval_data);
}

// The exit code. Where several ranks train, the failure of one ends all of them.
static int end(const ts_train_options *options, ts_status status, bool quiet, const ts_error *err)
{
    int code = (int)status;
    if (status != TS_OK && !quiet) {
        code = ts_cli_fail(&ts_command_train, err);
    }
    if (status != TS_OK && status != TS_ERR_STOPPED) {
        if (!quiet) {
            tell_checkpoint(options); // a stop's message names it itself
        }
        ts_cli_fail_ranks(err);
    }
    enum { REQUEST = 15 }; // SIGTERM: what another rank was stopped by
    const int signal = ts_signals_pending();
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
    ts_train_options *o = ts_train_flags_begin();
    struct bars bars = {0};
    tinysft_device *device = NULL;
    tinysft_training *training = NULL;
    tinysft_training_plan plan;
    ts_train_places places = {0};
    bool quiet = false;
    TS_TRY(ts_cli_join_ranks(&quiet, err));
    TS_TRY(ts_flags_parse(&ts_command_train, argc, argv, err));
    TS_TRY(ts_cli_start_ranks(&ts_command_train, o->devices, argc, argv, err));
    TS_TRY(ts_config_print(&ts_command_train, &o->config, err));
    TS_TRY(ts_train_settle(o, err));
    if (o->devices != NULL) {
        o->device.device = o->devices;
    }
    TS_TRY(ts_train_find(o, &places, err));
    if (!o->show_mask) {
        TS_TRY(ts_train_open_device(o, &device, err));
    }
    const tinysft_training_params params = ts_train_params(o, &bars.loading);
    TS_TRY(ts_api_training_open(device, &params, ts_cli_ranks, o->balance, &training, err));
    TS_TRY(tinysft_training_get_plan(training, &plan, err));
    if (o->show_mask) {
        TS_TRY(ts_cli_show_mask(training, plan.examples * (plan.pairs ? 2 : 1), err));
        goto out;
    }
    ts_cli_print_plan(&plan, &params);
    TS_TRY(ts_cli_print_ranks(training,
                              device != NULL ? tinysft_device_describe(device)->name : "no device",
                              o->balance, err));
    TS_TRY(ts_api_check_fit(training, err));
    if (o->dry_run) {
        ts_cli_print_rendered(&plan);
        goto out;
    }
    status = run_training(o, device, &training, &bars, err);
out:;
    // First, because after an error MPI may still write to what would be freed below.
    const int code = end(o, status, quiet, err);
    tinysft_training_close(&training);
    tinysft_device_close(&device);
    ts_train_places_free(&places);
    ts_text_free(&o->config);
    ts_text_free(&o->own_device);
    return code;
}

const ts_command ts_command_train = {
    .name = "train",
    .summary = "fine-tune a chat model with LoRA",
    .usage = "--model MODEL --data FILE --output-dir OUT [flags]",
    .notes = "Several configurations, or several seeds of one, in one go: `tinysft-vk sweep`.",
    .needs_less = "a smaller --max-length, --batch-size or --rank needs less memory, --max-memory "
                  "MIB sets the limit; or take another --device",
    .flags = flags,
    .flag_count = TS_COUNT(flags),
    .ranks = true,
    .run = run,
};
