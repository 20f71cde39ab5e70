#include "data/gguf.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_NESTING = 4, MAX_ALIGNMENT = 1 << 16 };
// The fewest bytes that an entry takes: a key's length, a type and a value; a tensor's name, rank,
// one dimension, type and offset.
enum { MIN_VALUE_BYTES = 8 + 4 + 1, MIN_TENSOR_BYTES = 8 + 4 + 8 + 4 + 8 };

struct ts_gguf {
    ts_arena arena; // keys and names
    char *path;
    ts_map map;
    ts_gguf_value *values;
    ts_gguf_tensor *tensors;
    size_t value_count, tensor_count;
    ts_gguf *next; // a piece that was joined to this one; NULL: none
};

// ---- Reading the header

// Where the reader is in the file. A read past the end gives 0 and sets `short_of`, which the
// callers look at after each entry.
typedef struct reading {
    ts_gguf *file;
    const uint8_t *bytes;
    uint64_t len, at;
    bool ended;
    uint64_t alignment;
    ts_error *err;
} reading;

static uint64_t load_le(const uint8_t *bytes, uint32_t size)
{
    uint64_t value = 0;
    for (uint32_t i = size; i-- > 0;) {
        value = value << 8 | bytes[i];
    }
    return value;
}

// The next `len` bytes, or NULL at the end of the file.
static const uint8_t *take(reading *r, uint64_t len)
{
    if (r->ended || len > r->len - r->at) {
        r->ended = true;
        return NULL;
    }
    const uint8_t *bytes = r->bytes + r->at;
    r->at += len;
    return bytes;
}

static uint64_t take_uint(reading *r, uint32_t size)
{
    const uint8_t *bytes = take(r, size);
    return bytes != NULL ? load_le(bytes, size) : 0;
}

static ts_status ends_in(reading *r, const char *what, const char *name)
{
    return ts_error_set(r->err, TS_ERR_FORMAT, "%s: the file ends inside %s%s%s%s", r->file->path,
                        what, name != NULL ? " '" : "", name != NULL ? name : "",
                        name != NULL ? "'" : "");
}

// A key or a tensor's name: UTF-8 of 1 to `most` bytes, without a NUL. It is copied.
static ts_status take_name(reading *r, const char *what, uint64_t index, uint64_t most,
                           const char **out)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    char *copy = NULL;
    uint64_t len = take_uint(r, 8);
    if (!r->ended && (len == 0 || len > most)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: %s %llu has a name of %llu bytes; expected 1 to %llu",
                r->file->path, what, (unsigned long long)index, (unsigned long long)len,
                (unsigned long long)most);
    }
    const char *bytes = (const char *)take(r, len);
    if (bytes == NULL) {
        TS_TRY(ends_in(r, what, NULL));
    }
    if (memchr(bytes, '\0', len) != NULL || ts_utf8_valid_prefix(bytes, len) < len) {
        TS_FAIL(TS_ERR_FORMAT, "%s: the name of %s %llu is not UTF-8 text", r->file->path, what,
                (unsigned long long)index);
    }
    TS_TRY(ts_arena_copy_text(&r->file->arena, bytes, len, &copy, err));
    *out = copy;
out:
    return status;
}

static bool skip_value(reading *r, uint32_t type, int depth);

// Moves past the items of an array, each of which takes at least a byte. False as in skip_value.
static bool skip_items(reading *r, uint32_t item, uint64_t count, int depth)
{
    const uint32_t bytes = ts_gguf_type_bytes(item);
    if (r->ended || count > r->len - r->at) {
        r->ended = true;
        return true;
    }
    if (item == TS_GGUF_BOOL) {
        const uint8_t *items = take(r, count);
        for (uint64_t i = 0; items != NULL && i < count; i++) {
            if (items[i] > 1) {
                return false;
            }
        }
        return true;
    }
    if (bytes > 0) {
        take(r, count > r->len / bytes ? r->len + 1 : count * bytes);
        return true;
    }
    for (uint64_t i = 0; i < count && !r->ended; i++) {
        if (!skip_value(r, item, depth)) {
            return false;
        }
    }
    return true;
}

