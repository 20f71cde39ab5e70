#include "train/trainer.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "train/checkpoint.h"
#include "train/monitor.h"
#include "train/record.h"
#include "train/result.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// ---- Preparing: files read and checked, nothing on a device

// A token past the embedding's end would be looked up in what lies behind it.
static ts_status check_tokens(const ts_trainer *trainer, ts_error *err)
{
    uint32_t vocab = trainer->config.vocab, known = ts_tokenizer_vocab_size(trainer->tokenizer);
    for (size_t i = 0; i < trainer->dataset.count; i++) {
        const ts_example *row = &trainer->dataset.examples[i];
        for (uint32_t t = 0; t < row->count; t++) {
            if (row->ids[t] >= vocab) {
                return ts_error_set(err, TS_ERR_FORMAT,
                                    "%s:%u: token %u, but the model's vocabulary has %u: the "
                                    "tokenizer belongs to another model",
                                    trainer->settings.data, row->line, row->ids[t], vocab);
            }
        }
    }
    if (known > vocab) {
        ts_log(TS_LOG_WARN,
               "the tokenizer has %u tokens and the model's embedding %u rows; the last %u do not "
               "come up in %s",
               known, vocab, known - vocab, trainer->settings.data);
    }
    return TS_OK;
}

static ts_adapter_config adapter_of(const ts_train_settings *settings)
{
    return (ts_adapter_config){.r = settings->rank,
                               .alpha = settings->alpha,
                               .dropout = settings->dropout,
                               .use_rslora = settings->use_rslora,
                               .targets = settings->targets};
}

// Bytes for the present micro-batch size and recomputation.
static ts_status measure_plan(ts_trainer *trainer, ts_dtype dtype, ts_error *err)
{
    ts_status status = TS_OK;
    ts_train_plan *plan = &trainer->plan;
    const ts_adapter_config adapter = adapter_of(&trainer->settings);
    uint64_t limit = trainer->settings.memory_limit;
    bool in_file = trainer->embedding_in_file;
    uint64_t count, optimiser;
    TS_TRY(ts_model_plan(&trainer->config, trainer->tensors, dtype, trainer->limits.rows, in_file,
                         &adapter, &plan->weights, &plan->adapter, err));
    TS_TRY(ts_pass_plan(&trainer->config, dtype, in_file, &adapter, trainer->limits,
                        &plan->activations, err));
    TS_TRY(ts_optimiser_plan(&trainer->config, &adapter, &optimiser, err));
    plan->adapter += optimiser;
    plan->total = plan->weights + plan->adapter + plan->activations;
    ts_lora_measure(&trainer->config, &adapter, &count, &plan->parameters);
    plan->fits = limit == 0 || plan->total <= limit;
out:
    return status;
}

// Recomputes in as few layers as fit the limit; in all but the last if even that does not do.
static ts_status plan_recomputation(ts_trainer *trainer, ts_dtype dtype, ts_error *err)
{
    ts_status status = TS_OK;
    double mib = 0;
    for (uint32_t layers = 0; layers < trainer->config.layers; layers++) {
        trainer->limits.recompute = layers;
        TS_TRY(measure_plan(trainer, dtype, err));
        if (layers == 0) {
            mib = (double)trainer->plan.total / (1 << 20);
        }
        if (trainer->plan.fits) {
            break;
        }
    }
    if (trainer->plan.fits && trainer->limits.recompute > 0) {
        ts_log(TS_LOG_INFO,
               "%.1f MiB would not fit: recomputing gate and up in %u of %u layers on the way back",
               mib, trainer->limits.recompute, trainer->config.layers);
    }
out:
    return status;
}

