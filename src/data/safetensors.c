#include "data/safetensors.h"

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER_LENGTH_BYTES = 8,
    MAX_HEADER_BYTES = 100000000, // as the reference implementation
    MAX_SHARDS = 4096,
};

typedef struct ts_absent {
    const char *name, *shard;
} ts_absent;

struct ts_safetensors {
    ts_arena arena; // names, and copies of tensors that lie misaligned
    char *path;     // of the file or the folder, for messages
    ts_tensor *tensors;
    size_t count, capacity;
    ts_map *maps; // one a shard
    size_t map_count, map_capacity;
    ts_absent *absent; // what the index names and its shards do not hold
    size_t absent_count, absent_capacity;
};

// A file that is being read: its tensors are file->tensors[first..].
typedef struct reading {
    ts_safetensors *file;
    const char *path;
    const ts_map *map;
    uint64_t data_start, data_len;
    size_t first;
    ts_error *err;
} reading;

// shape -> element count, refusing products that do not fit.
static ts_status read_shape(reading *r, const cJSON *shape, ts_tensor *tensor)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    uint64_t bytes = ts_dtype_bytes(tensor->dtype);
    if (!cJSON_IsArray(shape)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: tensor '%s': shape: expected an array, found %s", r->path,
                tensor->name, ts_json_kind(shape));
    }
    for (const cJSON *axis = shape->child; axis != NULL; axis = axis->next) {
        uint64_t size = 0;
        if (tensor->rank == TS_TENSOR_MAX_RANK) {
            TS_FAIL(TS_ERR_UNSUPPORTED, "%s: tensor '%s' has more than %d dimensions", r->path,
                    tensor->name, TS_TENSOR_MAX_RANK);
        }
        if (!ts_json_uint(axis, &size)) {
            TS_FAIL(TS_ERR_FORMAT, "%s: tensor '%s': shape[%u] is not a whole number", r->path,
                    tensor->name, tensor->rank);
        }
        if (__builtin_mul_overflow(bytes, size, &bytes)) {
            TS_FAIL(TS_ERR_FORMAT, "%s: tensor '%s': its shape's product overflows", r->path,
                    tensor->name);
        }
        tensor->shape[tensor->rank++] = size;
    }
    tensor->len = bytes;
out:
    return status;
}

// Sets tensor->bytes to its place in the file, or to a copy where that is misaligned: files
// written before the format asked for aligned headers exist.
static ts_status read_place(reading *r, const cJSON *offsets, ts_tensor *tensor)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    uint64_t begin = 0, end = 0;
    if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 ||
        !ts_json_uint(offsets->child, &begin) || !ts_json_uint(offsets->child->next, &end)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: tensor '%s': data_offsets: expected two whole numbers", r->path,
                tensor->name);
    }
    if (begin > end) {
        TS_FAIL(TS_ERR_FORMAT, "%s: tensor '%s' ends at byte %llu, before its start %llu", r->path,
                tensor->name, (unsigned long long)end, (unsigned long long)begin);
    }
    if (end > r->data_len) {
        TS_FAIL(TS_ERR_FORMAT, "%s: tensor '%s': %llu bytes past the end of the file", r->path,
                tensor->name, (unsigned long long)(end - r->data_len));
    }
    if (end - begin != tensor->len) {
        TS_FAIL(TS_ERR_FORMAT, "%s: tensor '%s': its shape takes %llu bytes, its offsets give %llu",
                r->path, tensor->name, (unsigned long long)tensor->len,
                (unsigned long long)(end - begin));
    }
    tensor->bytes = r->map->bytes + r->data_start + begin;
    if ((uintptr_t)tensor->bytes % ts_dtype_bytes(tensor->dtype) != 0) {
        void *copy = NULL;
        TS_TRY(ts_arena_alloc(&r->file->arena, tensor->len, 1, &copy, err));
        memcpy(copy, tensor->bytes, tensor->len);
        tensor->bytes = copy;
    }
