// Reading a checkpoint back. Its hashes say that the files are whole, not that we wrote them:
// everything they hold is checked before it is used.
#include "base/file.h"
#include "base/memory.h"
#include "train/checkpoint.h"
#include "train/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIRST "exp_avg."
#define SECOND "exp_avg_sq."
#define HISTORY "history."

static ts_status read_series(const ts_tensors *file, const char *name, uint64_t count, double least,
                             const double **out, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_tensor *tensor;
    *out = NULL;
    TS_TRY(ts_tensors_expect(file, name, 1, &count, &tensor, err));
    if (tensor->dtype != TS_F64) {
        TS_FAIL(TS_ERR_FORMAT, "%s: expected F64, found %s", name, ts_dtype_name(tensor->dtype));
    }
    const double *values = tensor->bytes;
    for (uint64_t i = 0; i < count; i++) {
        if (!isfinite(values[i]) || values[i] < least) {
            TS_FAIL(TS_ERR_FORMAT, "%s: step %llu has %g, which no step measures", name,
                    (unsigned long long)i + 1, values[i]);
        }
    }
    *out = values;
out:
    return status;
}

static ts_status read_tokens(const ts_tensors *file, ts_history *history, ts_error *err)
{
    ts_status status = TS_OK;
    const uint64_t one = 1;
    const ts_tensor *tensor;
    TS_TRY(ts_tensors_expect(file, HISTORY "tokens", 1, &one, &tensor, err));
    if (tensor->dtype != TS_I64) {
        TS_FAIL(TS_ERR_FORMAT, HISTORY "tokens: expected I64, found %s",
                ts_dtype_name(tensor->dtype));
    }
    int64_t tokens = *(const int64_t *)tensor->bytes;
    if (tokens < 0) {
        TS_FAIL(TS_ERR_FORMAT, HISTORY "tokens: %lld is below zero", (long long)tokens);
    }
    history->tokens = (uint64_t)tokens;
out:
    return status;
}

// How many entries the series `name` has. Offset and type are checked with its values.
static uint64_t length_of(const ts_tensors *file, const char *name)
{
    const ts_tensor *tensor = ts_tensors_find(file, name);
    return tensor != NULL && tensor->rank == 1 ? tensor->shape[0] : 0;
}

// Reads the evaluations; a run without any has no such tensors.
static ts_status read_evaluations(const ts_tensors *file, uint64_t steps, ts_evaluations *out,
                                  ts_error *err)
{
    ts_status status = TS_OK;
    const ts_tensor *step;
    const double *loss, *margin = NULL, *accuracy = NULL;
    uint64_t count = length_of(file, HISTORY "eval_step"), before = 0;
    if (count == 0) {
        return TS_OK;
    }
    TS_TRY(ts_tensors_expect(file, HISTORY "eval_step", 1, &count, &step, err));
    TS_TRY(read_series(file, HISTORY "eval_loss", count, -INFINITY, &loss, err));
    if (out->pairs) {
        TS_TRY(read_series(file, HISTORY "eval_margin", count, -INFINITY, &margin, err));
        TS_TRY(read_series(file, HISTORY "eval_accuracy", count, 0, &accuracy, err));
    }
    if (step->dtype != TS_I64) {
        TS_FAIL(TS_ERR_FORMAT, HISTORY "eval_step: expected I64, found %s",
                ts_dtype_name(step->dtype));
    }
    TS_TRY(ts_evaluations_reserve(out, count, err));
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = ((const uint64_t *)step->bytes)[i];
        if (at <= before || at > steps) {
            TS_FAIL(TS_ERR_FORMAT,
                    HISTORY "eval_step: entry %llu is step %llu, expected one after step %llu and "
                            "up to %llu",
                    (unsigned long long)i + 1, (unsigned long long)at, (unsigned long long)before,
                    (unsigned long long)steps);
        }
        before = at;
        TS_TRY(ts_evaluations_push(out, at, loss[i], err));
        if (out->pairs) {
            out->margin[out->count - 1] = margin[i];
            out->accuracy[out->count - 1] = accuracy[i];
        }
    }
out:
    return status;
}