// Until it fits: the embedding left in its file, which costs next to nothing (and nothing where
// device and host share their memory), recomputation, which costs time, then smaller micro-batches,
// which cost more.
static ts_status make_plan(ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    ts_dtype dtype = ts_embedding_dtype(&trainer->config, trainer->tensors);
    trainer->limits = ts_batches_limits(&trainer->batches, trainer->steps);
    trainer->embedding_in_file = trainer->settings.shared_memory;
    TS_TRY(measure_plan(trainer, dtype, err));
    trainer->embedding_in_file |= !trainer->plan.fits;
    for (;;) {
        trainer->limits = ts_batches_limits(&trainer->batches, trainer->steps);
        TS_TRY(plan_recomputation(trainer, dtype, err));
        if (trainer->plan.fits || trainer->batches.micro_size == 1) {
            return TS_OK;
        }
        trainer->batches.micro_size = (trainer->batches.micro_size + 1) / 2;
        ts_log(TS_LOG_INFO, "%.1f MiB would not fit: micro-batches of %u",
               (double)trainer->plan.total / (1 << 20), trainer->batches.micro_size);
    }
out:
    return status;
}

static ts_status count_steps(ts_trainer *trainer, ts_error *err)
{
    const ts_train_settings *s = &trainer->settings;
    double wanted = ceil(s->epochs * (double)trainer->batches.steps_per_epoch - 1e-9);
    trainer->steps = s->max_steps > 0 ? s->max_steps : (uint64_t)wanted;
    trainer->warmup = s->warmup_steps > 0
                          ? s->warmup_steps
                          : (uint64_t)ceil(s->warmup_ratio * (double)trainer->steps - 1e-9);
    return trainer->steps > 0
               ? TS_OK
               : ts_error_set(err, TS_ERR_ARGUMENT,
                              "--epochs %g: that is no step at all; an epoch has %llu here",
                              s->epochs, (unsigned long long)trainer->batches.steps_per_epoch);
}

ts_status ts_trainer_open(const ts_train_settings *settings, ts_trainer *out, ts_error *err)
{
    ts_status status = TS_OK;
    *out = (ts_trainer){.settings = *settings};
    TS_TRY(ts_train_settings_check(settings, err));
    TS_TRY(ts_weights_open(settings->model_folder, &out->weights, err));
    TS_TRY(ts_model_check(out->weights, &out->config, err));
    TS_TRY(ts_weights_tensors(out->weights, &out->tensors, err));
    TS_TRY(ts_tokenizer_open(out->weights, &out->tokenizer, err));
    TS_TRY(ts_chat_template_open(out->weights, settings->chat_template, out->tokenizer,
                                 &out->template, err));
    const ts_dataset_options rows = {
        .max_tokens = (uint32_t)ts_min_u64(settings->max_length, out->config.max_positions),
        .train_empty = settings->train_empty};
    TS_TRY(
        ts_dataset_open(settings->data, out->tokenizer, out->template, &rows, &out->dataset, err));
    TS_TRY(check_tokens(out, err));
    TS_TRY(ts_batches_open(&out->dataset, settings->batch_size, settings->accumulation,
                           settings->seed, &out->batches, err));
    TS_TRY(count_steps(out, err));
    TS_TRY(make_plan(out, err));
    TS_TRY(ts_train_record_make(settings, out->steps, &out->record, err));
    cJSON_AddNumberToObject(out->record, "micro_batch_size", out->batches.micro_size);
    cJSON_AddStringToObject(out->record, "chat_template", ts_chat_template_name(out->template));
    cJSON_AddStringToObject(out->record, "chat_template_text",
                            ts_chat_template_text(out->template));
    cJSON_AddNumberToObject(out->record, "steps_per_epoch", (double)out->batches.steps_per_epoch);
    TS_TRY(ts_train_record_add_model(out->record, out->weights, &out->config, &out->dataset, err));
out:
    if (status != TS_OK) {
        ts_trainer_close(out);
    }
    return status;
}

void ts_trainer_close(ts_trainer *trainer)
{
    if (trainer->model.gpu != NULL) {
        ts_optimiser_close(&trainer->optimiser);
        ts_pass_close(&trainer->pass);
    }
    ts_model_close(&trainer->model);
    ts_history_free(&trainer->history);
    ts_batch_free(&trainer->batch);
    ts_batches_close(&trainer->batches);
    ts_dataset_close(&trainer->dataset);
    ts_chat_template_close(trainer->template);
    ts_tokenizer_close(trainer->tokenizer);
    ts_weights_close(trainer->weights);
    cJSON_Delete(trainer->record);
    ts_output_plan_free(&trainer->output);
    ts_output_lock_release(&trainer->lock);
    if (trainer->made_folder) {
        rmdir(trainer->settings.output_dir); // where nothing came into it
    }
    *trainer = (ts_trainer){0};
}

