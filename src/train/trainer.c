#include "train/trainer_parts.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "model/quantise.h"
#include "train/checkpoint.h"
#include "train/record.h"
#include "train/reference.h"
#include "train/result.h"
#include "train/start.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- Preparing: files read and checked, nothing on a device

// A token beyond the end of the embedding would read the memory behind it.
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
    TS_TRY(ts_start_settle(&out->settings, &out->start, err));
    TS_TRY(ts_weights_open(settings->model_folder, &out->weights, err));
    TS_TRY(ts_model_check(out->weights, &out->config, err));
    const ts_adapter_config adapter = ts_trainer_adapter(&out->settings);
    if (settings->adapter == NULL) {
        TS_TRY(ts_start_check_patterns(&out->config, &adapter, err));
    }
    TS_TRY(ts_weights_tensors(out->weights, &out->tensors, err));
    TS_TRY(ts_tokenizer_open(out->weights, &out->tokenizer, err));
    TS_TRY(ts_chat_template_open(out->weights, settings->chat_template, out->tokenizer,
                                 &out->template, err));
    const ts_dataset_options rows = {
        .pairs = ts_losses[settings->loss].pairs,
        .max_tokens = (uint32_t)ts_min_u64(settings->max_length, out->config.max_positions),
        .train_on = settings->train_on,
        .train_empty = settings->train_empty};
    TS_TRY(
        ts_dataset_open(settings->data, out->tokenizer, out->template, &rows, &out->dataset, err));
    TS_TRY(ts_held_out_open(settings, out->tokenizer, out->template, &rows, &out->dataset,
                            &out->held_out, err));
    TS_TRY(check_tokens(out, err));
    TS_TRY(ts_batches_open(&out->dataset, settings->batch_size, settings->accumulation,
                           settings->seed, &out->batches, err));
    if (settings->group_by_length) {
        TS_TRY(ts_batches_group_by_length(&out->batches, err));
    }
    if (out->held_out.count > 0 && settings->eval_steps == 0) {
        out->settings.eval_steps = out->batches.steps_per_epoch;
    }
    TS_TRY(count_steps(out, err));
    TS_TRY(ts_trainer_plan(out, err));
    TS_TRY(ts_trainer_agree_plan(out, err));
    out->packing = ts_batches_packing(&out->batches);
    TS_TRY(
        ts_quantise_describe(&out->config, out->tensors, settings->quantise, &out->held_in, err));
    TS_TRY(ts_train_record_make(&out->settings, out->steps, &out->record, err));
    cJSON_AddNumberToObject(out->record, "micro_batch_size", out->batches.micro_size);
    cJSON_AddStringToObject(out->record, "chat_template", ts_chat_template_name(out->template));
    cJSON_AddStringToObject(out->record, "chat_template_text",
                            ts_chat_template_text(out->template));
    cJSON_AddNumberToObject(out->record, "steps_per_epoch", (double)out->batches.steps_per_epoch);
    if (out->held_in.len > 0) {
        cJSON_AddStringToObject(out->record, "base_held_in", out->held_in.bytes);
    }
    TS_TRY(ts_train_record_add_model(out->record, out->weights, &out->config, &out->dataset, err));
out:
    if (status != TS_OK) {
        ts_trainer_close(out);
    }
    return status;
}

void ts_trainer_close(ts_trainer *trainer)
{
    if (trainer->model != NULL) {
        ts_exchange_close(&trainer->exchange);
        ts_optimiser_close(&trainer->optimiser);
        ts_reduce_close(&trainer->reduce);
        ts_pass_close(&trainer->pass);
        ts_model_remove_lora(trainer->model);
    }
    ts_model_close(&trainer->own);
    ts_history_free(&trainer->history);
    ts_logs_close(&trainer->logs);
    ts_batch_free(&trainer->batch);
    free(trainer->reference);
    ts_batches_close(&trainer->batches);
    ts_adapter_config_free(&trainer->start);
    ts_held_out_close(&trainer->held_out);
    ts_dataset_close(&trainer->dataset);
    ts_chat_template_close(trainer->template);
    ts_tokenizer_close(trainer->tokenizer);
    ts_weights_close(trainer->weights);
    ts_text_free(&trainer->held_in);
    cJSON_Delete(trainer->record);
    ts_output_plan_free(&trainer->output);
    ts_output_lock_release(&trainer->lock);
    if (trainer->made_folder) {
        ts_os_remove(trainer->settings.output_dir); // succeeds only if it is empty
    }
    *trainer = (ts_trainer){0};
}

