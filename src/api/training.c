#include "api/curve.h"
#include "api/inside.h"
#include "api/internal.h"
#include "api/model.h"

#include "base/memory.h"
#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct tinysft_training {
    tinysft_device *device; // NULL: it is only planned
    ts_api_context alone;   // its context if it has no device
    tinysft_model *base;    // that it trains on; NULL: it loads its own
    ts_trainer trainer;
    ts_text folder; // of the model
    ts_arena texts; // of the settings
    ts_api_loading loading;
    ts_ranks *ranks;
    bool balance;
    tinysft_held_out_callback held_out;
    void *held_out_user;
    bool prepared, ran;
    tinysft_step_callback on_step; // of the run that is under way
    void *user;
};

static ts_api_context *context_of(tinysft_training *training)
{
    return training == NULL           ? NULL
           : training->device != NULL ? &training->device->context
                                      : &training->alone;
}

// ---- Settings

static ts_status check_range(const char *name, double value, double least, double most,
                             ts_error *err)
{
    if (value >= least && value <= most) { // false for NaN
        return TS_OK;
    }
    return ts_error_set(err, TS_ERR_ARGUMENT, "%s %g: expected %g to %g", name, value, least, most);
}

// The ranges that the program's flags have.
static ts_status check_ranges(const ts_train_settings *s, ts_error *err)
{
    const double many = 1e9;
    const struct {
        const char *name;
        double value, least, most;
    } ranges[] = {
        {"--epochs", s->epochs, 0, 1e6},
        {"--max-steps", (double)s->max_steps, 0, many},
        {"--lr", s->learning_rate, 0, 100},
        {"--min-lr-ratio", s->min_lr_ratio, 0, 1},
        {"--lr-cycles", (double)s->lr_cycles, 0, many},
        {"--loraplus-ratio", s->adamw.b_ratio, 0, 1e6},
        {"--neftune-alpha", s->neftune_alpha, 0, 1e6},
        {"--warmup-steps", (double)s->warmup_steps, 0, many},
        {"--warmup-ratio", s->warmup_ratio, 0, 1},
        {"--batch-size", s->batch_size, 1, 65536},
        {"--grad-accum", s->accumulation, 1, 65536},
        {"--max-length", s->max_length, 2, 1 << 20},
        {"--alpha", s->alpha, 0, 1e6},
        {"--lora-dropout", s->dropout, 0, 0.999},
        {"--weight-decay", s->adamw.weight_decay, 0, 100},
        {"--max-grad-norm", s->adamw.max_grad_norm, 0, many},
        {"--adam-beta1", s->adamw.beta1, 0, 0.9999999},
        {"--adam-beta2", s->adamw.beta2, 0, 0.9999999},
        {"--adam-epsilon", s->adamw.eps, 0, 1},
        {"--seed", (double)s->seed, 0, 0x1p53},
        {"--save-steps", (double)s->save_steps, 0, many},
        {"--save-total-limit", (double)s->save_limit, 0, many},
        {"--logging-steps", (double)s->logging_steps, 0, many},
        {"--eval-steps", (double)s->eval_steps, 0, many},
        {"--early-stopping", (double)s->early_stopping, 0, many},
        {"--early-stopping-threshold", s->early_stopping_threshold, 0, many},
    };
    ts_status status = TS_OK;
    for (size_t i = 0; i < TS_COUNT(ranges) && status == TS_OK; i++) {
        status = check_range(ranges[i].name, ranges[i].value, ranges[i].least, ranges[i].most, err);
    }
    return status;
}

static ts_status copy(tinysft_training *training, const char *text, const char **out, ts_error *err)
{
    char *made = NULL;
    ts_status status = TS_OK;
    if (text != NULL) {
        status = ts_arena_copy_text(&training->texts, text, strlen(text), &made, err);
    }
    *out = made;
    return status;
}

static ts_status copy_texts(tinysft_training *training, const tinysft_training_params *p,
                            ts_train_settings *s, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(copy(training, p->data, &s->data, err));
    TS_TRY(copy(training, p->eval_data, &s->eval_data, err));
    TS_TRY(copy(training, p->adapter, &s->adapter, err));
    TS_TRY(copy(training, p->output_dir, &s->output_dir, err));
    TS_TRY(copy(training, ts_api_text(p->base_model, p->model), &s->base_model, err));
    TS_TRY(copy(training, p->rank_pattern, &s->rank_pattern, err));
    TS_TRY(copy(training, p->alpha_pattern, &s->alpha_pattern, err));
    TS_TRY(copy(training, p->chat_template, &s->chat_template, err));
    TS_TRY(copy(training, p->log_file, &s->log_file, err));
    TS_TRY(copy(training, p->logging_dir, &s->logging_dir, err));
    TS_TRY(copy(training, p->resume, &s->resume, err));
out:
    return status;
}

