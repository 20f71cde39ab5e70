#include "train/history.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ts_status ts_history_reserve(ts_history *history, size_t steps, ts_error *err)
{
    ts_status status = TS_OK;
    double **arrays[] = {&history->loss, &history->rate, &history->grad_norm, &history->margin,
                         &history->accuracy};
    size_t capacity = history->capacity;
    for (size_t i = 0; i < (history->pairs ? TS_COUNT(arrays) : TS_COUNT(arrays) - 2); i++) {
        capacity = history->capacity;
        TS_TRY(ts_grow(arrays[i], &capacity, steps, sizeof(double), err));
    }
    history->capacity = capacity;
out:
    return status;
}

ts_status ts_history_push(ts_history *history, double loss, double rate, double grad_norm,
                          ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_history_reserve(history, history->count + 1, err));
    history->loss[history->count] = loss;
    history->rate[history->count] = rate;
    history->grad_norm[history->count] = grad_norm;
    history->count++;
out:
    return status;
}

void ts_history_free(ts_history *history)
{
    free(history->loss);
    free(history->rate);
    free(history->grad_norm);
    free(history->margin);
    free(history->accuracy);
    ts_evaluations_free(&history->evaluations);
    ts_text_free(&history->log);
    *history = (ts_history){0};
}

double ts_history_mean(const ts_history *history, uint64_t every, bool last, size_t *steps)
{
    size_t from = 0, to = history->count;
    double sum = 0;
    if (every > 0 && to > 0) {
        from = last ? (size_t)((to - 1) / every * every) : 0;
        to = last ? to : (size_t)ts_min_u64(every, to);
    }
    for (size_t i = from; i < to; i++) {
        sum += history->loss[i];
    }
    *steps = to - from;
    return to > from ? sum / (double)(to - from) : 0;
}

static ts_status append_entry(cJSON *entry, ts_text *log, ts_error *err)
{
    ts_status status = TS_OK;
    char *text = cJSON_PrintUnformatted(entry);
    if (text == NULL) {
        TS_FAIL(TS_ERR_MEMORY, "out of host memory");
    }
    TS_TRY(ts_text_format(log, err, "%s\n\t\t%s", log->len > 0 ? "," : "", text));
out:
    cJSON_free(text);
    cJSON_Delete(entry);
    return status;
}

// As transformers does: the loss is the mean since the last entry, the other values the step's own.
static ts_status log_training(ts_history *history, size_t i, uint64_t steps_per_epoch,
                              ts_error *err)
{
    cJSON *entry = cJSON_CreateObject();
    cJSON_AddNumberToObject(entry, "epoch", (double)(i + 1) / (double)steps_per_epoch);
    cJSON_AddNumberToObject(entry, "grad_norm", history->grad_norm[i]);
    cJSON_AddNumberToObject(entry, "learning_rate", history->rate[i]);
    cJSON_AddNumberToObject(entry, "loss", history->since_loss / (double)history->since);
    if (history->pairs) { // under TRL's names
        cJSON_AddNumberToObject(entry, "rewards/accuracies",
                                history->since_accuracy / (double)history->since);
        cJSON_AddNumberToObject(entry, "rewards/margins",
                                history->since_margin / (double)history->since);
    }
    cJSON_AddNumberToObject(entry, "step", (double)(i + 1));
    history->since_margin = history->since_accuracy = 0;
    history->since_loss = 0;
    history->since = 0;
    return append_entry(entry, &history->log, err);
}

static ts_status log_evaluation(ts_history *history, uint64_t steps_per_epoch, ts_error *err)
{
    size_t i = history->logged_evaluations++;
    double step = (double)history->evaluations.step[i], loss = history->evaluations.loss[i];
    cJSON *entry = cJSON_CreateObject();
    cJSON_AddNumberToObject(entry, "epoch", step / (double)steps_per_epoch);
    cJSON_AddNumberToObject(entry, "eval_loss", loss);
    if (history->pairs) { // under TRL's names
        cJSON_AddNumberToObject(entry, "eval_rewards/accuracies", history->evaluations.accuracy[i]);
        cJSON_AddNumberToObject(entry, "eval_rewards/margins", history->evaluations.margin[i]);
    } else {
        cJSON_AddNumberToObject(entry, "eval_perplexity", exp(loss));
    }
    cJSON_AddNumberToObject(entry, "step", step);
    return append_entry(entry, &history->log, err);
}

// The run's last step has an entry too, as it has a line on the terminal. A step's evaluation
// follows the step.
static ts_status log_steps(ts_history *history, uint64_t logging_steps, uint64_t steps,
                           uint64_t steps_per_epoch, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_evaluations *e = &history->evaluations;
    for (;;) {
        if (history->logged_evaluations < e->count &&
            e->step[history->logged_evaluations] <= history->logged) {
            TS_TRY(log_evaluation(history, steps_per_epoch, err));
            continue;
        }
        if (history->logged == history->count) {
            return TS_OK;
        }
        size_t i = history->logged++;
        history->since_loss += history->loss[i];
        history->since_margin += history->pairs ? history->margin[i] : 0;
        history->since_accuracy += history->pairs ? history->accuracy[i] : 0;
        history->since++;
        if (i + 1 == steps || (logging_steps > 0 && (i + 1) % logging_steps == 0)) {
            TS_TRY(log_training(history, i, steps_per_epoch, err));
        }
    }
out:
    return status;
}

