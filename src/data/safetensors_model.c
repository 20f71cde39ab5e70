// Reads the safetensors of a model folder: one file, or shards and their index.
#include "data/safetensors.h"

#include "base/json.h"
#include "data/hf_files.h"
#include "data/tensors_parts.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SHARDS = 4096 };

// The name of a shard must not lead out of the model's folder.
static bool is_base_name(const char *name)
{
    return name[0] != '\0' && strchr(name, '/') == NULL && strchr(name, '\\') == NULL &&
           strstr(name, "..") == NULL;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// The distinct file names of the index's weight_map, sorted. They point into the JSON.
static ts_status list_shards(const cJSON *map, const char *index_path, const char ***out,
                             size_t *count, ts_error *err)
{
    ts_status status = TS_OK;
    size_t capacity = 0, all = 0;
    if (!cJSON_IsObject(map)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'weight_map': expected an object, found %s", index_path,
                ts_json_kind(map));
    }
    for (const cJSON *entry = map->child; entry != NULL; entry = entry->next) {
        if (!cJSON_IsString(entry) || !is_base_name(entry->valuestring)) {
            TS_FAIL(TS_ERR_FORMAT, "%s: tensor '%s': %s is not the name of a file beside the index",
                    index_path, entry->string,
                    cJSON_IsString(entry) ? entry->valuestring : ts_json_kind(entry));
        }
        TS_TRY(ts_grow(out, &capacity, all + 1, sizeof **out, err));
        (*out)[all++] = entry->valuestring;
    }
    if (all == 0) {
        TS_FAIL(TS_ERR_FORMAT, "%s: names no tensors", index_path);
    }
    qsort(*out, all, sizeof **out, compare_names);
    for (size_t i = 0; i < all; i++) {
        if (*count == 0 || strcmp((*out)[*count - 1], (*out)[i]) != 0) {
            (*out)[(*count)++] = (*out)[i];
        }
    }
    if (*count > MAX_SHARDS) {
        TS_FAIL(TS_ERR_FORMAT, "%s: names %zu shards, more than %d", index_path, *count,
                MAX_SHARDS);
    }
out:
    return status;
}

// Notes a tensor that the index names and its shard lacks. That is an error only if it is needed.
static ts_status note_absent(ts_tensors *file, const cJSON *entry, ts_error *err)
{
    ts_status status = TS_OK;
    char *name, *shard;
    TS_TRY(ts_arena_copy_text(&file->arena, entry->string, strlen(entry->string), &name, err));
    TS_TRY(ts_arena_copy_text(&file->arena, entry->valuestring, strlen(entry->valuestring), &shard,
                              err));
    TS_TRY(ts_grow(&file->absent, &file->absent_capacity, file->absent_count + 1,
                   sizeof *file->absent, err));
    file->absent[file->absent_count++] = (ts_absent){name, shard};
out:
    return status;
}

static ts_status add_shards(ts_tensors *file, const char *folder, const char *index_path,
                            ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *index = NULL;
    const char **shards = NULL;
    size_t shard_count = 0;
    ts_text path = {0};
    TS_TRY(ts_json_parse_file(index_path, &index, err));
    const cJSON *weights = ts_json_get(index, "weight_map");
    TS_TRY(list_shards(weights, index_path, &shards, &shard_count, err));
    for (size_t i = 0; i < shard_count; i++) {
        TS_TRY(ts_path_join(folder, shards[i], &path, err));
        TS_TRY(ts_safetensors_add(file, path.bytes, err));
    }
    TS_TRY(ts_tensors_sort(file, err));
    for (const cJSON *entry = weights->child; entry != NULL; entry = entry->next) {
        if (ts_tensors_find(file, entry->string) == NULL) {
            TS_TRY(note_absent(file, entry, err));
        }
    }
out:
    ts_text_free(&path);
    free(shards);
    cJSON_Delete(index);
    return status;
}

// The error for a folder without safetensors. It names weights in a format that is not supported.
static ts_status refuse_without_weights(const char *folder, ts_error *err)
{
    static const char *const pickles[] = {"pytorch_model.bin", "pytorch_model.bin.index.json"};
    ts_status status = TS_OK;
    ts_text path = {0};
    for (size_t i = 0; i < TS_COUNT(pickles); i++) {
        TS_TRY(ts_path_join(folder, pickles[i], &path, err));
        if (ts_file_exists(path.bytes)) {
            TS_FAIL(TS_ERR_UNSUPPORTED,
                    "%s: pickles, which can run code when they are read, and no " TS_HF_WEIGHTS
                    " beside them: load the model with transformers and save it again "
                    "(save_pretrained writes safetensors)",
                    path.bytes);
        }
    }
    TS_FAIL(TS_ERR_IO, "%s: holds neither " TS_HF_WEIGHTS " nor its index", folder);
out:
    ts_text_free(&path);
    return status;
}

ts_status ts_safetensors_open_model(const char *folder, ts_tensors **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_tensors *file = NULL;
    ts_text path = {0};
    bool found;
    *out = NULL;
    TS_TRY(ts_tensors_start(folder, &file, err));
    TS_TRY(ts_path_join(folder, TS_HF_WEIGHTS, &path, err));
    TS_TRY(ts_file_find(path.bytes, &found, err));
    if (found) {
        TS_TRY(ts_safetensors_add(file, path.bytes, err));
        TS_TRY(ts_tensors_sort(file, err));
    } else {
        TS_TRY(ts_path_join(folder, TS_HF_WEIGHTS_INDEX, &path, err));
        TS_TRY(ts_file_find(path.bytes, &found, err));
        if (!found) {
            TS_TRY(refuse_without_weights(folder, err));
        }
        TS_TRY(add_shards(file, folder, path.bytes, err));
    }
    *out = file;
out:
    if (status != TS_OK) {
        ts_tensors_close(file);
    }
    ts_text_free(&path);
    return status;
}