// What is chosen by name.
static ts_status parse_names(const tinysft_training_params *p, ts_train_settings *s, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_api_quantize(p->quantize, &s->quantise, err));
    if (p->train_on != NULL) {
        TS_TRY(ts_train_on_parse(p->train_on, &s->train_on, err));
    }
    if (p->init_lora != NULL) {
        TS_TRY(ts_lora_init_parse(p->init_lora, &s->init_lora, err));
    }
    if (p->target_modules != NULL) {
        TS_TRY(ts_modules_parse(p->target_modules, &s->targets, err));
    }
    if (p->schedule != NULL) {
        TS_TRY(ts_schedule_parse(p->schedule, &s->schedule, err));
    }
out:
    return status;
}

static ts_status make_settings(tinysft_training *training, const tinysft_training_params *p,
                               ts_train_settings *s, ts_error *err)
{
    ts_status status = TS_OK;
    *s = ts_train_defaults();
    TS_TRY(copy_texts(training, p, s, err));
    TS_TRY(parse_names(p, s, err));
    s->train_empty = p->train_empty;
    s->max_length = (uint32_t)ts_api_count(p->max_length, s->max_length);
    s->rank = (uint32_t)ts_api_count(p->rank, s->rank);
    s->alpha = ts_api_real(p->alpha, s->alpha);
    s->use_rslora = p->use_rslora;
    s->use_dora = p->use_dora;
    s->group_by_length = p->group_by_length;
    s->dropout = p->lora_dropout;
    s->neftune_alpha = p->neftune_alpha;
    if (p->loss != NULL) {
        TS_TRY(ts_loss_parse(p->loss, &s->loss, err));
    }
    s->loss_params.beta = ts_api_real(p->beta, s->loss_params.beta);
    s->loss_params.label_smoothing = p->label_smoothing;
    s->epochs = ts_api_real(p->epochs, s->epochs);
    s->max_steps = p->max_steps;
    s->batch_size = (uint32_t)ts_api_count(p->batch_size, s->batch_size);
    s->accumulation = (uint32_t)ts_api_count(p->grad_accum, s->accumulation);
    s->learning_rate = ts_api_real(p->learning_rate, s->learning_rate);
    s->min_lr_ratio = p->min_lr_ratio;
    s->lr_cycles = p->lr_cycles;
    s->warmup_steps = p->warmup_steps;
    s->warmup_ratio = p->warmup_ratio;
    s->adamw = (ts_adamw_params){
        .beta1 = ts_api_real(p->adam_beta1, s->adamw.beta1),
        .beta2 = ts_api_real(p->adam_beta2, s->adamw.beta2),
        .eps = ts_api_real(p->adam_epsilon, s->adamw.eps),
        .weight_decay = p->weight_decay,
        .max_grad_norm = ts_api_real(p->max_grad_norm, s->adamw.max_grad_norm),
        .b_ratio = p->loraplus_ratio,
    };
    s->seed = ts_api_count(p->seed, s->seed);
    s->save_steps = p->save_steps;
    s->save_limit = p->save_total_limit;
    s->logging_steps = ts_api_count(p->logging_steps, s->logging_steps);
    s->eval_split = p->eval_split;
    s->eval_steps = p->eval_steps;
    s->load_best = p->load_best_at_end;
    s->early_stopping = p->early_stopping;
    s->early_stopping_threshold = p->early_stopping_threshold;
    s->memory_limit = p->max_memory; // 0: the device's limit is set below
    s->overwrite = p->overwrite;
    if (training->device != NULL) {
        const ts_gpu_list *list = &training->device->list;
        ts_train_settings_suit(s, &list->caps[list->chosen]);
        s->memory_limit = p->max_memory > 0 ? p->max_memory : s->memory_limit;
        TS_TRY(ts_precision_choose(training->device->wanted, &list->caps[list->chosen],
                                   &s->precision, err));
    }
    TS_TRY(check_ranges(s, err));
out:
    return status;
}

// ---- Opening

