#include "train/checkpoint.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX TS_CHECKPOINT_PREFIX
#define TEMPORARY ".checkpoint-" // what a killed run leaves; never read
#define ASIDE ".old-"            // checkpoint-N.old-PID: see ts_folder_commit
#define HASHES "SHA256SUMS"      // `sha256sum -c` reads it too

// ---- Writing

ts_status ts_adapter_write(ts_model *model, const char *folder, const char *summary,
                           ts_file_writer write, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    TS_TRY(ts_model_save_lora(model, &text, err));
    TS_TRY(ts_file_write_in(folder, "adapter_model.safetensors", text.bytes, text.len, write, err));
    ts_text_clear(&text);
    TS_TRY(ts_adapter_config_write(&model->lora.config, &text, err));
    TS_TRY(ts_file_write_in(folder, "adapter_config.json", text.bytes, text.len, write, err));
    ts_text_clear(&text);
    TS_TRY(ts_adapter_card_write(&model->lora.config, summary, &text, err));
    TS_TRY(ts_file_write_in(folder, "README.md", text.bytes, text.len, write, err));
out:
    ts_text_free(&text);
    return status;
}

static ts_status check_finite(const ts_lora_tensors *list, bool not_negative, ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t i = 0; i < list->count && status == TS_OK; i++) {
        status = ts_checkpoint_check_tensor(&list->tensors[i], not_negative, err);
    }
    if (status != TS_OK) {
        err->code = status = TS_ERR_RUN;
        ts_error_context(err, "the training diverged (try a lower --lr, or --max-grad-norm 1)");
    }
    return status;
}

static ts_status check_adapter(const ts_checkpoint *c, ts_error *err)
{
    ts_lora_tensors values = {0};
    ts_status status = TS_OK;
    TS_TRY(ts_lora_download(c->model, c->model->lora.values, "", &values, err));
    TS_TRY(check_finite(&values, false, err));
out:
    ts_lora_tensors_free(&values);
    return status;
}

static ts_tensor series(const char *name, ts_dtype dtype, const void *values, uint64_t count)
{
    return (ts_tensor){.name = name,
                       .dtype = dtype,
                       .rank = 1,
                       .shape = {count},
                       .bytes = values,
                       .len = count * sizeof(double)}; // as large as an int64_t
}

// Lists a history's tensors and returns their number. A run without evaluations or pairs has no
// tensors of them.
static size_t list_history(const ts_history *h, const int64_t *tokens, ts_tensor *list)
{
    const ts_evaluations *e = &h->evaluations;
    size_t count = 0;
    list[count++] = series("history.loss", TS_F64, h->loss, h->count);
    list[count++] = series("history.learning_rate", TS_F64, h->rate, h->count);
    list[count++] = series("history.grad_norm", TS_F64, h->grad_norm, h->count);
    list[count++] = series("history.tokens", TS_I64, tokens, 1);
    if (h->pairs) {
        list[count++] = series("history.margin", TS_F64, h->margin, h->count);
        list[count++] = series("history.accuracy", TS_F64, h->accuracy, h->count);
    }
    if (e->count > 0) {
        list[count++] = series("history.eval_step", TS_I64, e->step, e->count);
        list[count++] = series("history.eval_loss", TS_F64, e->loss, e->count);
        if (e->pairs) {
            list[count++] = series("history.eval_margin", TS_F64, e->margin, e->count);
            list[count++] = series("history.eval_accuracy", TS_F64, e->accuracy, e->count);
        }
    }
    return count;
}