static bool same_state(const ts_output_state *a, const ts_output_state *b)
{
    return a->adapter == b->adapter && a->count == b->count && a->finished == b->finished &&
           a->whole == b->whole;
}

// Makes the folder if it does not exist, locks it and cleans up after a killed run.
static ts_status take_folder(ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    const char *folder = trainer->settings.output_dir;
    bool existed = ts_folder_exists(folder);
    TS_TRY(ts_folder_make(folder, err));
    trainer->made_folder = !existed;
    if (ts_os_may(folder, TS_OS_MAY_WRITE | TS_OS_MAY_ENTER) != 0) {
        TS_FAIL(TS_ERR_IO, "%s: this folder cannot be written", folder);
    }
    TS_TRY(ts_output_lock_take(folder, &trainer->lock, err));
    TS_TRY(ts_checkpoint_sweep(folder, err));
out:
    return status;
}

static ts_status prepare_output(ts_trainer *trainer, ts_error *err)
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
    TS_TRY(ts_logs_check(s, err));
    TS_TRY(take_folder(trainer, err));
    TS_TRY(ts_output_inspect(s->output_dir, &state, err));
    if (!same_state(&before, &state)) { // by another run meanwhile, or a checkpoint was moved back
        TS_TRY(ts_output_choose(s, trainer->record, &state, &trainer->output, err));
    }
    if (trainer->output.replaces) {
        ts_log(TS_LOG_INFO, "the run in %s is replaced as soon as this one saves", s->output_dir);
    }
out:
    return status;
}

ts_status ts_trainer_prepare_output(ts_trainer *trainer, ts_error *err)
{
    ts_status status = ts_trainer_leads(trainer) ? prepare_output(trainer, err) : TS_OK;
    return status == TS_OK ? ts_trainer_tell_output(trainer, err) : status;
}

// ---- Running

enum { MANY_STEPS = 1 << 20 }; // room made in advance; the history of a longer run grows

static ts_checkpoint checkpoint_of(ts_trainer *trainer)
{
    return (ts_checkpoint){.model = trainer->model,
                           .optimiser = &trainer->optimiser,
                           .history = &trainer->history,
                           .record = trainer->record,
                           .replaces = trainer->output.replaces};
}

static ts_status save(ts_trainer *trainer, ts_error *err)
{
    const ts_checkpoint checkpoint = checkpoint_of(trainer);
    const ts_train_settings *settings = &trainer->settings;
    ts_stop_hold(true);
    ts_status status = ts_checkpoint_save(&checkpoint, settings, err);
    if (status == TS_OK) {
        trainer->output.replaces = false;
        status = ts_checkpoint_prune(settings, &trainer->history.evaluations,
                                     trainer->history.count, err);
    }
    ts_stop_hold(false);
    return status;
}

ts_status ts_trainer_save(ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    if (trainer->settings.ranks != NULL) {
        TS_TRY(ts_exchange_gather_state(&trainer->exchange, trainer->history.count, err));
    }
    if (ts_trainer_leads(trainer)) {
        TS_TRY(save(trainer, err));
    }
    trainer->saved = trainer->history.count;
out:
    return status;
}

ts_learning_rate ts_trainer_learning_rate(const ts_trainer *trainer)
{
    const ts_train_settings *s = &trainer->settings;
    return (ts_learning_rate){.schedule = s->schedule,
                              .peak = s->learning_rate,
                              .min_ratio = s->min_lr_ratio,
                              .cycles = s->lr_cycles,
                              .warmup = trainer->warmup,
                              .steps = trainer->steps};
}

