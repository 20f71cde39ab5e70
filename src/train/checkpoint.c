#include "train/checkpoint.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "checkpoint-"
#define TEMPORARY ".checkpoint-" // what a killed run leaves; never read
#define HASHES "SHA256SUMS"      // `sha256sum -c` reads it too

// ---- Writing

ts_status ts_adapter_write(ts_model *model, const char *folder, const char *summary,
                           ts_file_writer write, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0}, text = {0};
    TS_TRY(ts_model_save_lora(model, &text, err));
    TS_TRY(ts_path_join(folder, "adapter_model.safetensors", &path, err));
    TS_TRY(write(path.bytes, text.bytes, text.len, err));
    ts_text_clear(&text);
    TS_TRY(ts_adapter_config_write(&model->lora.config, &text, err));
    TS_TRY(ts_path_join(folder, "adapter_config.json", &path, err));
    TS_TRY(write(path.bytes, text.bytes, text.len, err));
    ts_text_clear(&text);
    TS_TRY(ts_adapter_card_write(&model->lora.config, summary, &text, err));
    TS_TRY(ts_path_join(folder, "README.md", &path, err));
    TS_TRY(write(path.bytes, text.bytes, text.len, err));
out:
    ts_text_free(&path);
    ts_text_free(&text);
    return status;
}

// optimizer.safetensors: both moments of every tensor, and what each step measured.
static ts_status write_optimiser(const ts_checkpoint *c, const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0}, text = {0};
    ts_lora_tensors first = {0}, second = {0};
    ts_tensor *list = NULL;
    const uint64_t steps = c->history->count;
    const struct {
        const char *name;
        const double *values;
    } series[] = {{"history.loss", c->history->loss},
                  {"history.learning_rate", c->history->rate},
                  {"history.grad_norm", c->history->grad_norm}};
    size_t count = 0;
    TS_TRY(ts_lora_download(c->model, c->model->lora.first_moment, "exp_avg.", &first, err));
    TS_TRY(ts_lora_download(c->model, c->model->lora.second_moment, "exp_avg_sq.", &second, err));
    TS_TRY(ts_alloc(first.count + second.count + TS_COUNT(series) + 1, sizeof *list, &list, err));
    memcpy(list, first.tensors, first.count * sizeof *list);
    memcpy(list + first.count, second.tensors, second.count * sizeof *list);
    count = first.count + second.count;
    for (size_t i = 0; i < TS_COUNT(series); i++) {
        list[count++] = (ts_tensor){.name = series[i].name,
                                    .dtype = TS_F64,
                                    .rank = 1,
                                    .shape = {steps},
                                    .bytes = series[i].values,
                                    .len = steps * sizeof(double)};
    }
    int64_t tokens = (int64_t)c->history->tokens;
    list[count++] = (ts_tensor){.name = "history.tokens",
                                .dtype = TS_I64,
                                .rank = 1,
                                .shape = {1},
                                .bytes = &tokens,
                                .len = sizeof tokens};
    TS_TRY(ts_safetensors_serialise(list, count, &text, err));
    TS_TRY(ts_path_join(folder, "optimizer.safetensors", &path, err));
    TS_TRY(ts_file_write_plain(path.bytes, text.bytes, text.len, err));
out:
    ts_lora_tensors_free(&first);
    ts_lora_tensors_free(&second);
    free(list);
    ts_text_free(&path);
    ts_text_free(&text);
    return status;
}

static ts_status write_record(const cJSON *record, const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0}, text = {0};
    char *json = cJSON_Print(record);
    TS_TRY(ts_text_format(&text, err, "%s\n", json != NULL ? json : "null"));
    TS_TRY(ts_path_join(folder, "training.json", &path, err));
    TS_TRY(ts_file_write_plain(path.bytes, text.bytes, text.len, err));