// optimizer.safetensors: both moments of every tensor, and the history of all steps.
static ts_status write_optimiser(const ts_checkpoint *c, const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    ts_lora_tensors first = {0}, second = {0};
    ts_tensor *list = NULL;
    enum { HISTORY_TENSORS = 10 };
    size_t count = 0;
    int64_t tokens = (int64_t)c->history->tokens;
    TS_TRY(ts_lora_download(c->model, c->optimiser->first_moment, "exp_avg.", &first, err));
    TS_TRY(ts_lora_download(c->model, c->optimiser->second_moment, "exp_avg_sq.", &second, err));
    TS_TRY(check_finite(&first, false, err));
    TS_TRY(check_finite(&second, true, err));
    TS_TRY(ts_alloc(first.count + second.count + HISTORY_TENSORS, sizeof *list, &list, err));
    memcpy(list, first.tensors, first.count * sizeof *list);
    memcpy(list + first.count, second.tensors, second.count * sizeof *list);
    count = first.count + second.count;
    count += list_history(c->history, &tokens, list + count);
    TS_TRY(ts_safetensors_serialise(list, count, &text, err));
    TS_TRY(ts_file_write_in(folder, "optimizer.safetensors", text.bytes, text.len,
                            ts_file_write_plain, err));
out:
    ts_lora_tensors_free(&first);
    ts_lora_tensors_free(&second);
    free(list);
    ts_text_free(&text);
    return status;
}

static ts_status write_record(const cJSON *record, const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    char *json = cJSON_Print(record);
    TS_TRY(ts_text_format(&text, err, "%s\n", json != NULL ? json : "null"));
    TS_TRY(
        ts_file_write_in(folder, "training.json", text.bytes, text.len, ts_file_write_plain, err));
out:
    cJSON_free(json);
    ts_text_free(&text);
    return status;
}

static const char *const hashed_files[] = {"adapter_config.json", "adapter_model.safetensors",
                                           "optimizer.safetensors", "trainer_state.json",
                                           "training.json"};

static ts_status hash_line(const char *folder, const char *name, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    ts_map map = {0};
    char hash[65];
    TS_TRY(ts_path_join(folder, name, &path, err));
    TS_TRY(ts_map_open(path.bytes, &map, err));
    ts_sha256_hex(map.bytes, map.len, hash);
    TS_TRY(ts_text_format(out, err, "%s  %s\n", hash, name));
out:
    ts_map_close(&map);
    ts_text_free(&path);
    return status;
}

static ts_status hash_folder(const char *folder, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t i = 0; i < TS_COUNT(hashed_files) && status == TS_OK; i++) {
        status = hash_line(folder, hashed_files[i], out, err);
    }
    return status;
}

static ts_status fill_folder(const ts_checkpoint *c, const ts_train_settings *settings,
                             const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    double steps = 0;
    uint64_t per_epoch = 0;
    TS_TRY(ts_json_get_double(c->record, "steps", "training.json", &steps, err));
    TS_TRY(ts_json_get_uint(c->record, "steps_per_epoch", 1, UINT32_MAX, "training.json",
                            &per_epoch, err));
    TS_TRY(check_adapter(c, err));
    TS_TRY(ts_adapter_write(c->model, folder, NULL, ts_file_write_plain, err));
    TS_TRY(write_optimiser(c, folder, err));
    TS_TRY(write_record(c->record, folder, err));
    TS_TRY(
        ts_history_write_state(c->history, settings, (uint64_t)steps, per_epoch, NULL, &text, err));
    TS_TRY(ts_file_write_in(folder, "trainer_state.json", text.bytes, text.len, ts_file_write_plain,
                            err));
    ts_text_clear(&text);
    TS_TRY(hash_folder(folder, &text, err));
    TS_TRY(ts_file_write_in(folder, HASHES, text.bytes, text.len, ts_file_write_plain, err));
out:
    ts_text_free(&text);
    return status;
}

ts_status ts_checkpoint_save(const ts_checkpoint *c, const ts_train_settings *settings,
                             ts_error *err)
{
    ts_status status = TS_OK;
    ts_text temporary = {0}, final = {0};
    size_t step = c->history->count;
    TS_TRY(ts_text_format(&temporary, err, "%s/" TEMPORARY "%zu.%ld", settings->output_dir, step,
                          ts_os_process()));
    TS_TRY(ts_text_format(&final, err, "%s/" PREFIX "%zu", settings->output_dir, step));
    TS_TRY(ts_folder_remove(temporary.bytes, err));
    TS_TRY(ts_folder_make(temporary.bytes, err));
    TS_TRY(fill_folder(c, settings, temporary.bytes, err));
    if (c->replaces) { // as late as possible: the new checkpoint only lacks its final name
        TS_TRY(ts_checkpoint_delete_run(settings->output_dir, err));
    }
    TS_TRY(ts_folder_commit(temporary.bytes, final.bytes, err));
out:
    if (status != TS_OK) {
        ts_error ignored = {0};
        ts_error_context(err, "saving checkpoint %zu", step);
        if (temporary.bytes != NULL) {
            ts_folder_remove(temporary.bytes, &ignored);
        }
    }
    ts_text_free(&temporary);
    ts_text_free(&final);
    return status;
}