// Moves past a value. False if it is none: an unknown type, too deep a nesting, a bool that is
// neither 0 nor 1.
static bool skip_value(reading *r, uint32_t type, int depth)
{
    if (type == TS_GGUF_STRING) {
        take(r, take_uint(r, 8));
        return true;
    }
    if (type == TS_GGUF_ARRAY) {
        uint32_t item = (uint32_t)take_uint(r, 4);
        uint64_t count = take_uint(r, 8);
        return r->ended || (item < TS_GGUF_TYPE_COUNT && depth < MAX_NESTING &&
                            skip_items(r, item, count, depth + 1));
    }
    return type < TS_GGUF_TYPE_COUNT && skip_items(r, type, 1, depth);
}

static ts_status read_value(reading *r, uint64_t index)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    ts_gguf_value value = {.count = 1};
    TS_TRY(take_name(r, "value", index, TS_GGUF_KEY_BYTES - 1, &value.key));
    const uint32_t type = (uint32_t)take_uint(r, 4);
    reading whole = *r;
    if (!skip_value(r, type, 0)) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: key '%s': its value has no type that GGUF knows, or is a bool that is neither "
                "0 nor 1",
                r->file->path, value.key);
    }
    if (r->ended) {
        TS_TRY(ends_in(r, "the value of", value.key));
    }
    value.type = (ts_gguf_type)type;
    if (value.type == TS_GGUF_ARRAY) {
        value.item = (ts_gguf_type)take_uint(&whole, 4);
    }
    if (value.type == TS_GGUF_ARRAY || value.type == TS_GGUF_STRING) {
        value.count = take_uint(&whole, 8);
    }
    value.bytes = whole.bytes + whole.at;
    value.len = r->at - whole.at;
    r->file->values[r->file->value_count++] = value;
out:
    return status;
}

// Computes the bytes of a tensor. False if they are too many to count, or if its rows are not whole
// blocks.
static bool measure(ts_gguf_tensor *tensor)
{
    const uint32_t elements = ts_gguf_block_elements(tensor->type);
    uint64_t count = tensor->shape[0] / elements;
    if (tensor->shape[0] % elements != 0) {
        return false;
    }
    for (uint32_t i = 1; i < tensor->rank; i++) {
        if (tensor->shape[i] != 0 && count > UINT64_MAX / tensor->shape[i]) {
            return false;
        }
        count *= tensor->shape[i];
    }
    const uint32_t bytes = ts_gguf_block_bytes(tensor->type);
    tensor->len = count * bytes;
    return count <= UINT64_MAX / 2 / bytes && count <= UINT64_MAX / 2 / elements;
}

// *offset receives the place of its bytes in the data. Where the data begins is not known yet.
static ts_status read_tensor(reading *r, uint64_t index, uint64_t *offset)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    ts_gguf_tensor tensor = {0};
    TS_TRY(take_name(r, "tensor", index, TS_GGUF_KEY_BYTES - 1, &tensor.name));
    tensor.rank = (uint32_t)take_uint(r, 4);
    if (!r->ended && (tensor.rank < 1 || tensor.rank > TS_GGUF_MAX_RANK)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: tensor '%s' has %u dimensions; expected 1 to %d", r->file->path,
                tensor.name, tensor.rank, TS_GGUF_MAX_RANK);
    }
    for (uint32_t i = 0; i < tensor.rank && !r->ended; i++) {
        tensor.shape[i] = take_uint(r, 8);
    }
    tensor.type = (uint32_t)take_uint(r, 4);
    *offset = take_uint(r, 8);
    if (r->ended) {
        TS_TRY(ends_in(r, "tensor", tensor.name));
    }
    if (ts_gguf_tensor_type_name(tensor.type) == NULL) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "%s: tensor '%s' has type %u, which is not known",
                r->file->path, tensor.name, tensor.type);
    }
    if (!measure(&tensor)) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: tensor '%s': rows of %llu elements and its other dimensions make no tensor of "
                "type %s, whose blocks have %u elements",
                r->file->path, tensor.name, (unsigned long long)tensor.shape[0],
                ts_gguf_tensor_type_name(tensor.type), ts_gguf_block_elements(tensor.type));
    }
    r->file->tensors[r->file->tensor_count++] = tensor;
