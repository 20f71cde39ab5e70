#include "train/trainer.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/signals.h"
#include "train/checkpoint.h"

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

static uint64_t count_parameters(const ts_model_config *config, const ts_adapter_config *adapter)
{
    uint64_t count = 0;
    for (ts_module module = 0; module < TS_MODULE_COUNT; module++) {
        uint32_t out, in;
        ts_module_shape(config, module, &out, &in);
        if (adapter->targets & TS_MODULE_BIT(module)) {
            count += (uint64_t)config->layers * adapter->r * (out + in);
        }
    }
    return count;
}

// Bytes for the present micro-batch size and recomputation.
static ts_status measure_plan(ts_trainer *trainer, ts_dtype dtype, ts_error *err)
{
    ts_status status = TS_OK;
    ts_train_plan *plan = &trainer->plan;
    const ts_adapter_config adapter = adapter_of(&trainer->settings);
    uint64_t limit = trainer->settings.memory_limit;
    bool in_file = trainer->embedding_in_file;
    TS_TRY(ts_model_plan(&trainer->config, trainer->files, dtype, trainer->limits.rows, in_file,
                         &adapter, &plan->weights, &plan->adapter, err));
    TS_TRY(ts_pass_plan(&trainer->config, dtype, in_file, &adapter, trainer->limits,
                        &plan->activations, err));
    plan->total = plan->weights + plan->adapter + plan->activations;
    plan->parameters = count_parameters(&trainer->config, &adapter);
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
    ts_dtype dtype = ts_safetensors_find(trainer->files, "model.embed_tokens.weight")->dtype;
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

static void count_steps(ts_trainer *trainer)
{
    const ts_train_settings *s = &trainer->settings;
    double wanted = ceil(s->epochs * (double)trainer->batches.steps_per_epoch - 1e-9);
    trainer->steps = s->max_steps > 0 ? s->max_steps : (uint64_t)wanted;
    trainer->warmup = s->warmup_steps > 0
                          ? s->warmup_steps
                          : (uint64_t)ceil(s->warmup_ratio * (double)trainer->steps - 1e-9);
}

ts_status ts_trainer_open(const ts_train_settings *settings, ts_trainer *out, ts_error *err)
{
    ts_status status = TS_OK;
    *out = (ts_trainer){.settings = *settings};
    TS_TRY(ts_train_settings_check(settings, err));
    TS_TRY(ts_model_files_open(settings->model_folder, &out->config, &out->files, err));
    TS_TRY(ts_tokenizer_open(settings->model_folder, &out->tokenizer, err));
    TS_TRY(ts_chat_template_open(settings->model_folder, settings->chat_template, out->tokenizer,
                                 &out->template, err));
    const ts_dataset_options rows = {
        .max_tokens = (uint32_t)ts_min_u64(settings->max_length, out->config.max_positions),
        .train_empty = settings->train_empty};
    TS_TRY(
        ts_dataset_open(settings->data, out->tokenizer, out->template, &rows, &out->dataset, err));
    TS_TRY(check_tokens(out, err));
    TS_TRY(ts_batches_open(&out->dataset, settings->batch_size, settings->accumulation,
                           settings->seed, &out->batches, err));
    count_steps(out);
    TS_TRY(make_plan(out, err));
    TS_TRY(ts_train_record_make(settings, out->steps, &out->record, err));
    cJSON_AddNumberToObject(out->record, "micro_batch_size", out->batches.micro_size);
    cJSON_AddStringToObject(out->record, "chat_template", ts_chat_template_name(out->template));
    cJSON_AddStringToObject(out->record, "chat_template_text",
                            ts_chat_template_text(out->template));
    cJSON_AddNumberToObject(out->record, "steps_per_epoch", (double)out->batches.steps_per_epoch);
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
    ts_safetensors_close(trainer->files);
    cJSON_Delete(trainer->record);
    *trainer = (ts_trainer){0};
}

ts_status ts_trainer_prepare_output(ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_train_settings *s = &trainer->settings;
    if (ts_checkpoint_run_exists(s->output_dir) && s->resume == NULL && !s->overwrite) {
        TS_FAIL(TS_ERR_ARGUMENT,
                "%s holds a run already: go on with it by --resume-from-checkpoint, replace it by "
                "--overwrite-output-dir, or choose another --output-dir",
                s->output_dir);
    }
    TS_TRY(ts_folder_make(s->output_dir, err));
    if (access(s->output_dir, W_OK | X_OK) != 0) {
        TS_FAIL(TS_ERR_IO, "%s: this folder cannot be written", s->output_dir);
    }
    TS_TRY(ts_checkpoint_prune(s->output_dir, 0, s->overwrite, err));
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
    return (ts_checkpoint){
        .model = &trainer->model, .history = &trainer->history, .record = trainer->record};
}

static ts_status save_checkpoint(ts_trainer *trainer, ts_error *err)
{
    const ts_checkpoint checkpoint = checkpoint_of(trainer);
    const ts_train_settings *settings = &trainer->settings;
    ts_status status = ts_checkpoint_save(&checkpoint, settings, err);
    if (status == TS_OK && settings->save_limit > 0) {
        status = ts_checkpoint_prune(settings->output_dir, settings->save_limit, false, err);
    }
    return status;
}

static ts_status resume(ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text folder = {0};
    const ts_checkpoint checkpoint = checkpoint_of(trainer);
    TS_TRY(ts_checkpoint_find(&trainer->settings, &folder, err));
    if (folder.len == 0) {
        ts_log(TS_LOG_INFO, "no checkpoint in %s yet: starting from the beginning",
               trainer->settings.output_dir);
        goto out;
    }
    TS_TRY(ts_checkpoint_load(&checkpoint, folder.bytes, err));
    trainer->first_step = trainer->history.count;
    ts_log(TS_LOG_INFO, "going on from %s, step %llu of %llu", folder.bytes,
           (unsigned long long)trainer->first_step, (unsigned long long)trainer->steps);
out:
    ts_text_free(&folder);
    return status;
}

static ts_status load(ts_trainer *trainer, ts_gpu *gpu, const ts_train_callbacks *callbacks,
                      ts_error *err)
{
    ts_status status = TS_OK;
    const ts_train_settings *s = &trainer->settings;
    ts_adapter_config adapter = adapter_of(s);
    const ts_model_params params = {.folder = s->model_folder,
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
    TS_TRY(ts_safetensors_check_unchanged(trainer->files, NULL, err)); // since the plan was made
    TS_TRY(ts_model_add_lora(&trainer->model, &adapter, s->seed, err));
    ts_recorder_profile(trainer->model.recorder, trainer->profile);
    TS_TRY(ts_pass_open(&trainer->model, trainer->limits, &trainer->pass, err));
    TS_TRY(ts_optimiser_open(&trainer->model, &trainer->optimiser, err));
    // So that no step allocates.
    TS_TRY(ts_batch_reserve(&trainer->batch, trainer->limits.rows, err));
    TS_TRY(ts_history_reserve(&trainer->history, ts_min_u64(trainer->steps, MANY_STEPS), err));
    if (s->resume != NULL) {
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
    double loss; // of the step that is being read: the mean over all its supervised tokens
};

static void report(const struct loop *loop)
{
    const ts_trainer *trainer = loop->trainer;
    const ts_history *h = &trainer->history;
    size_t last = h->count - 1;
    uint64_t every = trainer->settings.logging_steps, tokens = h->tokens - loop->tokens_before;
    const ts_train_progress progress = {
        .step = h->count,
        .steps = trainer->steps,
        .epoch = (double)h->count / (double)trainer->batches.steps_per_epoch,
        .loss = h->loss[last],
        .rate = h->rate[last],
        .grad_norm = h->grad_norm[last],
        .tokens_per_second = (double)tokens / (ts_clock_s() - loop->started_s),
        .device_bytes = trainer->plan.total,
        .log = h->count == trainer->steps || (every > 0 && h->count % every == 0),
    };
    if (loop->callbacks->progress != NULL) {
        loop->callbacks->progress(loop->callbacks->user, &progress);
    }
}

// Waits for the oldest micro-batch and reads its loss; with its step's last one the step is
// history.
static ts_status read_oldest(struct loop *loop, ts_error *err)
{
    ts_status status = TS_OK;
    ts_trainer *trainer = loop->trainer;
    const struct sent sent = loop->sent[0];
    double sum, grad_norm;
    TS_TRY(ts_recorder_wait(trainer->model.recorder, sent.ticket, err));
    TS_TRY(ts_pass_read_loss(&trainer->pass, &sum, err));
    loop->sent[0] = loop->sent[1];
    loop->sent_count--;
    loop->loss += sum / (double)sent.supervised;
    trainer->history.tokens += sent.tokens;
    if (sent.last) {
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
    TS_TRY(ts_recorder_send(trainer->model.recorder, &sent.ticket, err));
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

static ts_status train(ts_trainer *trainer, const ts_train_callbacks *callbacks, ts_error *err)
{
    ts_status status = TS_OK;
    uint64_t save_steps = trainer->settings.save_steps;
    struct loop loop = {.trainer = trainer,
                        .callbacks = callbacks,
                        .started_s = ts_clock_s(),
                        .tokens_before = trainer->history.tokens};
    for (uint64_t step = trainer->first_step; step < trainer->steps; step++) {
        TS_TRY(send_step(&loop, step, err));
        bool stop = ts_signals_pending() != 0 && step + 1 < trainer->steps;
        if (stop || (save_steps > 0 && (step + 1) % save_steps == 0)) {
            TS_TRY(read_all(&loop, err));
            TS_TRY(save_checkpoint(trainer, err));
        }
        if (stop) {
            TS_FAIL(TS_ERR_STOPPED,
                    "stopped after step %llu of %llu; %s/checkpoint-%llu is saved, go on with "
                    "--resume-from-checkpoint",
                    (unsigned long long)step + 1, (unsigned long long)trainer->steps,
                    trainer->settings.output_dir, (unsigned long long)step + 1);
        }
    }
    TS_TRY(read_all(&loop, err));
out:
    if (status != TS_OK) { // what is still on the device must be done before its memory goes
        ts_error ignored = {0};
        ts_recorder_wait(trainer->model.recorder, UINT64_MAX, &ignored);
    }
    return status;
}

// How the adapter was made, for its model card.
static ts_status summarise(const ts_trainer *trainer, ts_text *out, ts_error *err)
{
    const ts_train_settings *s = &trainer->settings;
    const ts_history *h = &trainer->history;
    return ts_text_format(
        out, err,
        "Trained with tinysft-vk on %zu examples: %llu steps (%g epochs) of batch %u, learning "
        "rate %g (%s), AdamW, seed %llu. Loss of the first step %.4f, of the last %.4f.",
        trainer->dataset.count, (unsigned long long)trainer->steps,
        (double)trainer->steps / (double)trainer->batches.steps_per_epoch,
        s->batch_size * s->accumulation, s->learning_rate, ts_schedule_name(s->schedule),
        (unsigned long long)s->seed, h->count > 0 ? h->loss[0] : 0,
        h->count > 0 ? h->loss[h->count - 1] : 0);
}

static ts_status write_result(ts_trainer *trainer, double seconds, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_train_settings *s = &trainer->settings;
    ts_text text = {0}, path = {0};
    char *record = cJSON_Print(trainer->record);
    double epochs = (double)trainer->steps / (double)trainer->batches.steps_per_epoch;
    const ts_run_summary summary = {
        .seconds = seconds,
        .samples = (uint64_t)(epochs * (double)trainer->dataset.count),
        .flops = 6.0 * (double)trainer->plan.weights / 2 * (double)trainer->history.tokens,
    };
    TS_TRY(ts_text_format(&text, err, "%s\n", record != NULL ? record : "null"));
    TS_TRY(ts_path_join(s->output_dir, "training.json", &path, err));
    TS_TRY(ts_file_write(path.bytes, text.bytes, text.len, err));
    ts_text_clear(&text);
    TS_TRY(ts_history_write_state(&trainer->history, s, trainer->steps,
                                  trainer->batches.steps_per_epoch, &summary, &text, err));
    TS_TRY(ts_path_join(s->output_dir, "trainer_state.json", &path, err));
    TS_TRY(ts_file_write(path.bytes, text.bytes, text.len, err));
    ts_text_clear(&text);
    TS_TRY(summarise(trainer, &text, err));
    TS_TRY(ts_adapter_write(&trainer->model, s->output_dir, text.bytes, ts_file_write, err));
out:
    cJSON_free(record);
    ts_text_free(&text);
    ts_text_free(&path);
    return status;
}

ts_status ts_trainer_run(ts_trainer *trainer, ts_gpu *gpu, const ts_train_callbacks *callbacks,
                         ts_error *err)
{
    ts_status status = TS_OK;
    double started_s = ts_clock_s();
    TS_TRY(load(trainer, gpu, callbacks, err));
    TS_TRY(train(trainer, callbacks, err));
    TS_TRY(write_result(trainer, ts_clock_s() - started_s, err));
out:
    return status;
}