out:
    return status;
}

static ts_status read_tensor(reading *r, const cJSON *entry)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    ts_safetensors *file = r->file;
    ts_tensor tensor = {0};
    char *name = NULL;
    const char *dtype = NULL, *key = entry->string;
    TS_TRY(ts_arena_copy_text(&file->arena, key, strlen(key), &name, err));
    tensor.name = name;
    if (!cJSON_IsObject(entry)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: tensor '%s': expected an object, found %s", r->path, name,
                ts_json_kind(entry));
    }
    if ((status = ts_json_get_text(entry, "dtype", name, &dtype, err)) != TS_OK) {
        ts_error_context(err, "%s: tensor", r->path);
        goto out;
    }
    if (!ts_dtype_parse(dtype, &tensor.dtype)) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "%s: tensor '%s': data type '%.40s' is not supported (F32, F16, BF16, F64, U32, "
                "I32, I64 and U8 are)",
                r->path, name, dtype);
    }
    TS_TRY(read_shape(r, ts_json_get(entry, "shape"), &tensor));
    TS_TRY(read_place(r, ts_json_get(entry, "data_offsets"), &tensor));
    TS_TRY(ts_grow(&file->tensors, &file->capacity, file->count + 1, sizeof tensor, err));
    file->tensors[file->count++] = tensor;
out:
    return status;
}

typedef struct extent {
    uint64_t begin, end;
    const char *name;
} extent;

static int compare_extents(const void *a, const void *b)
{
    const extent *x = a, *y = b;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    return (x->end > y->end) - (x->end < y->end);
}

// The tensors must cover the data exactly once: bytes that belong to two tensors or to none are
// how a file smuggles something.
static ts_status check_cover(reading *r, const cJSON *header)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    extent *extents = NULL;
    size_t count = 0;
    uint64_t covered = 0;
    TS_TRY(ts_alloc(r->file->count - r->first, sizeof *extents, &extents, err));
    for (const cJSON *entry = header->child; entry != NULL; entry = entry->next) {
        const cJSON *offsets = ts_json_get(entry, "data_offsets");
        if (offsets != NULL && strcmp(entry->string, "__metadata__") != 0) {
            extent *e = &extents[count++];
            e->name = entry->string;
            ts_json_uint(offsets->child, &e->begin);
            ts_json_uint(offsets->child->next, &e->end);
        }
    }
    qsort(extents, count, sizeof *extents, compare_extents);
    for (size_t i = 0; i < count; i++) {
        if (extents[i].begin < covered) {
            TS_FAIL(TS_ERR_FORMAT, "%s: tensors '%s' and '%s' overlap", r->path,
                    extents[i - 1].name, extents[i].name);
        }
        if (extents[i].begin > covered) {
            TS_FAIL(TS_ERR_FORMAT, "%s: %llu bytes before tensor '%s' belong to no tensor", r->path,
                    (unsigned long long)(extents[i].begin - covered), extents[i].name);
        }
        covered = extents[i].end;
    }
    if (covered != r->data_len) {
        TS_FAIL(TS_ERR_FORMAT, "%s: %llu bytes after the last tensor belong to none", r->path,
                (unsigned long long)(r->data_len - covered));
    }
out:
    free(extents);
    return status;
}

static ts_status check_metadata(reading *r, const cJSON *metadata)
{
    ts_error *err = r->err;
    if (!cJSON_IsObject(metadata)) {
        return ts_error_set(err, TS_ERR_FORMAT, "%s: __metadata__: expected an object, found %s",
                            r->path, ts_json_kind(metadata));
    }
    for (const cJSON *entry = metadata->child; entry != NULL; entry = entry->next) {
        if (!cJSON_IsString(entry)) {
            return ts_error_set(err, TS_ERR_FORMAT, "%s: __metadata__: '%s' is %s, not a string",
                                r->path, entry->string, ts_json_kind(entry));
        }
    }
    return TS_OK;
}