// Reads what a run over pairs has measured besides. Nothing unless history->pairs is set.
static ts_status read_rewards(const ts_tensors *file, uint64_t count, ts_history *history,
                              ts_error *err)
{
    ts_status status = TS_OK;
    const double *margin, *accuracy;
    if (!history->pairs) {
        return TS_OK;
    }
    TS_TRY(read_series(file, HISTORY "margin", count, -INFINITY, &margin, err));
    TS_TRY(read_series(file, HISTORY "accuracy", count, 0, &accuracy, err));
    memcpy(history->margin + history->count - count, margin, count * sizeof *margin);
    memcpy(history->accuracy + history->count - count, accuracy, count * sizeof *accuracy);
out:
    return status;
}

// How many steps the file's history has. Offset and type of the tensor are checked with its values.
static ts_status count_steps(const ts_tensors *file, uint64_t *out, ts_error *err)
{
    const ts_tensor *loss = ts_tensors_find(file, HISTORY "loss");
    if (loss == NULL || loss->rank != 1 || loss->shape[0] == 0) {
        return ts_error_set(err, TS_ERR_FORMAT,
                            "optimizer.safetensors: tensor '" HISTORY "loss': expected one value "
                            "a step, found %s",
                            loss == NULL ? "no such tensor" : "another shape");
    }
    *out = loss->shape[0];
    return TS_OK;
}

ts_status ts_checkpoint_read_history(const ts_tensors *file, uint64_t most, ts_history *history,
                                     ts_error *err)
{
    ts_status status = TS_OK;
    const double *loss, *rate, *grad_norm;
    uint64_t count = 0;
    TS_TRY(count_steps(file, &count, err));
    if (count > most) {
        TS_FAIL(TS_ERR_FORMAT,
                "optimizer.safetensors: a history of %llu steps, and the run has %llu",
                (unsigned long long)count, (unsigned long long)most);
    }
    TS_TRY(read_series(file, HISTORY "loss", count, -INFINITY, &loss, err));
    TS_TRY(read_series(file, HISTORY "learning_rate", count, 0, &rate, err));
    TS_TRY(read_series(file, HISTORY "grad_norm", count, 0, &grad_norm, err));
    TS_TRY(ts_history_reserve(history, history->count + count, err));
    for (uint64_t i = 0; i < count; i++) {
        TS_TRY(ts_history_push(history, loss[i], rate[i], grad_norm[i], err));
    }
    TS_TRY(read_rewards(file, count, history, err));
    TS_TRY(read_tokens(file, history, err));
    TS_TRY(read_evaluations(file, count, &history->evaluations, err));
out:
    return status;
}

ts_status ts_checkpoint_check_tensor(const ts_tensor *tensor, bool not_negative, ts_error *err)
{
    if (tensor->dtype != TS_F32) {
        return ts_error_set(err, TS_ERR_FORMAT, "%s: expected F32, found %s", tensor->name,
                            ts_dtype_name(tensor->dtype));
    }
    const float *values = tensor->bytes;
    for (uint64_t i = 0; i < tensor->len / sizeof *values; i++) {
        if (!isfinite(values[i]) || (not_negative && values[i] < 0)) {
            return ts_error_set(err, TS_ERR_FORMAT, "%s: value %llu is %g, expected a %s",
                                tensor->name, (unsigned long long)i, (double)values[i],
                                not_negative ? "finite number that is not negative"
                                             : "finite number");
        }
    }
    return TS_OK;
}

ts_status ts_checkpoint_check_tensors(const ts_tensors *file, const char *prefix, bool not_negative,
                                      size_t *count, ts_error *err)
{
    ts_status status = TS_OK;
    *count = 0;
    for (size_t i = 0; i < ts_tensors_count(file); i++) {
        const ts_tensor *tensor = ts_tensors_at(file, i);
        if (strncmp(tensor->name, prefix, strlen(prefix)) == 0) {
            TS_TRY(ts_checkpoint_check_tensor(tensor, not_negative, err));
            ++*count;
        }
    }
out:
    return status;
}

static ts_status open_file(const char *folder, const char *name, ts_tensors **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    TS_TRY(ts_path_join(folder, name, &path, err));
    TS_TRY(ts_safetensors_open(path.bytes, out, err));
out:
    ts_text_free(&path);
    return status;
}