out:
    return status;
}

// ---- Where the tensors lie

static int compare_bytes(const void *a, const void *b)
{
    const ts_gguf_tensor *x = a, *y = b;
    if (x->bytes != y->bytes) {
        return x->bytes < y->bytes ? -1 : 1;
    }
    return (x->len > y->len) - (x->len < y->len);
}

// The tensors must follow each other, with no more between them than alignment asks for. Bytes that
// belong to two tensors or to none could hide other content.
static ts_status check_cover(reading *r)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    ts_gguf *file = r->file;
    uint64_t covered = r->at;
    if (file->tensor_count > 0) {
        qsort(file->tensors, file->tensor_count, sizeof *file->tensors, compare_bytes);
    }
    for (size_t i = 0; i < file->tensor_count; i++) {
        const ts_gguf_tensor *tensor = &file->tensors[i];
        const uint64_t begin = (uint64_t)(tensor->bytes - r->bytes);
        if (begin < covered && i > 0) {
            TS_FAIL(TS_ERR_FORMAT, "%s: tensors '%s' and '%s' overlap", file->path,
                    file->tensors[i - 1].name, tensor->name);
        }
        if (begin - covered >= r->alignment) {
            TS_FAIL(TS_ERR_FORMAT, "%s: %llu bytes before tensor '%s' belong to no tensor",
                    file->path, (unsigned long long)(begin - covered), tensor->name);
        }
        covered = begin + tensor->len;
    }
    if (r->len - covered >= r->alignment) {
        ts_log_once(TS_LOG_WARN,
                    "%s: %llu bytes after the last tensor belong to none and are not "
                    "read",
                    file->path, (unsigned long long)(r->len - covered));
    }
out:
    return status;
}

// Turns the offsets into addresses.
static ts_status place_tensors(reading *r, const uint64_t *offsets)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    ts_gguf *file = r->file;
    const uint64_t start = ts_align_up(r->at, r->alignment);
    if (file->tensor_count > 0 && start > r->len) {
        TS_TRY(ends_in(r, "its header", NULL));
    }
    for (size_t i = 0; i < file->tensor_count; i++) {
        ts_gguf_tensor *tensor = &file->tensors[i];
        if (offsets[i] % r->alignment != 0) {
            TS_FAIL(TS_ERR_FORMAT, "%s: tensor '%s' begins at %llu, which is no multiple of %llu",
                    file->path, tensor->name, (unsigned long long)offsets[i],
                    (unsigned long long)r->alignment);
        }
        if (offsets[i] > r->len - start || tensor->len > r->len - start - offsets[i]) {
            TS_FAIL(TS_ERR_FORMAT,
                    "%s: tensor '%s' has %llu bytes from %llu on, and the data has %llu: is the "
                    "file cut short?",
                    file->path, tensor->name, (unsigned long long)tensor->len,
                    (unsigned long long)offsets[i], (unsigned long long)(r->len - start));
        }
        tensor->bytes = r->bytes + start + offsets[i];
    }
    TS_TRY(check_cover(r));
out:
    return status;
}

// ---- The whole file

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const ts_gguf_value *)a)->key, ((const ts_gguf_value *)b)->key);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const ts_gguf_tensor *)a)->name, ((const ts_gguf_tensor *)b)->name);
}

