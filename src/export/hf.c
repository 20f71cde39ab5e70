#include "export/hf.h"

#include "base/memory.h"
#include "base/os.h"
#include "data/gguf.h"
#include "data/hf_files.h"
#include "export/write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What is written: the tensors, in the order of the layers, each in a shard.
struct plan {
    ts_weight *weights; // [count]
    ts_tensor *tensors; // [count] without bytes
    uint32_t *shards;   // [count] from 0 on
    size_t *order;      // [count] room for the tensors of one shard
    uint32_t count, shard_count;
};

static void free_plan(struct plan *plan)
{
    free(plan->weights);
    free(plan->tensors);
    free(plan->shards);
    free(plan->order);
}

static ts_status make_plan(const ts_export_source *source, const ts_export_params *params,
                           struct plan *plan, uint64_t *total, ts_error *err)
{
    ts_status status = TS_OK;
    uint64_t in_shard = 0;
    plan->count = ts_weight_count(source->config);
    TS_TRY(ts_alloc(plan->count, sizeof *plan->weights, &plan->weights, err));
    TS_TRY(ts_alloc(plan->count, sizeof *plan->tensors, &plan->tensors, err));
    TS_TRY(ts_alloc(plan->count, sizeof *plan->shards, &plan->shards, err));
    TS_TRY(ts_alloc(plan->count, sizeof *plan->order, &plan->order, err));
    plan->shard_count = 1;
    for (uint32_t i = 0; i < plan->count; i++) {
        ts_weight *weight = &plan->weights[i];
        const ts_tensor *base;
        ts_weight_describe(source->config, i, weight);
        TS_TRY(ts_weight_find(source->tensors, weight, &base, err));
        ts_tensor *tensor = &plan->tensors[i];
        *tensor = (ts_tensor){.name = base->name, .rank = base->rank};
        memcpy(tensor->shape, base->shape, sizeof tensor->shape);
        tensor->dtype = params->convert                    ? params->dtype
                        : ts_dtype_block(base->dtype) == 1 ? base->dtype
                                                           : TS_BF16;
        tensor->len = ts_export_bytes(weight, tensor->dtype);
        if (in_shard > 0 &&
            tensor->len > params->shard_bytes - ts_min_u64(in_shard, params->shard_bytes)) {
            plan->shard_count++;
            in_shard = 0;
        }
        plan->shards[i] = plan->shard_count - 1;
        in_shard += tensor->len;
        *total += tensor->len;
    }
out:
    return status;
}

static void name_shard(const struct plan *plan, uint32_t shard, char out[64])
{
    if (plan->shard_count == 1) {
        snprintf(out, 64, TS_HF_WEIGHTS);
    } else {
        snprintf(out, 64, "model-%05u-of-%05u.safetensors", shard + 1, plan->shard_count);
    }
}

// ---- The weights

static ts_status write_shard(const ts_export_source *source, const struct plan *plan,
                             uint32_t shard, const char *folder, ts_export_writer *writer,
                             ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0}, header = {0};
    char name[64];
    uint32_t first = 0, count = 0;
    while (plan->shards[first] != shard) {
        first++;
    }
    while (first + count < plan->count && plan->shards[first + count] == shard) {
        count++;
    }
    const ts_tensor *tensors = plan->tensors + first;
    ts_safetensors_order(tensors, count, plan->order);
    TS_TRY(ts_safetensors_header(tensors, plan->order, count, &header, err));
    name_shard(plan, shard, name);
    TS_TRY(ts_path_join(folder, name, &path, err));
    TS_TRY(ts_file_begin(path.bytes, &writer->file, err));
    TS_TRY(ts_file_add(&writer->file, header.bytes, header.len, err));
    for (uint32_t i = 0; i < count; i++) {
        const size_t at = plan->order[i];
        const ts_export_form form = {.dtype = tensors[at].dtype};
        TS_TRY(ts_export_write(writer, source, &plan->weights[first + at], &form, err));
    }
    TS_TRY(ts_file_end(&writer->file, err));
out:
    ts_file_drop(&writer->file);
    ts_text_free(&path);
    ts_text_free(&header);
    return status;
}