// The files of the base: those of a model that is open already, or those that the parameters name.
static ts_status find_base(tinysft_training *training, const tinysft_training_params *p,
                           ts_train_settings *settings, ts_error *err)
{
    ts_status status = TS_OK;
    tinysft_model *base = p->base;
    if (base == NULL) {
        TS_TRY(
            ts_api_find_model(p->model, p->revision, &training->loading, &training->folder, err));
    } else if (p->model != NULL || p->revision != NULL || p->quantize != NULL) {
        TS_FAIL(TS_ERR_ARGUMENT,
                "the base is open already: model, revision and quantize follow from it");
    } else if (base->device != training->device) {
        TS_FAIL(TS_ERR_ARGUMENT, "the base was opened on another device than the training");
    } else {
        TS_TRY(ts_text_format(&training->folder, err, "%s", base->folder.bytes));
        settings->quantise = base->quantise;
        settings->base_model = ts_api_text(settings->base_model, base->name.bytes);
        training->base = base;
        ts_api_model_keep(base);
    }
    settings->model_folder = training->folder.bytes;
out:
    return status;
}

static ts_status open_training(tinysft_training *training, const tinysft_training_params *params,
                               ts_error *err)
{
    ts_status status = TS_OK;
    ts_train_settings settings;
    if (params->data == NULL) {
        TS_FAIL(TS_ERR_ARGUMENT, "no data is named");
    }
    TS_TRY(make_settings(training, params, &settings, err));
    TS_TRY(find_base(training, params, &settings, err));
    settings.ranks = training->ranks;
    settings.balance = training->balance;
    TS_TRY(ts_trainer_open(&settings, &training->trainer, err));
    if (training->base != NULL) {
        ts_api_model_make_room(training->base, ts_trainer_longest_row(&training->trainer));
    }
out:
    return status;
}

tinysft_status tinysft_training_open(tinysft_device *device, const tinysft_training_params *params,
                                     tinysft_training **out, tinysft_error *error)
{
    return ts_api_training_open(device, params, NULL, false, out, error);
}

tinysft_status ts_api_training_open(tinysft_device *device, const tinysft_training_params *params,
                                    ts_ranks *ranks, bool balance, tinysft_training **out,
                                    tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    tinysft_training *training = NULL;
    if (params == NULL || out == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "%s is NULL", params == NULL ? "params" : "out");
    }
    *out = NULL;
    ts_status status = ts_alloc(1, sizeof *training, &training, err);
    if (status != TS_OK) {
        return status;
    }
    training->device = device;
    training->ranks = ranks;
    training->balance = balance;
    ts_api_context_open(&training->alone, &params->caller);
    ts_api_context *context = context_of(training);
    training->loading =
        (ts_api_loading){.context = context, .tell = params->loading, .user = params->loading_user};
    training->held_out = params->held_out;
    training->held_out_user = params->held_out_user;
    if ((status = ts_api_enter(context, "the device", err)) != TS_OK) {
        free(training);
        return status;
    }
    status = open_training(training, params, err);
    ts_api_leave(context);
    if (device != NULL) {
        ts_api_device_keep(device);
    }
    *out = training;
    if (status != TS_OK) {
        tinysft_training_close(out);
    }
    return status;
}

void tinysft_training_close(tinysft_training **closing)
{
    ts_error ignored;
    tinysft_training *training = closing != NULL ? *closing : NULL;
    ts_api_context *context = context_of(training);
    if (training == NULL || ts_api_enter(context, "the training", &ignored) != TS_OK) {
        return; // a callback must not close what its own call uses
    }
    *closing = NULL;
    ts_trainer_close(&training->trainer);
    ts_api_leave(context);
    if (training->base != NULL) {
        ts_api_model_release(training->base);
    }
    ts_api_device_release(training->device);
    ts_text_free(&training->folder);
    ts_arena_free(&training->texts);
    free(training);
}