out:
    cJSON_free(json);
    ts_text_free(&path);
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
    ts_text path = {0}, text = {0};
    double steps = 0;
    uint64_t per_epoch = 0;
    TS_TRY(ts_json_get_double(c->record, "steps", "training.json", &steps, err));
    TS_TRY(ts_json_get_uint(c->record, "steps_per_epoch", 1, UINT32_MAX, "training.json",
                            &per_epoch, err));
    TS_TRY(ts_adapter_write(c->model, folder, NULL, ts_file_write_plain, err));
    TS_TRY(write_optimiser(c, folder, err));
    TS_TRY(write_record(c->record, folder, err));
    TS_TRY(
        ts_history_write_state(c->history, settings, (uint64_t)steps, per_epoch, NULL, &text, err));
    TS_TRY(ts_path_join(folder, "trainer_state.json", &path, err));
    TS_TRY(ts_file_write_plain(path.bytes, text.bytes, text.len, err));
    ts_text_clear(&text);
    TS_TRY(hash_folder(folder, &text, err));
    TS_TRY(ts_path_join(folder, HASHES, &path, err));
    TS_TRY(ts_file_write_plain(path.bytes, text.bytes, text.len, err));
out:
    ts_text_free(&path);
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
                          (long)getpid()));
    TS_TRY(ts_text_format(&final, err, "%s/" PREFIX "%zu", settings->output_dir, step));
    TS_TRY(ts_folder_remove(temporary.bytes, err));
    TS_TRY(ts_folder_make(temporary.bytes, err));
    TS_TRY(fill_folder(c, settings, temporary.bytes, err));
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

// The N of "checkpoint-N", or 0.
static uint64_t step_of(const char *name)
{
    size_t len = strlen(PREFIX);
    const char *digits = name + len;
    if (strncmp(name, PREFIX, len) != 0 || digits[0] == '\0' || digits[0] == '0' ||
        digits[strspn(digits, "0123456789")] != '\0') {
        return 0;
    }
    return strtoull(digits, NULL, 10);
}

static int descending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

// The steps of all checkpoints in the folder, highest first; none when there is no folder.
static ts_status list_steps(const char *folder, uint64_t **out, size_t *count, ts_error *err)
{
    ts_status status = TS_OK;
    size_t capacity = 0;
    DIR *directory = opendir(folder);
    *out = NULL;
    *count = 0;
    if (directory == NULL) {
        return TS_OK;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        uint64_t step = step_of(entry->d_name);
        if (step > 0) {
            TS_TRY(ts_grow(out, &capacity, *count + 1, sizeof **out, err));
            (*out)[(*count)++] = step;
        }
    }
    if (*count > 0) {
        qsort(*out, *count, sizeof **out, descending);
    }
out:
    closedir(directory);
    return status;
}

static ts_status check_hashes(const char *folder, ts_error *err)
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
    if (strcmp(settings->resume, "latest") != 0) {
        TS_TRY(check_hashes(settings->resume, err));
        return ts_text_format(out, err, "%s", settings->resume);
    }
    TS_TRY(list_steps(settings->output_dir, &steps, &count, err));
    for (size_t i = 0; i < count && !found; i++) {
        ts_error damage = {0};
        ts_text_clear(out);
        TS_TRY(ts_text_format(out, err, "%s/" PREFIX "%llu", settings->output_dir,
                              (unsigned long long)steps[i]));
        found = check_hashes(out->bytes, &damage) == TS_OK;
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

bool ts_checkpoint_run_exists(const char *output_dir)
{
    ts_error ignored = {0};
    ts_text path = {0};
    uint64_t *steps = NULL;
    size_t count = 0;
    bool adapter =
        ts_path_join(output_dir, "adapter_model.safetensors", &path, &ignored) == TS_OK &&
        ts_file_exists(path.bytes);
    list_steps(output_dir, &steps, &count, &ignored);
    free(steps);
    ts_text_free(&path);
    return adapter || count > 0;
}

ts_status ts_checkpoint_prune(const char *output_dir, uint64_t keep, bool all, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    uint64_t *steps = NULL;
    size_t count = 0;
    DIR *directory = opendir(output_dir);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        if (strncmp(entry->d_name, TEMPORARY, strlen(TEMPORARY)) == 0) {
            TS_TRY(ts_path_join(output_dir, entry->d_name, &path, err));
            TS_TRY(ts_folder_remove(path.bytes, err));
        }
    }
    TS_TRY(list_steps(output_dir, &steps, &count, err));
    for (size_t i = all ? 0 : keep > 0 ? keep : count; i < count; i++) {
        ts_text_clear(&path);
        TS_TRY(ts_text_format(&path, err, "%s/" PREFIX "%llu", output_dir,
                              (unsigned long long)steps[i]));
        TS_TRY(ts_folder_remove(path.bytes, err));
    }
out:
    if (directory != NULL) {
        closedir(directory);
    }
    free(steps);
    ts_text_free(&path);
    return status;
}

