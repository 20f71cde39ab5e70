// data/gguf.c: a GGUF file with any header; and what data/weights_gguf.c makes of one as a model.
#include "fuzz.h"

#include "data/gguf.h"
#include "data/tokenizer.h"
#include "data/weights.h"

static uint64_t sum_of(const uint8_t *bytes, uint64_t len)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < len; i++) {
        sum += bytes[i];
    }
    return sum;
}

static void read_values(const ts_gguf *file)
{
    for (size_t i = 0; i < ts_gguf_value_count(file); i++) {
        const ts_gguf_value *value = ts_gguf_value_at(file, i);
        FUZZ_CHECK(ts_gguf_find(file, value->key) == value);
        FUZZ_CHECK(sum_of(value->bytes, value->len) <= 255 * value->len);
        uint64_t at = 0, len, items = 0;
        const char *bytes;
        if (value->type != TS_GGUF_ARRAY) {
            continue;
        }
        if (value->item == TS_GGUF_STRING) {
            while (ts_gguf_next_string(value, &at, &bytes, &len)) {
                FUZZ_CHECK(sum_of((const uint8_t *)bytes, len) <= 255 * len);
                items++;
            }
            FUZZ_CHECK(items == value->count);
        } else if (ts_gguf_type_bytes(value->item) > 0 && value->count > 0) {
            ts_gguf_item(value, value->count - 1);
            FUZZ_CHECK(value->len == value->count * ts_gguf_type_bytes(value->item));
        }
    }
}

// Every part that the file gives as a model.
static void read_model(const char *path)
{
    static const char text[] = "a \xC3\xA9 </s> 12\n";
    ts_error err = {0};
    ts_weights *weights = NULL;
    ts_tokenizer *tokenizer = NULL;
    const ts_tensors *tensors = NULL;
    const cJSON *json;
    const char *name;
    fuzz_check_status(ts_weights_open(path, &weights, &err), &err);
    for (ts_weights_part part = 0; part < TS_PART_COUNT; part++) {
        err = (ts_error){0};
        fuzz_check_status(ts_weights_read(weights, part, &json, &name, &err), &err);
    }
    err = (ts_error){0};
    fuzz_check_status(ts_weights_templates(weights, &json, &name, &err), &err);
    err = (ts_error){0};
    fuzz_check_status(ts_weights_tensors(weights, &tensors, &err), &err);
    for (size_t i = 0; tensors != NULL && i < ts_tensors_count(tensors); i++) {
        const ts_tensor *tensor = ts_tensors_at(tensors, i);
        const uint64_t bytes = ts_tensor_row_bytes(tensor);
        for (uint64_t row = 0; bytes > 0 && row < tensor->shape[0]; row++) {
            FUZZ_CHECK(sum_of(ts_tensor_row(tensor, row), bytes) <= 255 * bytes);
        }
        err = (ts_error){0};
        fuzz_check_status(ts_tensors_check_finite(tensors, tensor, &err), &err);
    }
    err = (ts_error){0};
    fuzz_check_status(ts_tokenizer_open(weights, &tokenizer, &err), &err);
    if (tokenizer != NULL) {
        ts_tokens ids = {0};
        FUZZ_CHECK(ts_tokenizer_encode(tokenizer, text, sizeof text - 1, TS_SPECIALS_AS_TOKENS,
                                       &ids, &err) == TS_OK);
        ts_tokens_free(&ids);
        ts_tokenizer_close(tokenizer);
    }
    ts_weights_close(weights);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[512];
    ts_error err = {0};
    ts_gguf *file = NULL;
    snprintf(path, sizeof path, "%s", fuzz_file("model.gguf", data, size));
    ts_status status = ts_gguf_open(path, &file, &err);
    fuzz_check_status(status, &err);
    if (file == NULL) {
        return 0;
    }
    read_values(file);
    for (size_t i = 0; i < ts_gguf_tensor_count(file); i++) {
        const ts_gguf_tensor *tensor = ts_gguf_tensor_at(file, i);
        FUZZ_CHECK(ts_gguf_find_tensor(file, tensor->name) == tensor);
        FUZZ_CHECK(sum_of(tensor->bytes, tensor->len) <= 255 * tensor->len);
    }
    ts_gguf_close(file);
    read_model(path);
    return 0;
}