static uint64_t load_le64(const unsigned char *bytes)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) {
        value = value << 8 | bytes[i];
    }
    return value;
}

// Finds the header's end and parses it.
static ts_status read_header(reading *r, cJSON **header)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    const ts_map *map = r->map;
    if (map->len < HEADER_LENGTH_BYTES) {
        TS_FAIL(TS_ERR_FORMAT, "%s: %llu bytes are too few for a safetensors file", r->path,
                (unsigned long long)map->len);
    }
    TS_TRY(ts_file_refuse_pointer(r->path, map->bytes, map->len, err));
    uint64_t len = load_le64(map->bytes);
    if (len > MAX_HEADER_BYTES) {
        TS_FAIL(TS_ERR_FORMAT, "%s: claims a header of %llu bytes; not a safetensors file?",
                r->path, (unsigned long long)len);
    }
    if (len > map->len - HEADER_LENGTH_BYTES) {
        TS_FAIL(TS_ERR_FORMAT, "%s: the file ends inside its header (%llu of %llu bytes)", r->path,
                (unsigned long long)(map->len - HEADER_LENGTH_BYTES), (unsigned long long)len);
    }
    const char *text = (const char *)map->bytes + HEADER_LENGTH_BYTES;
    if (len == 0 || text[0] != '{') {
        TS_FAIL(TS_ERR_FORMAT, "%s: the header does not start with '{'", r->path);
    }
    if ((status = ts_json_parse(text, len, "header", header, err)) != TS_OK) {
        ts_error_context(err, "%s", r->path);
        goto out;
    }
    r->data_start = HEADER_LENGTH_BYTES + len;
    r->data_len = map->len - r->data_start;
out:
    return status;
}

// Maps `path` and adds its tensors to `file`.
static ts_status add_file(ts_safetensors *file, const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *header = NULL;
    ts_map map = {0};
    TS_TRY(ts_grow(&file->maps, &file->map_capacity, file->map_count + 1, sizeof map, err));
    TS_TRY(ts_map_open(path, &map, err));
    file->maps[file->map_count++] = map; // from here on the file closes it
    reading r = {.file = file, .path = path, .map = &map, .first = file->count, .err = err};
    TS_TRY(read_header(&r, &header));
    for (const cJSON *entry = header->child; entry != NULL; entry = entry->next) {
        if (strcmp(entry->string, "__metadata__") == 0) {
            TS_TRY(check_metadata(&r, entry));
        } else {
            TS_TRY(read_tensor(&r, entry));
        }
    }
    TS_TRY(check_cover(&r, header));
out:
    cJSON_Delete(header);
    return status;
}

static int compare_tensors(const void *a, const void *b)
{
    return strcmp(((const ts_tensor *)a)->name, ((const ts_tensor *)b)->name);
}

static ts_status sort_by_name(ts_safetensors *file, ts_error *err)
{
    if (file->count > 0) {
        qsort(file->tensors, file->count, sizeof *file->tensors, compare_tensors);
    }
    for (size_t i = 1; i < file->count; i++) {
        if (strcmp(file->tensors[i - 1].name, file->tensors[i].name) == 0) {
            return ts_error_set(err, TS_ERR_FORMAT, "%s: tensor '%s' stands in two shards",
                                file->path, file->tensors[i].name);
        }
    }
    return TS_OK;
}

static ts_status start(const char *path, ts_safetensors **file, ts_error *err)
{
    ts_status status = TS_OK;
    *file = NULL;
    TS_TRY(ts_alloc(1, sizeof **file, file, err));
    TS_TRY(ts_arena_copy_text(&(*file)->arena, path, strlen(path), &(*file)->path, err));
out:
    return status;
}

ts_status ts_safetensors_open(const char *path, ts_safetensors **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_safetensors *file = NULL;
    *out = NULL;
    TS_TRY(start(path, &file, err));
    TS_TRY(add_file(file, path, err));
    TS_TRY(sort_by_name(file, err));
    *out = file;
out:
    if (status != TS_OK) {
        ts_safetensors_close(file);
    }
    return status;
}