// ---- Finding

// The N of "checkpoint-N" and, where `rest` is not NULL, what follows it; or 0.
static uint64_t step_of(const char *name, const char **rest)
{
    size_t len = strlen(PREFIX), digits;
    if (strncmp(name, PREFIX, len) != 0 || name[len] == '0') {
        return 0;
    }
    digits = strspn(name + len, "0123456789");
    if (digits == 0 || digits > 18 || (rest == NULL && name[len + digits] != '\0')) {
        return 0;
    }
    if (rest != NULL) {
        *rest = name + len + digits;
    }
    return strtoull(name + len, NULL, 10);
}

static int descending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

ts_status ts_checkpoint_list(const char *output_dir, uint64_t **out, size_t *count, ts_error *err)
{
    ts_status status = TS_OK;
    size_t capacity = 0;
    ts_os_names entries;
    *out = NULL;
    *count = 0;
    if (ts_os_list(output_dir, &entries) != 0) {
        return TS_OK;
    }
    for (size_t i = 0; i < entries.count; i++) {
        uint64_t step = step_of(entries.names[i], NULL);
        if (step > 0) {
            TS_TRY(ts_grow(out, &capacity, *count + 1, sizeof **out, err));
            (*out)[(*count)++] = step;
        }
    }
    if (*count > 0) {
        qsort(*out, *count, sizeof **out, descending);
    }
out:
    ts_os_names_free(&entries);
    return status;
}

ts_status ts_checkpoint_path(const char *output_dir, uint64_t step, ts_text *out, ts_error *err)
{
    char name[48];
    snprintf(name, sizeof name, PREFIX "%llu", (unsigned long long)step);
    return ts_path_join(output_dir, name, out, err);
}

ts_status ts_checkpoint_verify(const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0}, recorded = {0}, computed = {0};
    TS_TRY(ts_path_join(folder, HASHES, &path, err));
    TS_TRY(ts_file_read(path.bytes, 1 << 16, &recorded, err));
    TS_TRY(hash_folder(folder, &computed, err));
    if (recorded.len != computed.len || memcmp(recorded.bytes, computed.bytes, computed.len) != 0) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: the files are not the ones that " HASHES " names "
                "(`sha256sum -c " HASHES "` there says which)",
                folder);
    }
out:
    ts_text_free(&path);
    ts_text_free(&recorded);
    ts_text_free(&computed);
    return status;
}

ts_status ts_checkpoint_find(const ts_train_settings *settings, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    uint64_t *steps = NULL;
    size_t count = 0;
    bool found = false;
    ts_text_clear(out);
    TS_TRY(ts_checkpoint_list(settings->output_dir, &steps, &count, err));
    for (size_t i = 0; i < count && !found; i++) {
        ts_error damage = {0};
        TS_TRY(ts_checkpoint_path(settings->output_dir, steps[i], out, err));
        found = ts_checkpoint_verify(out->bytes, &damage) == TS_OK;
        if (!found) {
            ts_log(TS_LOG_WARN, "passing over a damaged checkpoint: %s", damage.message);
        }
    }
    if (!found) {
        ts_text_clear(out);
    }
out:
    free(steps);
    return status;
}

// ---- Deleting

// Whether a checkpoint was kept only because its evaluation had been the best until then.
static bool was_best(const ts_train_settings *settings, const ts_evaluations *evaluations,
                     uint64_t step)
{
    bool asked_for = settings->save_steps > 0 && step % settings->save_steps == 0;
    bool evaluated = false;
    for (size_t i = 0; i < evaluations->count; i++) {
        evaluated |= evaluations->step[i] == step;
    }
    return settings->load_best && evaluated && !asked_for;
}

