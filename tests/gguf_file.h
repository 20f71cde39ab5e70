// Writes GGUF files for tests, straight from the format's description and with nothing of the
// program's own, so that a reader is not held against the writer it shares code with.
#ifndef TESTS_GGUF_FILE_H
#define TESTS_GGUF_FILE_H

#include "base/file.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Starts zeroed.
typedef struct gguf_file {
    ts_text values, tensors, data;
    uint64_t value_count, tensor_count;
    uint32_t version;   // 0: 3
    uint64_t alignment; // 0: 32; what is written, not what the metadata says
} gguf_file;

static inline void gguf_put(ts_text *text, const void *bytes, size_t len)
{
    ts_error err = {0};
    cr_assert_eq(ts_text_append(text, bytes, len, &err), TS_OK, "%s", err.message);
}

static inline void gguf_put_u32(ts_text *text, uint32_t value)
{
    gguf_put(text, &value, sizeof value);
}

static inline void gguf_put_u64(ts_text *text, uint64_t value)
{
    gguf_put(text, &value, sizeof value);
}

static inline void gguf_put_string(ts_text *text, const char *bytes, size_t len)
{
    gguf_put_u64(text, len);
    gguf_put(text, bytes, len);
}

// A key and the number of its type; the value is to follow.
static inline void gguf_key(gguf_file *file, const char *key, uint32_t type)
{
    gguf_put_string(&file->values, key, strlen(key));
    gguf_put_u32(&file->values, type);
    file->value_count++;
}

static inline void gguf_u32(gguf_file *file, const char *key, uint32_t value)
{
    gguf_key(file, key, 4);
    gguf_put_u32(&file->values, value);
}

static inline void gguf_f32(gguf_file *file, const char *key, float value)
{
    gguf_key(file, key, 6);
    gguf_put(&file->values, &value, sizeof value);
}

static inline void gguf_bool(gguf_file *file, const char *key, bool value)
{
    uint8_t byte = value;
    gguf_key(file, key, 7);
    gguf_put(&file->values, &byte, 1);
}

static inline void gguf_string(gguf_file *file, const char *key, const char *value)
{
    gguf_key(file, key, 8);
    gguf_put_string(&file->values, value, strlen(value));
}

// An array's key, the type of its items (4: u32, 5: i32, 6: f32, 8: string) and their number; they
// are to follow in file->values.
static inline void gguf_array(gguf_file *file, const char *key, uint32_t item, uint64_t count)
{
    gguf_key(file, key, 9);
    gguf_put_u32(&file->values, item);
    gguf_put_u64(&file->values, count);
}

// The entry of a tensor whose dimensions stand with the elements of a row first.
static inline void gguf_tensor_entry(gguf_file *file, const char *name, uint32_t rank,
                                     const uint64_t *shape, uint32_t type, uint64_t offset)
{
    gguf_put_string(&file->tensors, name, strlen(name));
    gguf_put_u32(&file->tensors, rank);
    for (uint32_t i = 0; i < rank; i++) {
        gguf_put_u64(&file->tensors, shape[i]);
    }
    gguf_put_u32(&file->tensors, type);
    gguf_put_u64(&file->tensors, offset);
    file->tensor_count++;
}

static inline void gguf_pad(ts_text *text, uint64_t start, uint64_t alignment)
{
    while ((start + text->len) % (alignment > 0 ? alignment : 32) != 0) {
        gguf_put(text, "", 1);
    }
}

static inline void gguf_tensor(gguf_file *file, const char *name, uint32_t rank,
                               const uint64_t *shape, uint32_t type, const void *bytes, size_t len)
{
    gguf_pad(&file->data, 0, file->alignment);
    gguf_tensor_entry(file, name, rank, shape, type, file->data.len);
    gguf_put(&file->data, bytes, len);
}

// Puts the file together in *out and frees what it was made of.
static inline void gguf_finish(gguf_file *file, ts_text *out)
{
    gguf_put(out, "GGUF", 4);
    gguf_put_u32(out, file->version > 0 ? file->version : 3);
    gguf_put_u64(out, file->tensor_count);
    gguf_put_u64(out, file->value_count);
    gguf_put(out, file->values.len > 0 ? file->values.bytes : "", file->values.len);
    gguf_put(out, file->tensors.len > 0 ? file->tensors.bytes : "", file->tensors.len);
    gguf_pad(out, 0, file->alignment);
    gguf_put(out, file->data.len > 0 ? file->data.bytes : "", file->data.len);
    gguf_pad(out, 0, file->alignment);
    ts_text_free(&file->values);
    ts_text_free(&file->tensors);
    ts_text_free(&file->data);
    *file = (gguf_file){0};
}

#endif