static bool same_state(const ts_output_state *a, const ts_output_state *b)
{
    return a->adapter == b->adapter && a->count == b->count && a->finished == b->finished &&
           a->whole == b->whole;
}

// Makes the folder where it is not there, locks it and cleans up after a killed run.
static ts_status take_folder(ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    const char *folder = trainer->settings.output_dir;
    bool existed = ts_folder_exists(folder);
    TS_TRY(ts_folder_make(folder, err));
    trainer->made_folder = !existed;
    if (access(folder, W_OK | X_OK) != 0) {
        TS_FAIL(TS_ERR_IO, "%s: this folder cannot be written", folder);
    }
    TS_TRY(ts_output_lock_take(folder, &trainer->lock, err));
    TS_TRY(ts_checkpoint_sweep(folder, err));
out:
    return status;
}

ts_status ts_trainer_prepare_output(ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_train_settings *s = &trainer->settings;
    ts_output_state before, state;
    TS_TRY(ts_output_lock_probe(s->output_dir, err));
    TS_TRY(ts_output_inspect(s->output_dir, &before, err));
    TS_TRY(ts_output_choose(s, trainer->record, &before, &trainer->output, err));
    if (trainer->output.finished) {
        return TS_OK;
    }
    TS_TRY(take_folder(trainer, err));
    TS_TRY(ts_output_inspect(s->output_dir, &state, err));
    if (!same_state(&before, &state)) { // another run was quicker, or a checkpoint was moved back
        TS_TRY(ts_output_choose(s, trainer->record, &state, &trainer->output, err));
    }
    if (trainer->output.replaces) {
        ts_log(TS_LOG_INFO, "the run in %s is replaced as soon as this one saves", s->output_dir);
    }
out:
    return status;
}

// ---- Running

enum { MANY_STEPS = 1 << 20 }; // more than that grow as they come

// Another mask for every micro-batch of the run, the same after a resume.
static uint64_t dropout_seed(const ts_trainer *trainer, uint64_t step, uint32_t micro)
{
    return trainer->settings.seed ^ (step + 1) * 0x9E3779B97F4A7C15u ^
           (micro + 1) * 0xD1B54A32D192ED03u;
}

static ts_checkpoint checkpoint_of(ts_trainer *trainer)
{
    return (ts_checkpoint){.model = &trainer->model,
                           .optimiser = &trainer->optimiser,
                           .history = &trainer->history,
                           .record = trainer->record,
                           .replaces = trainer->output.replaces};
}

static ts_status save_checkpoint(ts_trainer *trainer, ts_error *err)
{
    const ts_checkpoint checkpoint = checkpoint_of(trainer);
    const ts_train_settings *settings = &trainer->settings;
    ts_stop_hold(true);
    ts_status status = ts_checkpoint_save(&checkpoint, settings, err);
    if (status == TS_OK) {
        trainer->output.replaces = false;
        trainer->saved = trainer->history.count;
        if (settings->save_limit > 0) {
            status = ts_checkpoint_prune(settings->output_dir, settings->save_limit, trainer->saved,
                                         err);
        }
    }
    ts_stop_hold(false);
    return status;
}