// The best evaluation under transformers' names; null where there was none.
static void add_best(cJSON *json, const ts_history *history, const ts_train_settings *settings)
{
    size_t best = ts_evaluations_best(&history->evaluations);
    if (best == SIZE_MAX) {
        cJSON_AddNullToObject(json, "best_global_step");
        cJSON_AddNullToObject(json, "best_metric");
    } else {
        cJSON_AddNumberToObject(json, "best_global_step", (double)history->evaluations.step[best]);
        cJSON_AddNumberToObject(json, "best_metric", history->evaluations.loss[best]);
    }
    if (best == SIZE_MAX || !settings->load_best) {
        cJSON_AddNullToObject(json, "best_model_checkpoint");
    } else {
        char name[48]; // relative to the output folder, which may be moved
        snprintf(name, sizeof name, "checkpoint-%llu",
                 (unsigned long long)history->evaluations.step[best]);
        cJSON_AddStringToObject(json, "best_model_checkpoint", name);
    }
}

static cJSON *summary_entry(const ts_history *history, uint64_t steps_per_epoch,
                            const ts_run_summary *summary)
{
    cJSON *entry = cJSON_CreateObject();
    double sum = 0, seconds = summary->seconds > 0 ? summary->seconds : 1e-9;
    for (size_t i = 0; i < history->count; i++) {
        sum += history->loss[i];
    }
    double steps = (double)history->count;
    cJSON_AddNumberToObject(entry, "epoch", steps / (double)steps_per_epoch);
    cJSON_AddNumberToObject(entry, "step", steps);
    cJSON_AddNumberToObject(entry, "total_flos", summary->flops);
    cJSON_AddNumberToObject(entry, "train_loss", steps > 0 ? sum / steps : 0);
    cJSON_AddNumberToObject(entry, "train_runtime", summary->seconds);
    cJSON_AddNumberToObject(entry, "train_samples_per_second", (double)summary->samples / seconds);
    cJSON_AddNumberToObject(entry, "train_steps_per_second", steps / seconds);
    return entry;
}

ts_status ts_history_write_state(ts_history *history, const ts_train_settings *settings,
                                 uint64_t steps, uint64_t steps_per_epoch,
                                 const ts_run_summary *summary, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *json = cJSON_CreateObject();
    char *text = NULL;
    ts_text log = {0};
    TS_TRY(log_steps(history, settings->logging_steps, steps, steps_per_epoch, err));
    TS_TRY(ts_text_append(&log, history->log.bytes != NULL ? history->log.bytes : "",
                          history->log.len, err));
    if (summary != NULL) {
        TS_TRY(append_entry(summary_entry(history, steps_per_epoch, summary), &log, err));
    }
    add_best(json, history, settings);
    cJSON_AddNumberToObject(json, "epoch", (double)history->count / (double)steps_per_epoch);
    cJSON_AddNumberToObject(json, "eval_steps",
                            settings->eval_steps > 0 ? (double)settings->eval_steps : 500);
    cJSON_AddNumberToObject(json, "global_step", (double)history->count);
    cJSON_AddBoolToObject(json, "is_hyper_param_search", false);
    cJSON_AddBoolToObject(json, "is_local_process_zero", true);
    cJSON_AddBoolToObject(json, "is_world_process_zero", true);
    cJSON_AddRawToObject(json, "log_history", "@");
    cJSON_AddNumberToObject(json, "logging_steps", (double)settings->logging_steps);
    cJSON_AddNumberToObject(json, "max_steps", (double)steps);
    cJSON_AddNumberToObject(json, "num_input_tokens_seen", (double)history->tokens);
    cJSON_AddNumberToObject(json, "num_train_epochs", ceil(settings->epochs));
    cJSON_AddNumberToObject(json, "save_steps", (double)settings->save_steps);
    cJSON_AddItemToObject(json, "stateful_callbacks", cJSON_CreateObject());
    cJSON_AddNumberToObject(json, "total_flos", summary != NULL ? summary->flops : 0);
    cJSON_AddNumberToObject(json, "train_batch_size", settings->batch_size);
    cJSON_AddNullToObject(json, "trial_name");
    cJSON_AddNullToObject(json, "trial_params");
    text = cJSON_Print(json);
    if (text == NULL) {
        TS_FAIL(TS_ERR_MEMORY, "out of host memory");
    }
    // The entries take the mark's place: they may be many, and are not parsed or copied twice.
    const char *mark = strstr(text, "\t@"), *rest = mark + 2;
    TS_TRY(ts_text_append(out, text, (size_t)(mark + 1 - text), err));
    TS_TRY(ts_text_format(out, err, "[%s%s]%s\n", log.bytes != NULL ? log.bytes : "",
                          log.len > 0 ? "\n\t" : "", rest));
out:
    ts_text_free(&log);
    cJSON_free(text);
    cJSON_Delete(json);
    return status;
}