// ---- Reading

static ts_status read_series(const ts_safetensors *file, const char *name, uint64_t count,
                             const double **out, ts_error *err)
{
    const ts_tensor *tensor;
    ts_status status = ts_safetensors_expect(file, name, 1, &count, &tensor, err);
    if (status == TS_OK && tensor->dtype != TS_F64) {
        status = ts_error_set(err, TS_ERR_FORMAT, "%s: expected F64", name);
    }
    *out = status == TS_OK ? tensor->bytes : NULL;
    return status;
}

static ts_status read_history(const ts_safetensors *file, ts_history *history, ts_error *err)
{
    ts_status status = TS_OK;
    const double *loss, *rate, *grad_norm;
    const ts_tensor *any = ts_safetensors_find(file, "history.loss"), *tokens;
    const uint64_t one = 1;
    uint64_t count = any != NULL ? any->shape[0] : 0;
    TS_TRY(read_series(file, "history.loss", count, &loss, err));
    TS_TRY(read_series(file, "history.learning_rate", count, &rate, err));
    TS_TRY(read_series(file, "history.grad_norm", count, &grad_norm, err));
    TS_TRY(ts_safetensors_expect(file, "history.tokens", 1, &one, &tokens, err));
    for (uint64_t i = 0; i < count; i++) {
        TS_TRY(ts_history_push(history, loss[i], rate[i], grad_norm[i], err));
    }
    history->tokens = (uint64_t) * (const int64_t *)tokens->bytes;
out:
    return status;
}

static ts_status read_tensors(const ts_checkpoint *c, const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    ts_safetensors *adapter = NULL, *optimiser = NULL;
    ts_lora *lora = &c->model->lora;
    size_t count;
    TS_TRY(ts_path_join(folder, "adapter_model.safetensors", &path, err));
    TS_TRY(ts_safetensors_open(path.bytes, &adapter, err));
    TS_TRY(ts_lora_upload(c->model, lora->values, "", adapter, &count, err));
    TS_TRY(ts_path_join(folder, "optimizer.safetensors", &path, err));
    TS_TRY(ts_safetensors_open(path.bytes, &optimiser, err));
    TS_TRY(ts_lora_upload(c->model, lora->first_moment, "exp_avg.", optimiser, &count, err));
    TS_TRY(ts_lora_upload(c->model, lora->second_moment, "exp_avg_sq.", optimiser, &count, err));
    TS_TRY(read_history(optimiser, c->history, err));
out:
    ts_safetensors_close(adapter);
    ts_safetensors_close(optimiser);
    ts_text_free(&path);
    return status;
}

ts_status ts_checkpoint_load(const ts_checkpoint *c, const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    cJSON *record = NULL;
    TS_TRY(ts_path_join(folder, "training.json", &path, err));
    TS_TRY(ts_json_parse_file(path.bytes, &record, err));
    TS_TRY(ts_train_record_compare(record, c->record, err));
    TS_TRY(read_tensors(c, folder, err));
out:
    if (status != TS_OK) {
        ts_error_context(err, "resume: %s", folder);
    }
    cJSON_Delete(record);
    ts_text_free(&path);
    return status;
}