// Notes in the record after how many steps the run had been finished before it became longer.
static ts_status note_longer(ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    const char *key = "went_on_after_steps";
    cJSON *record = NULL;
    uint64_t steps, longer = trainer->output.longer, step = trainer->first_step;
    TS_TRY(ts_checkpoint_peek(trainer->output.checkpoint.bytes, &record, &steps, err));
    cJSON *list = cJSON_DetachItemFromObjectCaseSensitive(record, key);
    if (longer > 0) {
        list = list != NULL ? list : cJSON_CreateArray();
        cJSON_AddItemToArray(list, cJSON_CreateNumber((double)longer));
        ts_log(TS_LOG_INFO,
               "that run was finished after %llu steps: from here on the learning rate follows the "
               "schedule of %llu steps, %.3g at step %llu",
               (unsigned long long)longer, (unsigned long long)trainer->steps,
               ts_schedule_rate(trainer->settings.schedule, trainer->settings.learning_rate, step,
                                trainer->warmup, trainer->steps),
               (unsigned long long)step + 1);
    }
    if (list != NULL) {
        cJSON_AddItemToObject(trainer->record, key, list);
    }
out:
    cJSON_Delete(record);
    return status;
}

static ts_status resume(ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text own = {0};
    const char *folder = trainer->output.checkpoint.bytes;
    const ts_checkpoint checkpoint = checkpoint_of(trainer);
    TS_TRY(ts_checkpoint_load(&checkpoint, folder, err));
    trainer->first_step = trainer->history.count;
    TS_TRY(ts_checkpoint_path(trainer->settings.output_dir, trainer->first_step, &own, err));
    trainer->saved = ts_file_exists(own.bytes) ? trainer->first_step : 0;
    ts_log(TS_LOG_INFO, "going on from %s, step %llu of %llu", folder,
           (unsigned long long)trainer->first_step, (unsigned long long)trainer->steps);
    TS_TRY(note_longer(trainer, err));
out:
    ts_text_free(&own);
    return status;
}

static ts_status load(ts_trainer *trainer, ts_gpu *gpu, const ts_train_callbacks *callbacks,
                      ts_error *err)
{
    ts_status status = TS_OK;
    const ts_train_settings *s = &trainer->settings;
    ts_adapter_config adapter = adapter_of(s);
    const ts_model_params params = {.config = &trainer->config,
                                    .weights = trainer->weights,
                                    .positions = trainer->limits.rows,
                                    .precision = s->precision,
                                    .embedding_in_file = trainer->embedding_in_file,
                                    .progress = callbacks->loading,
                                    .user = callbacks->user};
    const char *base = s->base_model != NULL ? s->base_model : s->model_folder;
    adapter.base_model = (ts_text){.bytes = (char *)(uintptr_t)base, .len = strlen(base)};
    // Known only with the device; a run that goes on elsewhere must multiply as it began.
    cJSON_AddStringToObject(trainer->record, "precision", ts_precision_name(s->precision));
    TS_TRY(ts_model_open(gpu, &params, &trainer->model, err));
    TS_TRY(ts_model_add_lora(&trainer->model, &adapter, s->seed, err));
    TS_TRY(ts_pass_open(&trainer->model, trainer->limits, &trainer->pass, err));
    ts_recorder_profile(trainer->pass.recorder, trainer->profile);
    TS_TRY(ts_optimiser_open(&trainer->pass, &trainer->optimiser, err));
    // So that no step allocates.
    TS_TRY(ts_batch_reserve(&trainer->batch, trainer->limits.rows, err));
    TS_TRY(ts_history_reserve(&trainer->history, ts_min_u64(trainer->steps, MANY_STEPS), err));
    if (trainer->output.checkpoint.len > 0) {
        TS_TRY(resume(trainer, err));
    }
out:
    return status;
}

// A micro-batch that is on the device or has left it, its results not read yet.
struct sent {
    uint64_t step, ticket, supervised, tokens; // supervised: of the whole step
    double rate;
    bool last; // of its step
};

// The loop works one micro-batch ahead: while the device runs one, the host packs, uploads and
// records the next, and reads what the one before measured.
struct loop {
    ts_trainer *trainer;
    const ts_train_callbacks *callbacks;
    double started_s;
    uint64_t tokens_before;
    struct sent sent[2]; // oldest first
    uint32_t sent_count;
    double loss;          // of the step that is being read: the mean over all its supervised tokens
    double interval_loss; // sum over the steps since the last line of the log
    uint64_t interval_steps;
    ts_monitor monitor;
};

