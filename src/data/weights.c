#include "data/weights.h"

#include "base/memory.h"
#include "data/weights_parts.h"

#include <stdlib.h>
#include <string.h>

static const ts_weights_format *const formats[] = {&ts_weights_hf, &ts_weights_gguf};

// A part that was read, or was looked for and is absent (`json` is NULL).
struct part {
    bool read;
    cJSON *json;
    ts_text name;
};

struct ts_weights {
    const ts_weights_format *format;
    ts_text path;
    struct part parts[TS_PART_COUNT], templates;
    ts_tensors *tensors;
};

ts_status ts_weights_open(const char *path, ts_weights **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_weights *weights = NULL;
    *out = NULL;
    TS_TRY(ts_alloc(1, sizeof *weights, &weights, err));
    TS_TRY(ts_text_append(&weights->path, path, strlen(path), err));
    for (size_t i = 0; i < TS_COUNT(formats) && weights->format == NULL; i++) {
        weights->format = formats[i]->is_at(path) ? formats[i] : NULL;
    }
    if (weights->format == NULL) {
        TS_FAIL(TS_ERR_IO,
                "%s: no model is here; expected a folder in Hugging Face's layout or a GGUF file",
                path);
    }
    *out = weights;
out:
    if (status != TS_OK) {
        ts_weights_close(weights);
    }
    return status;
}

static void free_part(struct part *part)
{
    cJSON_Delete(part->json);
    ts_text_free(&part->name);
}

void ts_weights_close(ts_weights *weights)
{
    if (weights == NULL) {
        return;
    }
    for (size_t i = 0; i < TS_PART_COUNT; i++) {
        free_part(&weights->parts[i]);
    }
    free_part(&weights->templates);
    ts_tensors_close(weights->tensors);
    ts_text_free(&weights->path);
    free(weights);
}

const char *ts_weights_path(const ts_weights *weights)
{
    return weights->path.bytes;
}

ts_status ts_weights_read(ts_weights *weights, ts_weights_part which, const cJSON **out,
                          const char **name, ts_error *err)
{
    ts_status status = TS_OK;
    struct part *part = &weights->parts[which];
    if (!part->read) {
        cJSON_Delete(part->json);
        part->json = NULL;
        TS_TRY(weights->format->read(weights->path.bytes, which, &part->json, &part->name, err));
        if (part->json != NULL && !cJSON_IsObject(part->json)) {
            TS_FAIL(TS_ERR_FORMAT, "%s: expected an object, found %s", part->name.bytes,
                    ts_json_kind(part->json));
        }
        part->read = true;
    }
    *out = part->json;
    if (name != NULL) {
        *name = part->name.bytes;
    }
out:
    return status;
}

ts_status ts_weights_tensors(ts_weights *weights, const ts_tensors **out, ts_error *err)
{
    ts_status status = TS_OK;
    if (weights->tensors == NULL) {
        status = weights->format->open_tensors(weights->path.bytes, &weights->tensors, err);
    }
    *out = weights->tensors;
    return status;
}

ts_status ts_weights_templates(ts_weights *weights, const cJSON **templates, const char **name,
                               ts_error *err)
{
    ts_status status = TS_OK;
    struct part *part = &weights->templates;
    if (!part->read) {
        cJSON_Delete(part->json);
        part->json = cJSON_CreateObject();
        TS_TRY(weights->format->read_templates(weights, part->json, &part->name, err));
        part->read = true;
    }
    *templates = part->json;
    *name = part->name.bytes;
out:
    return status;
}

ts_status ts_weights_fill_tokenizer(const ts_weights *weights, ts_tokenizer *tokenizer, bool *plain,
                                    ts_text *name, ts_error *err)
{
    return weights->format->fill_tokenizer(weights->path.bytes, tokenizer, plain, name, err);
}

ts_status ts_weights_hash_tokenizer(const ts_weights *weights, char hash[TS_DIGEST_TEXT_BYTES],
                                    ts_error *err)
{
    ts_digest digest;
    ts_digest_begin_sha256(&digest);
    ts_status status = weights->format->add_tokenizer(weights->path.bytes, &digest, err);
    ts_digest_end(&digest, hash);
    return status;
}

ts_status ts_weights_copy_files(const ts_weights *weights, const char *folder, ts_error *err)
{
    return weights->format->copy_files(weights->path.bytes, folder, err);
}
