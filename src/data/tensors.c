#include "data/tensors.h"

#include "base/blocks.h"
#include "base/digest.h"
#include "data/gguf_names.h"
#include "data/tensors_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_tensors(const void *a, const void *b)
{
    return strcmp(((const ts_tensor *)a)->name, ((const ts_tensor *)b)->name);
}

ts_status ts_tensors_sort(ts_tensors *file, ts_error *err)
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

ts_status ts_tensors_start(const char *path, ts_tensors **file, ts_error *err)
{
    ts_status status = TS_OK;
    *file = NULL;
    TS_TRY(ts_alloc(1, sizeof **file, file, err));
    TS_TRY(ts_arena_copy_text(&(*file)->arena, path, strlen(path), &(*file)->path, err));
out:
    return status;
}

void ts_tensors_close(ts_tensors *file)
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

uint64_t ts_tensor_row_bytes(const ts_tensor *tensor)
{
    return tensor->rank == 0 || tensor->shape[0] == 0 ? 0 : tensor->len / tensor->shape[0];
}

const void *ts_tensor_row(const ts_tensor *tensor, uint64_t row)
{
    uint64_t at = tensor->head_rows > 0 ? ts_gguf_row(row, tensor->head_rows) : row;
    return (const uint8_t *)tensor->bytes + at * ts_tensor_row_bytes(tensor);
}

size_t ts_tensors_count(const ts_tensors *file)
{
    return file->count;
}

const ts_tensor *ts_tensors_at(const ts_tensors *file, size_t index)
{
    return &file->tensors[index];
}

const ts_tensor *ts_tensors_find(const ts_tensors *file, const char *name)
{
    ts_tensor key = {.name = name};
    return file->count == 0
               ? NULL
               : bsearch(&key, file->tensors, file->count, sizeof key, compare_tensors);
}

uint64_t ts_tensor_elements(const ts_tensor *tensor)
{
    uint64_t count = 1;
    for (uint32_t i = 0; i < tensor->rank; i++) {
        count *= tensor->shape[i];
    }
    return count;
}

static float nf4_scale(const ts_nf4_scales *s, uint64_t block)
{
    return s->absmax != NULL
               ? s->absmax[block]
               : s->levels[s->codes[block]] * s->groups[block / TS_NF4_GROUP] + s->offset;
}