static bool ends_interval(const ts_trainer *trainer, uint64_t step)
{
    uint64_t every = trainer->settings.logging_steps;
    return step == trainer->steps || (every > 0 && step % every == 0);
}

static void report(struct loop *loop)
{
    const ts_trainer *trainer = loop->trainer;
    const ts_history *h = &trainer->history;
    size_t last = h->count - 1;
    uint64_t tokens = h->tokens - loop->tokens_before;
    loop->interval_loss += h->loss[last];
    loop->interval_steps++;
    const ts_train_progress progress = {
        .step = h->count,
        .steps = trainer->steps,
        .epoch = (double)h->count / (double)trainer->batches.steps_per_epoch,
        .loss = loop->interval_loss / (double)loop->interval_steps,
        .loss_steps = loop->interval_steps,
        .rate = h->rate[last],
        .grad_norm = h->grad_norm[last],
        .tokens_per_second = (double)tokens / (ts_clock_s() - loop->started_s),
        .device_bytes = trainer->plan.total,
        .log = ends_interval(trainer, h->count),
    };
    if (loop->callbacks->progress != NULL) {
        loop->callbacks->progress(loop->callbacks->user, &progress);
    }
    if (progress.log) {
        loop->interval_loss = 0;
        loop->interval_steps = 0;
    }
    ts_monitor_step(&loop->monitor, h, trainer->config.vocab, trainer->settings.learning_rate);
}

// The steps before a resumed run's first belong to the interval that it goes on with.
static void begin_interval(struct loop *loop)
{
    const ts_history *h = &loop->trainer->history;
    for (size_t i = h->count; i > 0 && !ends_interval(loop->trainer, i); i--) {
        loop->interval_loss += h->loss[i - 1];
        loop->interval_steps++;
    }
}

static ts_status check_loss(const struct loop *loop, uint64_t step, ts_error *err)
{
    if (isfinite(loop->loss)) {
        return TS_OK;
    }
    return ts_error_set(err, TS_ERR_RUN,
                        "step %llu: the loss is %g: the training diverged (try a lower --lr); no "
                        "adapter is written",
                        (unsigned long long)step, loop->loss);
}

// Waits for the oldest micro-batch and reads its loss; with its step's last one the step is
// history.
static ts_status read_oldest(struct loop *loop, ts_error *err)
{
    ts_status status = TS_OK;
    ts_trainer *trainer = loop->trainer;
    const struct sent sent = loop->sent[0];
    double sum, grad_norm;
    TS_TRY(ts_recorder_wait(trainer->pass.recorder, sent.ticket, err));
    TS_TRY(ts_pass_read_loss(&trainer->pass, &sum, err));
    loop->sent[0] = loop->sent[1];
    loop->sent_count--;
    loop->loss += sum / (double)sent.supervised;
    trainer->history.tokens += sent.tokens;
    if (sent.last) {
        TS_TRY(check_loss(loop, sent.step + 1, err));
        TS_TRY(ts_optimiser_read(&trainer->optimiser, sent.step + 1, &grad_norm, err));
        TS_TRY(ts_history_push(&trainer->history, loop->loss, sent.rate, grad_norm, err));
        loop->loss = 0;
        report(loop);
    }
out:
    return status;
}

static ts_status read_all(struct loop *loop, ts_error *err)
{
    ts_status status = TS_OK;
    while (loop->sent_count > 0 && status == TS_OK) {
        status = read_oldest(loop, err);
    }
    return status;
}