// Notes in the record after how many steps the run had been finished before it became longer.
static ts_status note_longer(ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    const char *key = "went_on_after_steps";
    cJSON *record = NULL;
    uint64_t steps, longer = trainer->output.longer, step = trainer->first_step;
    const ts_learning_rate rate = ts_trainer_learning_rate(trainer);
    TS_TRY(ts_checkpoint_peek(trainer->output.checkpoint.bytes, &record, &steps, err));
    cJSON *list = cJSON_DetachItemFromObjectCaseSensitive(record, key);
    if (longer > 0) {
        list = list != NULL ? list : cJSON_CreateArray();
        cJSON_AddItemToArray(list, cJSON_CreateNumber((double)longer));
        ts_log(TS_LOG_INFO,
               "that run was finished after %llu steps: from here on the learning rate follows the "
               "schedule of %llu steps, %.3g at step %llu",
               (unsigned long long)longer, (unsigned long long)trainer->steps,
               ts_learning_rate_at(&rate, step), (unsigned long long)step + 1);
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

// What the reference model says of each answer, where the loss is over pairs.
static ts_status measure_reference(ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    const bool adapter = trainer->settings.adapter != NULL;
    ts_held_out *h = &trainer->held_out;
    if (trainer->pass.loss->pairs) {
        ts_log(TS_LOG_INFO, "asking the %s about each answer",
               adapter ? "adapter as it is" : "base, the adapter off,");
        TS_TRY(ts_reference_measure(trainer->dataset.examples, trainer->dataset.count,
                                    &trainer->pass, adapter, &trainer->batch,
                                    trainer->settings.ranks, &trainer->reference, err));
        trainer->batches.reference = trainer->reference;
    }
    if (trainer->pass.loss->pairs && h->count > 0) {
        TS_TRY(ts_reference_measure(h->rows, h->count, &trainer->pass, adapter, &trainer->batch,
                                    trainer->settings.ranks, &h->reference, err));
    }
out:
    return status;
}

uint32_t ts_trainer_longest_row(const ts_trainer *trainer)
{
    uint32_t longest = 0;
    for (size_t i = 0; i < trainer->dataset.count; i++) {
        longest = (uint32_t)ts_max_u64(longest, trainer->dataset.examples[i].count);
    }
    for (size_t i = 0; i < trainer->held_out.count; i++) {
        longest = (uint32_t)ts_max_u64(longest, trainer->held_out.rows[i].count);
    }
    return longest;
}

// Trains on a model that somebody else has put on the device, if it is what the plan counts on.
static ts_status take_base(ts_trainer *trainer, ts_error *err)
{
    const ts_model *base = trainer->base;
    const uint32_t longest = ts_trainer_longest_row(trainer), positions = ts_model_positions(base);
    if (base->precision != trainer->settings.precision) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "the base was opened in %s, not in %s",
                            ts_precision_name(base->precision),
                            ts_precision_name(trainer->settings.precision));
    }
    if (longest > positions) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "a row has %u tokens, and the base was opened for texts of %u: open it "
                            "with more positions, or cut rows by --max-length",
                            longest, positions);
    }
    if (trainer->embedding_in_file && !trainer->config.tied && !base->embedding_in_file) {
        return ts_error_set(err, TS_ERR_MEMORY,
                            "the run fits only while the embedding stays in its file, and the base "
                            "was opened with it on the device");
    }
    trainer->model = trainer->base;
    return TS_OK;
}

static ts_status load_base(ts_trainer *trainer, ts_gpu *gpu, const ts_train_callbacks *callbacks,
                           ts_error *err)
{
    const ts_model_params params = {.config = &trainer->config,
                                    .weights = trainer->weights,
                                    .positions = trainer->limits.rows,
                                    .quantise = trainer->settings.quantise,
                                    .precision = trainer->settings.precision,
                                    .embedding_in_file = trainer->embedding_in_file,
                                    .progress = callbacks->loading,
                                    .user = callbacks->user};
    if (trainer->base != NULL) {
        return take_base(trainer, err);
    }
    ts_status status = ts_model_open(gpu, &params, &trainer->own, err);
    trainer->model = status == TS_OK ? &trainer->own : NULL;
    return status;
}