static ts_status expect_count(const char *name, size_t found, size_t expected, ts_error *err)
{
    return found == expected ? TS_OK
                             : ts_error_set(err, TS_ERR_FORMAT, "%s: %zu tensors, expected %zu",
                                            name, found, expected);
}

static ts_status read_adapter(ts_model *model, const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    ts_tensors *file = NULL;
    size_t count, all;
    TS_TRY(open_file(folder, "adapter_model.safetensors", &file, err));
    TS_TRY(ts_lora_upload(model, model->lora.values, "", file, &count, err));
    TS_TRY(ts_checkpoint_check_tensors(file, "", false, &all, err));
    TS_TRY(expect_count("adapter_model.safetensors", all, count, err));
out:
    ts_tensors_close(file);
    return status;
}

static ts_status read_optimiser(const ts_checkpoint *c, const char *folder, uint64_t steps,
                                ts_error *err)
{
    ts_status status = TS_OK;
    ts_tensors *file = NULL;
    size_t count, all, history = 4; // losses, rates, norms, tokens; steps and losses of evaluations
    TS_TRY(open_file(folder, "optimizer.safetensors", &file, err));
    TS_TRY(ts_lora_upload(c->model, c->optimiser->first_moment, FIRST, file, &count, err));
    TS_TRY(ts_checkpoint_check_tensors(file, FIRST, false, &all, err));
    TS_TRY(expect_count("optimizer.safetensors: " FIRST, all, count, err));
    TS_TRY(ts_lora_upload(c->model, c->optimiser->second_moment, SECOND, file, &count, err));
    TS_TRY(ts_checkpoint_check_tensors(file, SECOND, true, &all, err));
    TS_TRY(expect_count("optimizer.safetensors: " SECOND, all, count, err));
    history += length_of(file, HISTORY "eval_step") == 0 ? 0 : c->history->pairs ? 4 : 2;
    history += c->history->pairs ? 2 : 0;
    TS_TRY(expect_count("optimizer.safetensors", ts_tensors_count(file), 2 * count + history, err));
    TS_TRY(ts_checkpoint_read_history(file, steps, c->history, err));
out:
    ts_tensors_close(file);
    return status;
}

static ts_status read_record(const char *folder, cJSON **record, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    TS_TRY(ts_path_join(folder, "training.json", &path, err));
    TS_TRY(ts_json_parse_file(path.bytes, record, err));
    TS_TRY(ts_train_record_check(*record, path.bytes, err));
out:
    ts_text_free(&path);
    return status;
}

ts_status ts_checkpoint_peek(const char *folder, cJSON **record, uint64_t *steps, ts_error *err)
{
    ts_status status = TS_OK;
    ts_tensors *file = NULL;
    *record = NULL;
    TS_TRY(read_record(folder, record, err));
    TS_TRY(open_file(folder, "optimizer.safetensors", &file, err));
    TS_TRY(count_steps(file, steps, err));
out:
    ts_tensors_close(file);
    if (status != TS_OK) {
        cJSON_Delete(*record);
        *record = NULL;
        ts_error_context(err, "resume: %s", folder);
    }
    return status;
}

ts_status ts_checkpoint_load(const ts_checkpoint *c, const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *record = NULL;
    uint64_t done, steps;
    TS_TRY(ts_json_get_uint(c->record, "steps", 0, UINT64_MAX, "training.json", &steps, err));
    TS_TRY(ts_checkpoint_verify(folder, err));
    if ((status = ts_checkpoint_peek(folder, &record, &done, err)) != TS_OK) {
        return status; // the message has its context already
    }
    TS_TRY(ts_train_record_compare(record, c->record, done, NULL, err));
    TS_TRY(read_adapter(c->model, folder, err));
    TS_TRY(read_optimiser(c, folder, steps, err));
out:
    if (status != TS_OK) {
        ts_error_context(err, "resume: %s", folder);
    }
    cJSON_Delete(record);
    return status;
}

ts_status ts_checkpoint_load_adapter(ts_model *model, const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_checkpoint_verify(folder, err));
    TS_TRY(read_adapter(model, folder, err));
out:
    if (status != TS_OK) {
        ts_error_context(err, "the best adapter: %s", folder);
    }
    return status;
}