// Records and sends micro-batch `micro` of a step, with the last one the optimiser's update too.
static ts_status send_micro(struct loop *loop, struct sent sent, uint32_t micro, ts_error *err)
{
    ts_status status = TS_OK;
    ts_trainer *trainer = loop->trainer;
    TS_TRY(ts_batches_pack(&trainer->batches, sent.step, micro, &trainer->batch, err));
    if (loop->sent_count == TS_COUNT(loop->sent)) {
        TS_TRY(read_oldest(loop, err));
    }
    TS_TRY(ts_pass_record_gradients(&trainer->pass, &trainer->batch,
                                    (float)(1.0 / (double)sent.supervised),
                                    dropout_seed(trainer, sent.step, micro), err));
    if (sent.last) {
        ts_optimiser_record(&trainer->optimiser, &trainer->settings.adamw, sent.rate,
                            sent.step + 1);
    }
    sent.tokens = trainer->batch.rows;
    TS_TRY(ts_recorder_send(trainer->pass.recorder, &sent.ticket, err));
    loop->sent[loop->sent_count++] = sent;
out:
    return status;
}

static ts_status send_step(struct loop *loop, uint64_t step, ts_error *err)
{
    ts_status status = TS_OK;
    ts_trainer *trainer = loop->trainer;
    struct sent sent = {.step = step};
    uint32_t micro_count;
    ts_batches_step(&trainer->batches, step, &micro_count, &sent.supervised);
    sent.rate = ts_schedule_rate(trainer->settings.schedule, trainer->settings.learning_rate, step,
                                 trainer->warmup, trainer->steps);
    for (uint32_t micro = 0; micro < micro_count; micro++) {
        sent.last = micro + 1 == micro_count;
        TS_TRY(send_micro(loop, sent, micro, err));
    }
out:
    return status;
}

static ts_status stop(struct loop *loop, uint64_t step, ts_error *err)
{
    const ts_trainer *trainer = loop->trainer;
    if (trainer->saved == 0) {
        return ts_error_set(err, TS_ERR_STOPPED,
                            "stopped before the first step; nothing was trained");
    }
    return ts_error_set(err, TS_ERR_STOPPED,
                        "stopped after step %llu of %llu; %s/checkpoint-%llu is saved, go on with "
                        "--resume-from-checkpoint",
                        (unsigned long long)step, (unsigned long long)trainer->steps,
                        trainer->settings.output_dir, (unsigned long long)trainer->saved);
}

static ts_status train_steps(struct loop *loop, ts_error *err)
{
    ts_status status = TS_OK;
    ts_trainer *trainer = loop->trainer;
    uint64_t save_steps = trainer->settings.save_steps, first = trainer->first_step;
    for (uint64_t step = first; step < trainer->steps; step++) {
        if (step == first && ts_stop_asked()) {
            return stop(loop, step, err);
        }
        TS_TRY(send_step(loop, step, err));
        bool stopped = ts_stop_asked() && step + 1 < trainer->steps;
        if (stopped || (save_steps > 0 && (step + 1) % save_steps == 0)) {
            TS_TRY(read_all(loop, err));
            TS_TRY(save_checkpoint(trainer, err));
        }
        if (stopped) {
            return stop(loop, step + 1, err);
        }
    }
    TS_TRY(read_all(loop, err));
    if (trainer->saved != trainer->steps) { // from which a longer run can go on
        TS_TRY(save_checkpoint(trainer, err));
    }
out:
    return status;
}

static ts_status train(ts_trainer *trainer, const ts_train_callbacks *callbacks, ts_error *err)
{
    struct loop loop = {.trainer = trainer,
                        .callbacks = callbacks,
                        .started_s = ts_clock_s(),
                        .tokens_before = trainer->history.tokens};
    begin_interval(&loop);
    ts_status status = train_steps(&loop, err);
    if (status != TS_OK) { // what is still on the device must be done before its memory goes
        ts_error ignored = {0};
        ts_recorder_wait(trainer->pass.recorder, UINT64_MAX, &ignored);
    }
    return status;
}

ts_status ts_trainer_run(ts_trainer *trainer, ts_gpu *gpu, const ts_train_callbacks *callbacks,
                         ts_error *err)
{
    ts_status status = TS_OK;
    double started_s = ts_clock_s();
    TS_TRY(load(trainer, gpu, callbacks, err));
    TS_TRY(train(trainer, callbacks, err));
    TS_TRY(ts_result_write(trainer, ts_clock_s() - started_s, callbacks, err));
out:
    return status;
}