// {"metadata": {"total_size": bytes}, "weight_map": {tensor: shard}}
static ts_status write_index(const struct plan *plan, uint64_t total, const char *folder,
                             ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    char name[64];
    TS_TRY(ts_text_format(&text, err,
                          "{\n  \"metadata\": {\n    \"total_size\": %llu\n  },\n"
                          "  \"weight_map\": {",
                          (unsigned long long)total));
    for (uint32_t i = 0; i < plan->count; i++) {
        name_shard(plan, plan->shards[i], name);
        TS_TRY(ts_text_format(&text, err, "%s\n    ", i > 0 ? "," : ""));
        TS_TRY(ts_json_quote(&text, plan->tensors[i].name, err));
        TS_TRY(ts_text_format(&text, err, ": \"%s\"", name));
    }
    TS_TRY(ts_text_format(&text, err, "\n  }\n}\n"));
    TS_TRY(ts_file_write_in(folder, TS_HF_WEIGHTS_INDEX, text.bytes, text.len, ts_file_write_plain,
                            err));
out:
    ts_text_free(&text);
    return status;
}

// ---- The other files

// Edits config.json: the type that weights were converted to, under the key that the file has for
// it; of a GGUF model, whose metadata has none, always; no quantization_config; and whether lm_head
// is the embedding. The rest of the text stays.
static ts_status edit_config(const ts_export_source *source, const ts_export_params *params,
                             const struct plan *plan, const char *folder, ts_error *err)
{
    static const char *const types[] = {
        [TS_F32] = "\"float32\"", [TS_F16] = "\"float16\"", [TS_BF16] = "\"bfloat16\""};
    ts_status status = TS_OK;
    ts_text path = {0}, text = {0};
    const cJSON *config;
    TS_TRY(ts_weights_read(source->weights, TS_PART_CONFIG, &config, NULL, err));
    TS_TRY(ts_path_join(folder, ts_hf_file_names[TS_HF_CONFIG], &path, err));
    TS_TRY(ts_file_read(path.bytes, 64 << 20, &text, err));
    if (params->convert || ts_gguf_is_at(ts_weights_path(source->weights))) {
        const char *key = ts_json_get(config, "dtype") != NULL ? "dtype" : "torch_dtype";
        TS_TRY(ts_json_set_member(&text, key, types[plan->tensors[0].dtype], err));
    }
    TS_TRY(ts_json_set_member(&text, "quantization_config", NULL, err)); // the export has none
    const cJSON *tied = ts_json_get(config, "tie_word_embeddings");
    if (cJSON_IsTrue(tied) && !source->config->tied) {
        TS_TRY(ts_json_set_member(&text, "tie_word_embeddings", "false", err));
    }
    TS_TRY(ts_file_write_plain(path.bytes, text.bytes, text.len, err));
out:
    ts_text_free(&path);
    ts_text_free(&text);
    return status;
}

// Writes a template that is not the model's own to chat_template.jinja, which transformers prefers
// to the one in tokenizer_config.json.
static ts_status write_template(const ts_export_source *source, const ts_chat_template *chosen,
                                const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    const cJSON *templates;
    const char *name, *jinja = ts_chat_template_text(chosen);
    TS_TRY(ts_weights_templates(source->weights, &templates, &name, err));
    const char *own = cJSON_GetStringValue(ts_json_get(templates, "default"));
    if (own == NULL || strcmp(own, jinja) != 0) {
        TS_TRY(ts_text_append(&text, jinja, strlen(jinja), err));
        TS_TRY(ts_file_write_in(folder, ts_hf_file_names[TS_HF_TEMPLATE], text.bytes, text.len,
                                ts_file_write_plain, err));
    }
out:
    ts_text_free(&text);
    return status;
}

static ts_status fill_folder(const ts_export_source *source, const ts_export_params *params,
                             const struct plan *plan, ts_export_writer *writer, const char *folder,
                             ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_weights_copy_files(source->weights, folder, err));
    TS_TRY(edit_config(source, params, plan, folder, err));
    if (params->chat_template != NULL) {
        TS_TRY(write_template(source, params->chat_template, folder, err));
    }
    for (uint32_t shard = 0; shard < plan->shard_count; shard++) {
        TS_TRY(write_shard(source, plan, shard, folder, writer, err));
    }
    if (plan->shard_count > 1) {
        TS_TRY(write_index(plan, writer->total, folder, err));
    }