// A shard's name must stay inside the model's folder.
static bool is_base_name(const char *name)
{
    return name[0] != '\0' && strchr(name, '/') == NULL && strchr(name, '\\') == NULL &&
           strstr(name, "..") == NULL;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// The distinct file names of the index's weight_map, sorted; pointers into the JSON.
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

// The index names a tensor that its shard lacks. That matters only where somebody needs it.
static ts_status note_absent(ts_safetensors *file, const cJSON *entry, ts_error *err)
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

static ts_status add_shards(ts_safetensors *file, const char *folder, const char *index_path,
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
        TS_TRY(add_file(file, path.bytes, err));
    }
    TS_TRY(sort_by_name(file, err));
    for (const cJSON *entry = weights->child; entry != NULL; entry = entry->next) {
        if (ts_safetensors_find(file, entry->string) == NULL) {
            TS_TRY(note_absent(file, entry, err));
        }
    }
out:
    ts_text_free(&path);
    free(shards);
    cJSON_Delete(index);
    return status;
}

// A folder without safetensors; it may hold the same weights in a form that is not read.
static ts_status refuse_without_weights(const char *folder, ts_error *err)
{
    static const char *const pickles[] = {"pytorch_model.bin", "pytorch_model.bin.index.json"};
    ts_status status = TS_OK;
    ts_text path = {0};
    for (size_t i = 0; i < TS_COUNT(pickles); i++) {
        TS_TRY(ts_path_join(folder, pickles[i], &path, err));
        if (ts_file_exists(path.bytes)) {
            TS_FAIL(TS_ERR_UNSUPPORTED,
                    "%s: pickles, which can run code when they are read, and no model.safetensors "
                    "beside them: load the model with transformers and save it again "
                    "(save_pretrained writes safetensors)",
                    path.bytes);
        }
    }
    TS_FAIL(TS_ERR_IO, "%s: holds neither model.safetensors nor its index", folder);
out:
    ts_text_free(&path);
    return status;
}

ts_status ts_safetensors_open_model(const char *folder, ts_safetensors **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_safetensors *file = NULL;
    ts_text path = {0};
    bool found;
    *out = NULL;
    TS_TRY(start(folder, &file, err));
    TS_TRY(ts_path_join(folder, "model.safetensors", &path, err));
    TS_TRY(ts_file_find(path.bytes, &found, err));
    if (found) {
        TS_TRY(add_file(file, path.bytes, err));
        TS_TRY(sort_by_name(file, err));
    } else {
        TS_TRY(ts_path_join(folder, "model.safetensors.index.json", &path, err));
        TS_TRY(ts_file_find(path.bytes, &found, err));
        if (!found) {
            TS_TRY(refuse_without_weights(folder, err));
        }
        TS_TRY(add_shards(file, folder, path.bytes, err));
    }
    *out = file;
out:
    if (status != TS_OK) {
        ts_safetensors_close(file);
    }
    ts_text_free(&path);
    return status;
}

void ts_safetensors_close(ts_safetensors *file)
{
    if (file == NULL) {
        return;
    }
    for (size_t i = 0; i < file->map_count; i++) {
        ts_map_close(&file->maps[i]);
    }
    free(file->maps);
    free(file->tensors);
    free(file->absent);
    ts_arena_free(&file->arena);
    free(file);
}

size_t ts_safetensors_count(const ts_safetensors *file)
{
    return file->count;
}

const ts_tensor *ts_safetensors_at(const ts_safetensors *file, size_t index)
{
    return &file->tensors[index];
}

const ts_tensor *ts_safetensors_find(const ts_safetensors *file, const char *name)
{
    ts_tensor key = {.name = name};
    return file->count == 0
               ? NULL
               : bsearch(&key, file->tensors, file->count, sizeof key, compare_tensors);
}