tinysft_status tinysft_training_get_plan(const tinysft_training *training,
                                         tinysft_training_plan *out, tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    if (training == NULL || out == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "%s is NULL",
                            training == NULL ? "the training" : "out");
    }
    const ts_trainer *t = &training->trainer;
    *out = (tinysft_training_plan){
        .examples = t->batches.items,
        .pairs = t->dataset.pairs,
        .tokens = t->dataset.token_count,
        .supervised_tokens = t->dataset.supervised_count,
        .held_out = t->held_out.items,
        .eval_steps = t->held_out.count > 0 ? t->settings.eval_steps : 0,
        .steps = t->steps,
        .steps_per_epoch = t->batches.steps_per_epoch,
        .parameters = t->plan.parameters,
        .weight_bytes = t->plan.weights,
        .adapter_bytes = t->plan.adapter,
        .activation_bytes = t->plan.activations,
        .bytes = t->plan.total,
        .limit_bytes = t->settings.memory_limit,
        .fits = t->plan.fits,
        .quantized = t->held_in.len > 0 ? t->held_in.bytes : NULL,
        .embedding_in_file = t->embedding_in_file && !t->config.tied,
        .rows_at_once = t->limits.rows,
        .micro_batches = t->packing.micro_batches,
        .micro_tokens = t->packing.tokens,
        .least_at_once = (uint32_t)t->packing.least,
        .most_at_once = (uint32_t)t->packing.most,
        .layers = t->config.layers,
        .recomputing_layers = t->limits.recompute,
        .chat_template = ts_chat_template_name(t->template),
        .rendered = t->dataset.rendered,
        .rendered_bytes = t->dataset.rendered_len,
    };
    return TS_OK;
}

// ---- Rows

static bool is_supervised(const ts_example *row, uint32_t t)
{
    return t > 0 && row->supervised[t];
}

static ts_status show_row(tinysft_training *training, const ts_example *row, tinysft_part show,
                          void *user, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    ts_api_context *context = context_of(training);
    for (uint32_t from = 0, to; from < row->count; from = to) {
        bool supervised = is_supervised(row, from);
        for (to = from + 1; to < row->count && is_supervised(row, to) == supervised; to++) {
        }
        ts_text_clear(&text);
        TS_TRY(ts_tokenizer_decode(training->trainer.tokenizer, row->ids + from, to - from, false,
                                   &text, err));
        ts_api_go_out(context);
        show(user, text.bytes != NULL ? text.bytes : "", text.len, supervised);
        ts_api_come_back(context, TINYSFT_GO_ON);
    }
out:
    ts_text_free(&text);
    return status;
}

static ts_status get_row(tinysft_training *training, uint64_t index, tinysft_row *out,
                         tinysft_part show, void *user, ts_error *err)
{
    const ts_dataset *dataset = &training->trainer.dataset;
    if (index >= dataset->count) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "row %llu: there are %zu, from 0",
                            (unsigned long long)index, dataset->count);
    }
    const ts_example *row = &dataset->examples[index];
    if (out != NULL) {
        *out = (tinysft_row){row->line, row->count, row->supervised_count};
    }
    return show != NULL ? show_row(training, row, show, user, err) : TS_OK;
}

tinysft_status tinysft_training_get_row(tinysft_training *training, uint64_t index,
                                        tinysft_row *out, tinysft_part show, void *user,
                                        tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    ts_api_context *context = context_of(training);
    ts_status status = ts_api_enter(context, "the training", err);
    if (status == TS_OK) {
        status = get_row(training, index, out, show, user, err);
        ts_api_leave(context);
    }
    return status;
}

// ---- Running

static void show_step(void *user, const ts_train_progress *p)
{
    tinysft_training *training = user;
    if (training->on_step == NULL) {
        return;
    }
    const tinysft_step step = {
        .step = p->step,
        .steps = p->steps,
        .epoch = p->epoch,
        .loss = p->loss,
        .loss_steps = p->loss_steps,
        .learning_rate = p->rate,
        .grad_norm = p->grad_norm,
        .margin = p->margin,
        .accuracy = p->accuracy,
        .tokens_per_second = p->tokens_per_second,
        .held_out_loss = p->held_out_loss,
        .seconds_left = p->seconds_left,
        .device_bytes = p->device_bytes,
        .log = p->log,
    };
    ts_api_context *context = context_of(training);
    ts_api_go_out(context);
    ts_api_come_back(context, training->on_step(training->user, &step));
}

static void show_held_out(void *user, const ts_train_evaluation *e)
{
    tinysft_training *training = user;
    if (training->held_out == NULL) {
        return;
    }
    const tinysft_held_out measured = {.step = e->step,
                                       .epoch = e->epoch,
                                       .loss = e->loss,
                                       .margin = e->margin,
                                       .accuracy = e->accuracy,
                                       .best_step = e->best_step,
                                       .best_loss = e->best_loss,
                                       .stops = e->stops};
    ts_api_context *context = context_of(training);
    ts_api_go_out(context);
    ts_api_come_back(context, training->held_out(training->held_out_user, &measured));
}