out:
    return status;
}

// ---- The folder

// Only a folder that holds a model or nothing may be replaced, and not the model's own.
static ts_status check_replaced(const ts_export_source *source, const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text config = {0};
    ts_os_info here, base;
    ts_os_names entries = {0};
    TS_TRY(ts_path_join(path, ts_hf_file_names[TS_HF_CONFIG], &config, err));
    if (ts_os_stat(path, &here) == 0 && ts_os_stat(ts_weights_path(source->weights), &base) == 0 &&
        ts_os_same_file(&here, &base)) {
        TS_FAIL(TS_ERR_ARGUMENT, "--output %s is the folder of --model", path);
    }
    if (!ts_file_exists(config.bytes) && (ts_os_list(path, &entries) != 0 || entries.count > 0)) {
        TS_FAIL(TS_ERR_ARGUMENT, "--output %s exists and holds no model, so it is not replaced",
                path);
    }
out:
    ts_os_names_free(&entries);
    ts_text_free(&config);
    return status;
}

ts_status ts_export_hf_check(const ts_export_source *source, const ts_export_params *params,
                             ts_error *err)
{
    ts_status status = TS_OK;
    bool found;
    if (params->convert && params->dtype > TS_BF16) {
        TS_FAIL(TS_ERR_ARGUMENT, "--format hf: --dtype may be f32, f16 or bf16");
    }
    TS_TRY(ts_export_check_replaced(params, "--output ", params->path, &found, err));
    if (found) {
        TS_TRY(check_replaced(source, params->path, err));
    }
out:
    return status;
}

// Removes PATH.tmp-PID, the folders of earlier exports to this path that were killed.
static void remove_abandoned(const char *path)
{
    const char *name = ts_path_name(path);
    const size_t len = strlen(name), folder_len = (size_t)(name - path);
    ts_text folder = {0}, left = {0};
    ts_os_names entries = {0};
    if (ts_text_format(&folder, NULL, "%.*s.", (int)folder_len, path) == TS_OK) {
        ts_os_list(folder.bytes, &entries);
    }
    for (size_t i = 0; i < entries.count; i++) {
        long pid = 0;
        int end = 0;
        const char *entry = entries.names[i];
        ts_text_clear(&left);
        if (strncmp(entry, name, len) == 0 && sscanf(entry + len, ".tmp-%ld%n", &pid, &end) == 1 &&
            entry[len + (size_t)end] == '\0' && ts_os_process_is_gone(pid) &&
            ts_path_join(folder.bytes, entry, &left, NULL) == TS_OK) {
            ts_folder_remove(left.bytes, NULL);
        }
    }
    ts_os_names_free(&entries);
    ts_text_free(&folder);
    ts_text_free(&left);
}

// The path without slashes at its end.
static ts_status trim(const char *path, ts_text *out, ts_error *err)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') {
        len--;
    }
    return ts_text_append(out, path, len, err);
}

ts_status ts_export_hf(const ts_export_source *source, const ts_export_params *params,
                       ts_error *err)
{
    ts_status status = TS_OK;
    struct plan plan = {0};
    ts_export_writer writer = {.progress = params->progress, .user = params->user};
    ts_text final = {0}, temporary = {0};
    TS_TRY(make_plan(source, params, &plan, &writer.total, err));
    TS_TRY(ts_export_check_space(params->path, writer.total, err));
    TS_TRY(trim(params->path, &final, err));
    TS_TRY(ts_text_format(&temporary, err, "%s.tmp-%ld", final.bytes, ts_os_process()));
    remove_abandoned(final.bytes);
    TS_TRY(ts_folder_remove(temporary.bytes, err));
    TS_TRY(ts_folder_make(temporary.bytes, err));
    status = fill_folder(source, params, &plan, &writer, temporary.bytes, err);
    if (status == TS_OK) {
        status = ts_folder_commit(temporary.bytes, final.bytes, err);
    }
    if (status != TS_OK) {
        ts_folder_remove(temporary.bytes, NULL);
    }
out:
    free_plan(&plan);
    ts_text_free(&final);
    ts_text_free(&temporary);
    return status;
}
