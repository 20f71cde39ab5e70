// A model as one GGUF file, or as several that belong together.
#include "base/blocks.h"
#include "base/file.h"
#include "base/memory.h"
#include "data/gguf_model.h"
#include "data/gguf_split.h"
#include "data/tensors_parts.h"
#include "data/weights_parts.h"

#include <stdlib.h>
#include <string.h>

static ts_status read_part(const char *path, ts_weights_part which, cJSON **part, ts_text *name,
                           ts_error *err)
{
    ts_status status = TS_OK;
    ts_gguf *file = NULL;
    ts_text_clear(name);
    TS_TRY(ts_text_append(name, path, strlen(path), err));
    TS_TRY(ts_gguf_open_model(path, &file, err));
    switch (which) {
    case TS_PART_CONFIG:
        status = ts_gguf_config(file, part, err);
        break;
    case TS_PART_GENERATION_CONFIG:
        status = ts_gguf_generation_config(file, part, err);
        break;
    case TS_PART_TOKENIZER_CONFIG:
        status = ts_gguf_tokenizer_config(file, part, err);
        break;
    default: // the metadata has no more
        break;
    }
out:
    ts_gguf_close(file);
    return status;
}

// ---- Tensors

struct adding {
    const ts_gguf *file;
    const ts_gguf_architecture *architecture;
    uint32_t head_dim;
    ts_tensors *to;
    ts_error *err;
};

static ts_status refuse_type(const struct adding *a, const ts_gguf_tensor *from)
{
    ts_status status = TS_OK;
    ts_error *err = a->err;
    ts_text list = {0};
    for (ts_dtype dtype = 0; dtype < TS_WEIGHT_TYPES; dtype++) {
        uint32_t type;
        if (ts_gguf_type_from_dtype(dtype, &type)) {
            TS_TRY(ts_text_format(&list, err, "%s%s", dtype > 0 ? ", " : "", ts_dtype_name(dtype)));
        }
    }
    TS_FAIL(TS_ERR_UNSUPPORTED, "%s: tensor '%s' is %s, which is not implemented; these are: %s",
            ts_gguf_path(a->file), from->name, ts_gguf_tensor_type_name(from->type), list.bytes);
out:
    ts_text_free(&list);
    return status;
}

// Marks a tensor whose rows are in llama.cpp's order. They must be whole heads.
static ts_status note_order(const struct adding *a, const ts_gguf_tensor *from, ts_tensor *tensor)
{
    if (a->head_dim % 2 != 0 || tensor->shape[0] % a->head_dim != 0) {
        return ts_error_set(a->err, TS_ERR_FORMAT,
                            "%s: tensor '%s': %llu rows, expected whole heads of %u rows, an even "
                            "number",
                            ts_gguf_path(a->file), from->name, (unsigned long long)tensor->shape[0],
                            a->head_dim);
    }
    tensor->head_rows = a->head_dim;
    return TS_OK;
}

// The file has this norm as 1 + w: the tensor becomes a copy with w.
static ts_status subtract_one(const struct adding *a, const ts_gguf_tensor *from, ts_tensor *tensor)
{
    ts_status status = TS_OK;
    ts_error *err = a->err;
    float *values = NULL;
    const uint64_t count = tensor->len / sizeof *values;
    if (tensor->dtype != TS_F32) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "%s: tensor '%s' is %s; a norm of this architecture must be F32",
                ts_gguf_path(a->file), from->name, ts_dtype_name(tensor->dtype));
    }
    TS_TRY(ts_arena_alloc(&a->to->arena, count, sizeof *values, &values, err));
    memcpy(values, from->bytes, tensor->len);
    for (uint64_t i = 0; i < count; i++) {
        values[i] -= 1;
    }
    tensor->bytes = values;
out:
    return status;
}