static void show_loading(void *user, uint64_t done, uint64_t total)
{
    tinysft_training *training = user;
    ts_api_show_loading(&training->loading, done, total);
}

ts_status ts_api_check_fit(const tinysft_training *training, ts_error *err)
{
    return ts_trainer_check_fit(&training->trainer, err);
}

static ts_status check_ready(const tinysft_training *training, ts_error *err)
{
    const ts_trainer *t = &training->trainer;
    if (training->device == NULL || t->settings.output_dir == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "the training was opened without %s: it can only be planned",
                            training->device == NULL ? "a device" : "an output_dir");
    }
    if (training->ran) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "the training has run already: open another");
    }
    return ts_api_check_fit(training, err);
}

static ts_status prepare(tinysft_training *training, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(check_ready(training, err));
    if (!training->prepared) {
        TS_TRY(ts_trainer_prepare_output(&training->trainer, err));
        training->prepared = true;
    }
out:
    return status;
}

tinysft_status tinysft_training_prepare(tinysft_training *training, tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    ts_api_context *context = context_of(training);
    ts_status status = ts_api_enter(context, "the training", err);
    if (status == TS_OK) {
        status = prepare(training, err);
        ts_api_leave(context);
    }
    return status;
}

static ts_status run(tinysft_training *training, ts_error *err)
{
    ts_status status = TS_OK;
    ts_trainer *trainer = &training->trainer;
    const ts_train_callbacks callbacks = {.loading = show_loading,
                                          .progress = show_step,
                                          .evaluated = show_held_out,
                                          .add_results = ts_api_write_curve,
                                          .user = training};
    TS_TRY(prepare(training, err));
    if (!trainer->output.finished) {
        TS_TRY(ts_api_device_start(training->device, err));
        trainer->settings.precision = training->device->precision;
        if (training->base != NULL) {
            TS_TRY(ts_api_model_load(training->base, err));
            ts_api_model_forget_adapter(training->base);
            trainer->base = &training->base->model;
        }
        training->ran = true;
        TS_TRY(ts_trainer_run(trainer, training->device->gpu, &callbacks, err));
    }
out:
    return status;
}

tinysft_status tinysft_training_run(tinysft_training *training, tinysft_step_callback on_step,
                                    void *user, tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    ts_api_context *context = context_of(training);
    ts_status status = ts_api_enter(context, "the training", err);
    if (status == TS_OK) {
        training->on_step = on_step;
        training->user = user;
        status = run(training, err);
        ts_api_leave(context);
    }
    return status;
}

tinysft_status tinysft_training_get_state(const tinysft_training *training,
                                          tinysft_training_state *out, tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    if (training == NULL || out == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "%s is NULL",
                            training == NULL ? "the training" : "out");
    }
    const ts_trainer *t = &training->trainer;
    *out = (tinysft_training_state){.steps = t->output.finished ? t->steps : t->history.count,
                                    .saved = t->saved,
                                    .was_finished = t->output.finished,
                                    .replaces = t->output.replaces};
    return TS_OK;
}

// ---- For the command line

ts_status ts_api_get_share(tinysft_training *training, uint32_t rank, ts_api_share *out,
                           ts_error *err)
{
    ts_exchange_share share = {0};
    ts_trainer *trainer = &training->trainer;
    ts_status status = ts_trainer_share_of(trainer, rank, &share, err);
    *out = (ts_api_share){.first = share.first,
                          .end = share.end,
                          .all = (uint32_t)ts_batches_most(&trainer->batches),
                          .device_bytes = trainer->plan.total,
                          .host_bytes = share.host_bytes,
                          .sent_bytes = share.sent_bytes,
                          .alone_s = trainer->exchange.times.alone_s,
                          .waited_s = trainer->exchange.times.waited_s,
                          .steps = trainer->exchange.times.steps};
    return status;
}

ts_status ts_api_profile(tinysft_training *training, ts_profile *profile, ts_error *err)
{
    ts_status status = ts_api_device_start(training->device, err);
    if (status == TS_OK) {
        status = ts_profile_open(training->device->gpu, profile, err);
    }
    training->trainer.profile = status == TS_OK ? profile : NULL;
    return status;
}

const ts_recorder *ts_api_recorder(const tinysft_training *training)
{
    return training->trainer.pass.recorder;
}