static ts_status load(ts_trainer *trainer, ts_gpu *gpu, const ts_train_callbacks *callbacks,
                      ts_error *err)
{
    ts_status status = TS_OK;
    const ts_train_settings *s = &trainer->settings;
    ts_adapter_config adapter = ts_trainer_adapter(s);
    const char *base = s->base_model != NULL ? s->base_model : s->model_folder;
    adapter.base_model = (ts_text){.bytes = (char *)(uintptr_t)base, .len = strlen(base)};
    // Known only with the device. A run that continues elsewhere must keep its precision.
    cJSON_AddStringToObject(trainer->record, "precision", ts_precision_name(s->precision));
    TS_TRY(ts_trainer_compare_records(trainer, err));
    TS_TRY(load_base(trainer, gpu, callbacks, err));
    TS_TRY(ts_model_add_lora(trainer->model, &adapter, s->seed, err));
    if (s->adapter != NULL) {
        TS_TRY(ts_start_load(trainer->model, s->adapter, err));
    }
    TS_TRY(ts_pass_open(trainer->model, trainer->limits, &trainer->pass, err));
    ts_recorder_profile(trainer->pass.recorder, trainer->profile);
    trainer->pass.loss = &ts_losses[s->loss];
    trainer->pass.loss_params = s->loss_params;
    trainer->pass.neftune_alpha = (float)s->neftune_alpha;
    trainer->history.pairs = trainer->history.evaluations.pairs = trainer->pass.loss->pairs;
    TS_TRY(
        ts_reduce_open(&trainer->pass, ts_batches_most(&trainer->batches), &trainer->reduce, err));
    TS_TRY(ts_optimiser_open(&trainer->pass, &trainer->optimiser, err));
    if (s->ranks != NULL) {
        const ts_exchange_params exchange = ts_trainer_exchange_params(trainer);
        TS_TRY(ts_exchange_open(s->ranks, &exchange, &trainer->pass, &trainer->reduce,
                                &trainer->optimiser, &trainer->exchange, err));
    }
    // So that no step allocates.
    TS_TRY(ts_batch_reserve(&trainer->batch, trainer->limits.rows, err));
    TS_TRY(ts_history_reserve(&trainer->history, ts_min_u64(trainer->steps, MANY_STEPS), err));
    if (trainer->held_out.count > 0) {
        uint64_t evaluations = trainer->steps / s->eval_steps + 1;
        TS_TRY(ts_evaluations_reserve(&trainer->history.evaluations,
                                      ts_min_u64(evaluations, MANY_STEPS), err));
    }
    TS_TRY(measure_reference(trainer, err)); // before a checkpoint replaces the adapter's values
    if (trainer->output.checkpoint.len > 0) {
        TS_TRY(resume(trainer, err));
    }
    TS_TRY(ts_trainer_tell_state(trainer, err));
out:
    return status;
}

static ts_status open_logs(ts_trainer *trainer, ts_error *err)
{
    const ts_evaluations *e = &trainer->history.evaluations;
    const ts_logs_kept kept = {.step = trainer->first_step,
                               .evaluated = e->count > 0 ? e->step[e->count - 1] : 0};
    return ts_trainer_leads(trainer) ? ts_logs_open(&trainer->settings, kept, &trainer->logs, err)
                                     : TS_OK;
}

// Makes the adapter of the best evaluation the result, where that is asked for.
static ts_status load_best(ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text folder = {0};
    uint64_t best = ts_evaluations_best_step(&trainer->history.evaluations);
    if (!trainer->settings.load_best || best == 0) {
        return TS_OK;
    }
    cJSON_AddNumberToObject(trainer->record, "adapter_of_step", (double)best);
    if (best < trainer->history.count) {
        TS_TRY(ts_checkpoint_path(trainer->settings.output_dir, best, &folder, err));
        TS_TRY(ts_checkpoint_load_adapter(trainer->model, folder.bytes, err));
    }
out:
    ts_text_free(&folder);
    return status;
}

ts_status ts_trainer_run(ts_trainer *trainer, ts_gpu *gpu, const ts_train_callbacks *callbacks,
                         ts_error *err)
{
    ts_status status = TS_OK;
    double started_s = ts_clock_s();
    TS_TRY(ts_trainer_plan_again(trainer, err));
    TS_TRY(load(trainer, gpu, callbacks, err));
    TS_TRY(open_logs(trainer, err));
    TS_TRY(ts_trainer_loop(trainer, callbacks, err));
    if (ts_trainer_leads(trainer)) {
        TS_TRY(load_best(trainer, err));
        TS_TRY(ts_result_write(trainer, ts_clock_s() - started_s, callbacks, err));
    }
out:
    return status;
}