static void print_shape(uint32_t rank, const uint64_t *shape, char *out, size_t size)
{
    size_t at = (size_t)snprintf(out, size, "[");
    for (uint32_t i = 0; i < rank && at < size; i++) {
        at += (size_t)snprintf(out + at, size - at, "%s%llu", i > 0 ? ", " : "",
                               (unsigned long long)shape[i]);
    }
    if (at < size) {
        snprintf(out + at, size - at, "]");
    }
}

void ts_safetensors_release(const ts_safetensors *file, const ts_tensor *tensor)
{
    for (size_t i = 0; i < file->map_count; i++) {
        ts_map_release(&file->maps[i], tensor->bytes, tensor->len);
    }
}

// The shard that should hold the tensor by the index, or NULL.
static const char *absent_from(const ts_safetensors *file, const char *name)
{
    for (size_t i = 0; i < file->absent_count; i++) {
        if (strcmp(file->absent[i].name, name) == 0) {
            return file->absent[i].shard;
        }
    }
    return NULL;
}

size_t ts_safetensors_absent(const ts_safetensors *file, const char **first)
{
    *first = file->absent_count > 0 ? file->absent[0].name : NULL;
    return file->absent_count;
}

static bool holds(const ts_map *map, const ts_tensor *tensor)
{
    uintptr_t begin = (uintptr_t)map->bytes, at = (uintptr_t)tensor->bytes;
    return at >= begin && at - begin < map->len;
}

ts_status ts_safetensors_check_unchanged(const ts_safetensors *file, const ts_tensor *tensor,
                                         ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t i = 0; i < file->map_count && status == TS_OK; i++) {
        if (tensor == NULL || holds(&file->maps[i], tensor)) {
            status = ts_map_check(&file->maps[i], err);
        }
    }
    return status;
}

static void print_place(const ts_tensor *tensor, uint64_t element, char *out, size_t size)
{
    uint64_t place[TS_TENSOR_MAX_RANK];
    for (uint32_t i = tensor->rank; i-- > 0; element /= tensor->shape[i]) {
        place[i] = element % tensor->shape[i];
    }
    print_shape(tensor->rank, place, out, size);
}

ts_status ts_safetensors_check_finite(const ts_safetensors *file, const ts_tensor *tensor,
                                      ts_error *err)
{
    char place[256];
    uint64_t count = tensor->len / ts_dtype_bytes(tensor->dtype), first;
    uint64_t bad = ts_dtype_count_not_finite(tensor->dtype, tensor->bytes, count, &first);
    if (bad == 0) {
        return TS_OK;
    }
    print_place(tensor, first, place, sizeof place);
    return ts_error_set(err, TS_ERR_FORMAT,
                        "%s: tensor '%s': %llu of its %llu values are NaN or infinite, the first "
                        "at %s: the file is damaged, or what made it diverged",
                        file->path, tensor->name, (unsigned long long)bad,
                        (unsigned long long)count, place);
}

ts_status ts_safetensors_expect(const ts_safetensors *file, const char *name, uint32_t rank,
                                const uint64_t *shape, const ts_tensor **out, ts_error *err)
{
    char expected[256], found[256];
    const ts_tensor *tensor = ts_safetensors_find(file, name);
    print_shape(rank, shape, expected, sizeof expected);
    if (tensor == NULL) {
        const char *shard = absent_from(file, name);
        return ts_error_set(err, TS_ERR_FORMAT, "%s: tensor '%s' %s is missing%s%s", file->path,
                            name, expected, shard != NULL ? "; by the index it should be in " : "",
                            shard != NULL ? shard : "");
    }
    if (tensor->rank != rank || memcmp(tensor->shape, shape, rank * sizeof *shape) != 0) {
        print_shape(tensor->rank, tensor->shape, found, sizeof found);
        return ts_error_set(err, TS_ERR_FORMAT, "%s: tensor '%s': expected shape %s, found %s",
                            file->path, name, expected, found);
    }
    *out = tensor;
    return TS_OK;
}