ts_status ts_checkpoint_prune(const ts_train_settings *settings, const ts_evaluations *evaluations,
                              uint64_t saved, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    uint64_t *steps = NULL;
    size_t count = 0;
    uint64_t kept = 1; // the one that was just saved
    uint64_t best = settings->load_best ? ts_evaluations_best_step(evaluations) : 0;
    if (settings->save_limit == 0 && !settings->load_best) {
        return TS_OK;
    }
    TS_TRY(ts_checkpoint_list(settings->output_dir, &steps, &count, err));
    for (size_t i = 0; i < count; i++) {
        ts_error damage = {0};
        if (steps[i] >= saved || steps[i] == best) {
            continue;
        }
        TS_TRY(ts_checkpoint_path(settings->output_dir, steps[i], &path, err));
        if (ts_checkpoint_verify(path.bytes, &damage) != TS_OK) {
            continue;
        }
        bool one_too_many = settings->save_limit > 0 && kept >= settings->save_limit;
        if (one_too_many || was_best(settings, evaluations, steps[i])) {
            TS_TRY(ts_folder_remove(path.bytes, err));
        } else {
            kept++;
        }
    }
out:
    free(steps);
    ts_text_free(&path);
    return status;
}

// Deletes an entry of the output folder, or moves it back, if a killed save left it.
static ts_status sweep_entry(const char *output_dir, const char *name, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0}, final = {0};
    const char *rest = NULL;
    uint64_t step = step_of(name, &rest);
    bool aside = step > 0 && strncmp(rest, ASIDE, strlen(ASIDE)) == 0;
    if (!aside && strncmp(name, TEMPORARY, strlen(TEMPORARY)) != 0) {
        return TS_OK;
    }
    TS_TRY(ts_path_join(output_dir, name, &path, err));
    TS_TRY(ts_checkpoint_path(output_dir, step, &final, err));
    if (aside && !ts_file_exists(final.bytes) && ts_os_rename(path.bytes, final.bytes) == 0) {
        goto out; // killed before the new one got its name: this is the only checkpoint of the step
    }
    TS_TRY(ts_folder_remove(path.bytes, err));
out:
    ts_text_free(&path);
    ts_text_free(&final);
    return status;
}

ts_status ts_checkpoint_sweep(const char *output_dir, ts_error *err)
{
    ts_status status = TS_OK;
    ts_os_names entries = {0};
    ts_os_list(output_dir, &entries); // a folder that is not there has nothing to sweep
    for (size_t i = 0; i < entries.count; i++) {
        TS_TRY(sweep_entry(output_dir, entries.names[i], err));
    }
out:
    ts_os_names_free(&entries);
    return status;
}

ts_status ts_checkpoint_delete_run(const char *output_dir, ts_error *err)
{
    // First the file that marks the run as finished.
    static const char *const files[] = {"training.json",       "adapter_model.safetensors",
                                        "adapter_config.json", "README.md",
                                        "trainer_state.json",  "run.json",
                                        "training_curve.png"};
    ts_status status = TS_OK;
    ts_text path = {0};
    uint64_t *steps = NULL;
    size_t count = 0;
    for (size_t i = 0; i < TS_COUNT(files); i++) {
        TS_TRY(ts_path_join(output_dir, files[i], &path, err));
        int reason = ts_os_delete(path.bytes);
        if (reason != 0 && reason != ENOENT) {
            TS_FAIL(TS_ERR_IO, "%s: cannot delete: %s", path.bytes, strerror(reason));
        }
    }
    TS_TRY(ts_checkpoint_list(output_dir, &steps, &count, err));
    for (size_t i = 0; i < count; i++) {
        TS_TRY(ts_checkpoint_path(output_dir, steps[i], &path, err));
        TS_TRY(ts_folder_remove(path.bytes, err));
    }
out:
    free(steps);
    ts_text_free(&path);
    return status;
}