static ts_status sort_values(reading *r)
{
    ts_gguf *file = r->file;
    if (file->value_count > 0) {
        qsort(file->values, file->value_count, sizeof *file->values, compare_keys);
    }
    for (size_t i = 1; i < file->value_count; i++) {
        if (strcmp(file->values[i - 1].key, file->values[i].key) == 0) {
            return ts_error_set(r->err, TS_ERR_FORMAT, "%s: key '%s' stands twice", file->path,
                                file->values[i].key);
        }
    }
    return TS_OK;
}

static ts_status sort_tensors(reading *r)
{
    ts_gguf *file = r->file;
    if (file->tensor_count > 0) {
        qsort(file->tensors, file->tensor_count, sizeof *file->tensors, compare_names);
    }
    for (size_t i = 1; i < file->tensor_count; i++) {
        if (strcmp(file->tensors[i - 1].name, file->tensors[i].name) == 0) {
            return ts_error_set(r->err, TS_ERR_FORMAT, "%s: tensor '%s' stands twice", file->path,
                                file->tensors[i].name);
        }
    }
    return TS_OK;
}

// Magic, version and the two counts.
static ts_status read_counts(reading *r, uint64_t *tensors, uint64_t *values)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    const char *path = r->file->path;
    TS_TRY(ts_file_refuse_pointer(path, r->bytes, r->len, err));
    const uint8_t *magic = take(r, 4);
    if (magic == NULL || memcmp(magic, TS_GGUF_MAGIC, 4) != 0) {
        TS_FAIL(TS_ERR_FORMAT, "%s: does not begin with \"GGUF\"; not a GGUF file?", path);
    }
    uint64_t version = take_uint(r, 4);
    if (!r->ended && version > 0 && (version & 0xFFFF) == 0) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "%s: a big-endian GGUF file; only little-endian ones are read",
                path);
    }
    if (!r->ended && version != 2 && version != TS_GGUF_VERSION) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "%s: GGUF version %llu; only 2 and 3 are read", path,
                (unsigned long long)version);
    }
    *tensors = take_uint(r, 8);
    *values = take_uint(r, 8);
    if (r->ended) {
        TS_TRY(ends_in(r, "its header", NULL));
    }
    if (*values > (r->len - r->at) / MIN_VALUE_BYTES ||
        *tensors > (r->len - r->at) / MIN_TENSOR_BYTES) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: claims %llu values and %llu tensors, for which its %llu bytes are too few",
                path, (unsigned long long)*values, (unsigned long long)*tensors,
                (unsigned long long)r->len);
    }
out:
    return status;
}

static ts_status read_alignment(reading *r)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    r->alignment = TS_GGUF_ALIGNMENT;
    if (ts_gguf_find(r->file, TS_GGUF_KEY_ALIGNMENT) != NULL) {
        TS_TRY(
            ts_gguf_get_uint(r->file, TS_GGUF_KEY_ALIGNMENT, 1, MAX_ALIGNMENT, &r->alignment, err));
    }
    if ((r->alignment & (r->alignment - 1)) != 0 || r->alignment < 8) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: key '" TS_GGUF_KEY_ALIGNMENT "': %llu is no power of two from "
                "8 on",
                r->file->path, (unsigned long long)r->alignment);
    }
out:
    return status;
}

static ts_status read_file(reading *r)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    ts_gguf *file = r->file;
    uint64_t *offsets = NULL, tensors = 0, values = 0;
    TS_TRY(read_counts(r, &tensors, &values));
    TS_TRY(ts_alloc(values + 1, sizeof *file->values, &file->values, err));
    TS_TRY(ts_alloc(tensors + 1, sizeof *file->tensors, &file->tensors, err));
    TS_TRY(ts_alloc(tensors + 1, sizeof *offsets, &offsets, err));
    for (uint64_t i = 0; i < values; i++) {
        TS_TRY(read_value(r, i));
    }
    TS_TRY(sort_values(r));
    TS_TRY(read_alignment(r));
    for (uint64_t i = 0; i < tensors; i++) {
        TS_TRY(read_tensor(r, i, &offsets[i]));
    }
    TS_TRY(place_tensors(r, offsets));
    TS_TRY(sort_tensors(r));
