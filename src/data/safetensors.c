#include "data/safetensors.h"

#include "base/json.h"
#include "data/tensors_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER_LENGTH_BYTES = 8,
    MAX_HEADER_BYTES = 100000000, // as the reference implementation
};

// The state of reading one file. Its tensors are file->tensors[first..].
typedef struct reading {
    ts_tensors *file;
    const char *path;
    const ts_map *map;
    uint64_t data_start, data_len;
    size_t first;
    ts_error *err;
} reading;

// Reads the shape and computes the number of elements. Refuses a product that overflows.
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

// Sets tensor->bytes to its place in the file, or to a copy if that is misaligned. There are files
// from before the format required aligned headers.
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
    ts_tensors *file = r->file;
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

// Checks that the tensors cover the data exactly once. Bytes that belong to two tensors or to none
// could hide other content.
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

// Finds the end of the header and parses it.
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
ts_status ts_safetensors_add(ts_tensors *file, const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *header = NULL;
    ts_map map = {0};
    TS_TRY(ts_grow(&file->maps, &file->map_capacity, file->map_count + 1, sizeof map, err));
    TS_TRY(ts_map_open(path, &map, err));
    file->maps[file->map_count++] = map; // from here on it is closed with the file
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

ts_status ts_safetensors_open(const char *path, ts_tensors **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_tensors *file = NULL;
    *out = NULL;
    TS_TRY(ts_tensors_start(path, &file, err));
    TS_TRY(ts_safetensors_add(file, path, err));
    TS_TRY(ts_tensors_sort(file, err));
    *out = file;
out:
    if (status != TS_OK) {
        ts_tensors_close(file);
    }
    return status;
}