// The tensor under its Hugging Face name; one that has none keeps its own, for the warning about
// tensors without a use.
static ts_status add_tensor(const struct adding *a, const ts_gguf_tensor *from)
{
    ts_status status = TS_OK;
    ts_error *err = a->err;
    char name[256], *copy;
    ts_tensor tensor = {.rank = from->rank, .bytes = from->bytes, .len = from->len};
    const bool known = ts_gguf_name_to_hf(a->architecture, from->name, name, sizeof name);
    if (strcmp(from->name, TS_GGUF_ROPE_FREQS) == 0) {
        goto out; // the configuration is made from it
    }
    if (strncmp(from->name, "rope_", 5) == 0) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "%s: tensor '%s' is not implemented", ts_gguf_path(a->file),
                from->name);
    }
    if (!ts_blocks_of_gguf(from->type, &tensor.dtype)) {
        TS_TRY(refuse_type(a, from));
    }
    for (uint32_t i = 0; i < from->rank; i++) {
        tensor.shape[i] = from->shape[from->rank - 1 - i];
    }
    if (known && ts_gguf_is_permuted(a->architecture, name)) {
        TS_TRY(note_order(a, from, &tensor));
    }
    if (known && ts_gguf_is_plus_one(a->architecture, name)) {
        TS_TRY(subtract_one(a, from, &tensor));
    }
    const char *taken = known ? name : from->name;
    TS_TRY(ts_arena_copy_text(&a->to->arena, taken, strlen(taken), &copy, err));
    tensor.name = copy;
    TS_TRY(ts_grow(&a->to->tensors, &a->to->capacity, a->to->count + 1, sizeof tensor, err));
    a->to->tensors[a->to->count++] = tensor;
out:
    return status;
}

static ts_status open_tensors(const char *path, ts_tensors **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_tensors *tensors = NULL;
    ts_gguf *file = NULL;
    *out = NULL;
    TS_TRY(ts_tensors_start(path, &tensors, err));
    TS_TRY(ts_gguf_open_model(path, &file, err));
    struct adding a = {.file = file, .to = tensors, .err = err};
    TS_TRY(ts_gguf_find_architecture(file, &a.architecture, err));
    TS_TRY(ts_gguf_head_dim(file, &a.head_dim, err));
    for (size_t i = 0; i < ts_gguf_tensor_count(file); i++) {
        TS_TRY(add_tensor(&a, ts_gguf_tensor_at(file, i)));
    }
    TS_TRY(ts_tensors_sort(tensors, err));
    do {
        TS_TRY(ts_grow(&tensors->maps, &tensors->map_capacity, tensors->map_count + 1,
                       sizeof *tensors->maps, err));
    } while (ts_gguf_give_map(file, &tensors->maps[tensors->map_count]) && ++tensors->map_count);
    *out = tensors;
out:
    ts_gguf_close(file);
    if (status != TS_OK) {
        ts_tensors_close(tensors);
    }
    return status;
}

// ---- Tokenizer and templates

static ts_status fill_tokenizer(const char *path, ts_tokenizer *tokenizer, bool *plain,
                                ts_text *name, ts_error *err)
{
    ts_status status = TS_OK;
    ts_gguf *file = NULL;
    *plain = true;
    TS_TRY(ts_text_append(name, path, strlen(path), err));
    TS_TRY(ts_gguf_open_model(path, &file, err));
    TS_TRY(ts_gguf_fill_tokenizer(file, tokenizer, err));
out:
    ts_gguf_close(file);
    return status;
}

static ts_status read_templates(ts_weights *weights, cJSON *templates, ts_text *name, ts_error *err)
{
    ts_status status = TS_OK;
    const char *path = ts_weights_path(weights);
    ts_gguf *file = NULL;
    ts_text_clear(name);
    TS_TRY(ts_text_append(name, path, strlen(path), err));
    TS_TRY(ts_gguf_open_model(path, &file, err));
    TS_TRY(ts_gguf_templates(file, templates, err));
out:
    ts_gguf_close(file);
    return status;
}

// Adds key, type and bytes of all metadata about the tokenizer.
static ts_status add_tokenizer(const char *path, ts_digest *digest, ts_error *err)
{
    static const char prefix[] = "tokenizer.";
    ts_status status = TS_OK;
    ts_gguf *file = NULL;
    TS_TRY(ts_gguf_open_model(path, &file, err));
    for (size_t i = 0; i < ts_gguf_value_count(file); i++) {
        const ts_gguf_value *value = ts_gguf_value_at(file, i);
        if (strncmp(value->key, prefix, sizeof prefix - 1) == 0) {
            ts_digest_add(digest, value->key, strlen(value->key) + 1);
            ts_digest_add(digest, &value->type, sizeof value->type);
            ts_digest_add(digest, &value->len, sizeof value->len);
            ts_digest_add(digest, value->bytes, value->len);
        }
    }
out:
    ts_gguf_close(file);
    return status;
}

const ts_weights_format ts_weights_gguf = {
    .is_at = ts_gguf_is_at,
    .read = read_part,
    .open_tensors = open_tensors,
    .fill_tokenizer = fill_tokenizer,
    .read_templates = read_templates,
    .add_tokenizer = add_tokenizer,
    .copy_files = ts_gguf_write_files,
};
