// data/gguf.c: a GGUF file with any header.
#include "fuzz.h"

#include "data/gguf.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ts_error err = {0};
    ts_gguf *file = NULL;
    ts_status status = ts_gguf_open(fuzz_file("model.gguf", data, size), &file, &err);
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
    return 0;
}
