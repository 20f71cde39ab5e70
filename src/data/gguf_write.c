#include "data/gguf_write.h"

#include "base/memory.h"

#include <string.h>

void ts_gguf_header_free(ts_gguf_header *header)
{
    ts_text_free(&header->values);
    ts_text_free(&header->tensors);
    *header = (ts_gguf_header){0};
}

// ---- Numbers and strings, least significant byte first

static ts_status append(ts_text *out, uint64_t value, size_t bytes, ts_error *err)
{
    char text[8];
    for (size_t i = 0; i < bytes; i++) {
        text[i] = (char)(value >> 8 * i);
    }
    return ts_text_append(out, text, bytes, err);
}

static ts_status append_string(ts_text *out, const char *bytes, size_t len, ts_error *err)
{
    ts_status status = append(out, len, 8, err);
    return status == TS_OK ? ts_text_append(out, bytes, len, err) : status;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

// ---- Metadata

static ts_status add_key(ts_gguf_header *header, const char *key, ts_gguf_type type, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(append_string(&header->values, key, strlen(key), err));
    TS_TRY(append(&header->values, type, 4, err));
    header->value_count++;
out:
    return status;
}

ts_status ts_gguf_add_text(ts_gguf_header *header, const char *key, const char *text, ts_error *err)
{
    ts_status status = add_key(header, key, TS_GGUF_STRING, err);
    return status == TS_OK ? append_string(&header->values, text, strlen(text), err) : status;
}

ts_status ts_gguf_add_u32(ts_gguf_header *header, const char *key, uint32_t value, ts_error *err)
{
    ts_status status = add_key(header, key, TS_GGUF_U32, err);
    return status == TS_OK ? append(&header->values, value, 4, err) : status;
}

ts_status ts_gguf_add_f32(ts_gguf_header *header, const char *key, float value, ts_error *err)
{
    ts_status status = add_key(header, key, TS_GGUF_F32, err);
    return status == TS_OK ? append(&header->values, bits_of(value), 4, err) : status;
}

ts_status ts_gguf_add_bool(ts_gguf_header *header, const char *key, bool value, ts_error *err)
{
    ts_status status = add_key(header, key, TS_GGUF_BOOL, err);
    return status == TS_OK ? append(&header->values, value, 1, err) : status;
}

ts_status ts_gguf_add_array(ts_gguf_header *header, const char *key, ts_gguf_type item,
                            uint64_t count, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(add_key(header, key, TS_GGUF_ARRAY, err));
    TS_TRY(append(&header->values, item, 4, err));
    TS_TRY(append(&header->values, count, 8, err));
out:
    return status;
}

ts_status ts_gguf_item_text(ts_gguf_header *header, const char *bytes, size_t len, ts_error *err)
{
    return append_string(&header->values, bytes, len, err);
}

ts_status ts_gguf_item_u32(ts_gguf_header *header, uint32_t bits, ts_error *err)
{
    return append(&header->values, bits, 4, err);
}

// ---- Tensors

uint64_t ts_gguf_padding(uint64_t len)
{
    return ts_align_up(len, TS_GGUF_ALIGNMENT) - len;
}

ts_status ts_gguf_add_tensor(ts_gguf_header *header, const char *name, ts_gguf_tensor_type type,
                             uint32_t rank, const uint64_t *shape, uint64_t len, ts_error *err)
{
    ts_status status = TS_OK;
    if (strlen(name) >= TS_GGUF_NAME_BYTES || rank > TS_GGUF_MAX_RANK) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "tensor '%s': llama.cpp reads names of less than %d bytes, and %d dimensions", name,
                TS_GGUF_NAME_BYTES, TS_GGUF_MAX_RANK);
    }
    TS_TRY(append_string(&header->tensors, name, strlen(name), err));
    TS_TRY(append(&header->tensors, rank, 4, err));
    for (uint32_t i = rank; i > 0; i--) {
        TS_TRY(append(&header->tensors, shape[i - 1], 8, err));
    }
    TS_TRY(append(&header->tensors, type, 4, err));
    TS_TRY(append(&header->tensors, header->data_bytes, 8, err));
    header->data_bytes += len + ts_gguf_padding(len);
    header->tensor_count++;
out:
    return status;
}

ts_status ts_gguf_header_finish(const ts_gguf_header *header, ts_text *out, ts_error *err)
{
    static const char zeros[TS_GGUF_ALIGNMENT];
    ts_status status = TS_OK;
    const size_t start = out->len;
    TS_TRY(ts_text_append(out, TS_GGUF_MAGIC, 4, err));
    TS_TRY(append(out, TS_GGUF_VERSION, 4, err));
    TS_TRY(append(out, header->tensor_count, 8, err));
    TS_TRY(append(out, header->value_count, 8, err));
    TS_TRY(ts_text_append(out, header->values.bytes, header->values.len, err));
    TS_TRY(ts_text_append(out, header->tensors.bytes, header->tensors.len, err));
    TS_TRY(ts_text_append(out, zeros, ts_gguf_padding(out->len - start), err));
out:
    return status;
}