void ts_tensor_nf4_blocks(const ts_tensor *tensor, uint64_t first, uint64_t count, uint8_t *out)
{
    const uint32_t elements = ts_dtype_block(TS_NF4);
    const uint64_t len = ts_blocks_data_bytes(TS_NF4, elements);
    const uint8_t *data = tensor->bytes;
    for (uint64_t block = first / elements; block < (first + count) / elements; block++) {
        const float scale = nf4_scale(tensor->scales, block);
        memcpy(out, &scale, sizeof scale);
        memcpy(out + sizeof scale, data + block * len, len);
        out += sizeof scale + len;
    }
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

void ts_tensors_release(const ts_tensors *file, const ts_tensor *tensor)
{
    for (size_t i = 0; i < file->map_count; i++) {
        ts_map_release(&file->maps[i], tensor->bytes, tensor->len);
    }
}

// The shard in which the index places the tensor, or NULL.
static const char *absent_from(const ts_tensors *file, const char *name)
{
    for (size_t i = 0; i < file->absent_count; i++) {
        if (strcmp(file->absent[i].name, name) == 0) {
            return file->absent[i].shard;
        }
    }
    return NULL;
}

size_t ts_tensors_absent(const ts_tensors *file, const char **first)
{
    *first = file->absent_count > 0 ? file->absent[0].name : NULL;
    return file->absent_count;
}

static bool holds(const ts_map *map, const ts_tensor *tensor)
{
    uintptr_t begin = (uintptr_t)map->bytes, at = (uintptr_t)tensor->bytes;
    return at >= begin && at - begin < map->len;
}

ts_status ts_tensors_check_unchanged(const ts_tensors *file, const ts_tensor *tensor, ts_error *err)
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

// ts_dtype_count_not_finite for a tensor in blocks, in the layout of files or with `scales`. It
// counts blocks whose scale is NaN or infinite.
static uint64_t count_blocks_not_finite(const ts_tensor *tensor, uint64_t *first)
{
    enum { AT_ONCE = 32, MOST_BYTES = 256 }; // of a block's data, and of its header
    uint8_t data[AT_ONCE * MOST_BYTES], headers[AT_ONCE * MOST_BYTES], whole[AT_ONCE * MOST_BYTES];
    const uint64_t count = ts_tensor_elements(tensor);
    const uint64_t step = (uint64_t)AT_ONCE * ts_dtype_block(tensor->dtype);
    const uint8_t *bytes = tensor->bytes;
    uint64_t bad = 0, at_first;
    *first = 0;
    for (uint64_t at = 0; at < count; at += step) {
        const uint64_t some = ts_min_u64(step, count - at);
        if (tensor->scales != NULL) {
            ts_tensor_nf4_blocks(tensor, at, some, whole);
            ts_blocks_split(tensor->dtype, whole, some, data, headers);
        } else {
            ts_blocks_split(tensor->dtype, bytes, some, data, headers);
            bytes += ts_dtype_size(tensor->dtype, some);
        }
        uint64_t found = ts_blocks_count_not_finite(tensor->dtype, headers, some, &at_first);
        *first = bad == 0 && found > 0 ? at + at_first : *first;
        bad += found;
    }
    return bad;
}

ts_status ts_tensors_check_finite(const ts_tensors *file, const ts_tensor *tensor, ts_error *err)
{
    char place[256];
    uint64_t count = ts_tensor_elements(tensor), first;
    const bool blocks = ts_dtype_block(tensor->dtype) > 1;
    uint64_t bad = blocks ? count_blocks_not_finite(tensor, &first)
                          : ts_dtype_count_not_finite(tensor->dtype, tensor->bytes, count, &first);
    if (bad == 0) {
        return TS_OK;
    }
    print_place(tensor, first, place, sizeof place);
    return ts_error_set(err, TS_ERR_FORMAT,
                        "%s: tensor '%s': %llu of its %llu %s NaN or infinite, the first at %s: "
                        "the file is damaged, or what made it diverged",
                        file->path, tensor->name, (unsigned long long)bad,
                        (unsigned long long)(count / ts_dtype_block(tensor->dtype)),
                        blocks ? "blocks have a scale that is" : "values are", place);
}

ts_status ts_tensors_expect(const ts_tensors *file, const char *name, uint32_t rank,
                            const uint64_t *shape, const ts_tensor **out, ts_error *err)
{
    char expected[256], found[256];
    const ts_tensor *tensor = ts_tensors_find(file, name);
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

// ---- Fingerprint

enum { SAMPLE_PIECES = 16, SAMPLE_PIECE_BYTES = 16 << 10 };

// Adds all bytes of a small tensor; of a large one, its first and last bytes and evenly spaced
// pieces between them.
static void add_sample(ts_digest *digest, const unsigned char *bytes, uint64_t len)
{
    if (len <= SAMPLE_PIECES * SAMPLE_PIECE_BYTES) {
        ts_digest_add(digest, bytes, len);
        return;
    }
    uint64_t last = len - SAMPLE_PIECE_BYTES;
    for (uint64_t i = 0; i < SAMPLE_PIECES; i++) {
        uint64_t at = last / (SAMPLE_PIECES - 1) * i;
        ts_digest_add(digest, bytes + (i + 1 < SAMPLE_PIECES ? at : last), SAMPLE_PIECE_BYTES);
    }
}

static void add_scales(ts_digest *digest, const ts_nf4_scales *s)
{
    if (s->absmax != NULL) {
        add_sample(digest, (const unsigned char *)s->absmax, s->blocks * sizeof *s->absmax);
        return;
    }
    add_sample(digest, s->codes, s->blocks);
    ts_digest_add(digest, s->levels, 256 * sizeof *s->levels);
    add_sample(digest, (const unsigned char *)s->groups,
               ts_ceil_div(s->blocks, TS_NF4_GROUP) * sizeof *s->groups);
    ts_digest_add(digest, &s->offset, sizeof s->offset);
}

void ts_tensors_fingerprint(const ts_tensors *file, char out[65])
{
    ts_digest digest;
    ts_digest_begin_sha256(&digest);
    for (size_t i = 0; i < ts_tensors_count(file); i++) {
        const ts_tensor *tensor = ts_tensors_at(file, i);
        const char *dtype = ts_dtype_name(tensor->dtype);
        ts_digest_add(&digest, tensor->name, strlen(tensor->name) + 1);
        ts_digest_add(&digest, dtype, strlen(dtype) + 1);
        ts_digest_add(&digest, &tensor->rank, sizeof tensor->rank);
        ts_digest_add(&digest, tensor->shape, tensor->rank * sizeof *tensor->shape);
        add_sample(&digest, tensor->bytes, tensor->len);
        if (tensor->scales != NULL) {
            add_scales(&digest, tensor->scales);
        }
        ts_tensors_release(file, tensor);
    }
    ts_digest_end(&digest, out);
}