out:
    free(offsets);
    return status;
}

bool ts_gguf_is_at(const char *path)
{
    ts_error ignored = {0};
    ts_map map = {0};
    if (ts_folder_exists(path) || ts_map_open(path, &map, &ignored) != TS_OK) {
        return false;
    }
    bool is = map.len >= 4 && memcmp(map.bytes, TS_GGUF_MAGIC, 4) == 0;
    ts_map_close(&map);
    return is;
}

ts_status ts_gguf_open(const char *path, ts_gguf **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_gguf *file = NULL;
    *out = NULL;
    TS_TRY(ts_alloc(1, sizeof *file, &file, err));
    TS_TRY(ts_arena_copy_text(&file->arena, path, strlen(path), &file->path, err));
    TS_TRY(ts_map_open(path, &file->map, err));
    reading r = {.file = file, .bytes = file->map.bytes, .len = file->map.len, .err = err};
    TS_TRY(read_file(&r));
    *out = file;
out:
    if (status != TS_OK) {
        ts_gguf_close(file);
    }
    return status;
}

void ts_gguf_close(ts_gguf *file)
{
    while (file != NULL) {
        ts_gguf *next = file->next;
        ts_map_close(&file->map);
        free(file->values);
        free(file->tensors);
        ts_arena_free(&file->arena);
        free(file);
        file = next;
    }
}

ts_status ts_gguf_join(ts_gguf *file, ts_gguf **piece, ts_error *err)
{
    ts_status status = TS_OK;
    ts_gguf *other = *piece;
    const size_t count = file->tensor_count + other->tensor_count;
    ts_gguf_tensor *all = NULL;
    for (size_t i = 0; i < other->tensor_count; i++) {
        if (ts_gguf_find_tensor(file, other->tensors[i].name) != NULL) {
            TS_FAIL(TS_ERR_FORMAT, "%s: tensor '%s' stands in an earlier piece of %s, too",
                    other->path, other->tensors[i].name, file->path);
        }
    }
    TS_TRY(ts_alloc(count + 1, sizeof *all, &all, err));
    memcpy(all, file->tensors, file->tensor_count * sizeof *all);
    memcpy(all + file->tensor_count, other->tensors, other->tensor_count * sizeof *all);
    qsort(all, count, sizeof *all, compare_names);
    free(file->tensors);
    file->tensors = all;
    file->tensor_count = count;
    other->next = file->next; // a file that was joined has no pieces of its own
    file->next = other;
    *piece = NULL;
out:
    return status;
}

bool ts_gguf_give_map(ts_gguf *file, ts_map *out)
{
    while (file != NULL && file->map.bytes == NULL) {
        file = file->next;
    }
    if (file == NULL) {
        return false;
    }
    *out = file->map;
    file->map = (ts_map){0};
    return true;
}

const char *ts_gguf_path(const ts_gguf *file)
{
    return file->path;
}

size_t ts_gguf_value_count(const ts_gguf *file)
{
    return file->value_count;
}

const ts_gguf_value *ts_gguf_value_at(const ts_gguf *file, size_t index)
{
    return &file->values[index];
}

const ts_gguf_value *ts_gguf_find(const ts_gguf *file, const char *key)
{
    ts_gguf_value sought = {.key = key};
    return file->value_count == 0 ? NULL
                                  : bsearch(&sought, file->values, file->value_count,
                                            sizeof *file->values, compare_keys);
}

size_t ts_gguf_tensor_count(const ts_gguf *file)
{
    return file->tensor_count;
}

const ts_gguf_tensor *ts_gguf_tensor_at(const ts_gguf *file, size_t index)
{
    return &file->tensors[index];
}

const ts_gguf_tensor *ts_gguf_find_tensor(const ts_gguf *file, const char *name)
{
    ts_gguf_tensor sought = {.name = name};
    return file->tensor_count == 0 ? NULL
                                   : bsearch(&sought, file->tensors, file->tensor_count,
                                             sizeof *file->tensors, compare_names);
}
