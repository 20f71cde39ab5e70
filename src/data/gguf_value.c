// Values of a GGUF file's metadata, by key, each with its type checked.
#include "data/gguf.h"

#include <stdio.h>
#include <string.h>

static uint64_t load_le(const uint8_t *bytes, uint32_t size)
{
    uint64_t value = 0;
    for (uint32_t i = size; i-- > 0;) {
        value = value << 8 | bytes[i];
    }
    return value;
}

// A number of any type as a double, exact for integers of up to 53 bits.
static double load_number(ts_gguf_type type, const uint8_t *bytes)
{
    const uint64_t bits = load_le(bytes, ts_gguf_type_bytes(type));
    const uint32_t low = (uint32_t)bits;
    float single;
    double real;
    switch (type) {
    case TS_GGUF_F32:
        memcpy(&single, &low, sizeof single);
        return single;
    case TS_GGUF_F64:
        memcpy(&real, &bits, sizeof real);
        return real;
    case TS_GGUF_I8:
        return (int8_t)bits;
    case TS_GGUF_I16:
        return (int16_t)bits;
    case TS_GGUF_I32:
        return (int32_t)bits;
    case TS_GGUF_I64:
        return (double)(int64_t)bits;
    default:
        return (double)bits;
    }
}

static bool is_integer(ts_gguf_type type)
{
    return ts_gguf_type_bytes(type) > 0 && type != TS_GGUF_BOOL && type != TS_GGUF_F32 &&
           type != TS_GGUF_F64;
}

static bool is_signed(ts_gguf_type type)
{
    return type == TS_GGUF_I8 || type == TS_GGUF_I16 || type == TS_GGUF_I32 || type == TS_GGUF_I64;
}

static ts_status require(const ts_gguf *file, const char *key, const char *expected,
                         const ts_gguf_value **out, ts_error *err)
{
    *out = ts_gguf_find(file, key);
    return *out != NULL ? TS_OK
                        : ts_error_set(err, TS_ERR_FORMAT, "%s: key '%s' is missing; expected %s",
                                       ts_gguf_path(file), key, expected);
}

static ts_status wrong_type(const ts_gguf *file, const ts_gguf_value *value, const char *expected,
                            ts_error *err)
{
    bool array = value->type == TS_GGUF_ARRAY;
    return ts_error_set(err, TS_ERR_FORMAT, "%s: key '%s': expected %s, found %s%s%s",
                        ts_gguf_path(file), value->key, expected, ts_gguf_type_name(value->type),
                        array ? " of " : "", array ? ts_gguf_type_name(value->item) : "");
}

ts_status ts_gguf_get_uint(const ts_gguf *file, const char *key, uint64_t min, uint64_t max,
                           uint64_t *out, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_gguf_value *value;
    TS_TRY(require(file, key, "a whole number", &value, err));
    if (!is_integer(value->type)) {
        TS_TRY(wrong_type(file, value, "a whole number", err));
    }
    *out = load_le(value->bytes, ts_gguf_type_bytes(value->type));
    bool negative = is_signed(value->type) && load_number(value->type, value->bytes) < 0;
    if (negative || *out < min || *out > max) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: key '%s': expected a whole number from %llu to %llu, found %.17g",
                ts_gguf_path(file), key, (unsigned long long)min, (unsigned long long)max,
                load_number(value->type, value->bytes));
    }
out:
    return status;
}

ts_status ts_gguf_get_double(const ts_gguf *file, const char *key, double *out, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_gguf_value *value;
    TS_TRY(require(file, key, "a number", &value, err));
    if (value->type != TS_GGUF_F32 && value->type != TS_GGUF_F64 && !is_integer(value->type)) {
        TS_TRY(wrong_type(file, value, "a number", err));
    }
    *out = load_number(value->type, value->bytes);
out:
    return status;
}

ts_status ts_gguf_get_bool(const ts_gguf *file, const char *key, bool *out, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_gguf_value *value;
    TS_TRY(require(file, key, "a bool", &value, err));
    if (value->type != TS_GGUF_BOOL) {
        TS_TRY(wrong_type(file, value, "a bool", err));
    }
    *out = value->bytes[0] != 0;
out:
    return status;
}

ts_status ts_gguf_get_text(const ts_gguf *file, const char *key, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_gguf_value *value;
    TS_TRY(require(file, key, "a string", &value, err));
    if (value->type != TS_GGUF_STRING) {
        TS_TRY(wrong_type(file, value, "a string", err));
    }
    const char *bytes = (const char *)value->bytes;
    if (memchr(bytes, '\0', value->count) != NULL ||
        ts_utf8_valid_prefix(bytes, value->count) < value->count) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key '%s' is not UTF-8 text", ts_gguf_path(file), key);
    }
    TS_TRY(ts_text_append(out, bytes, value->count, err));
out:
    return status;
}

ts_status ts_gguf_get_array(const ts_gguf *file, const char *key, ts_gguf_type item,
                            const ts_gguf_value **out, ts_error *err)
{
    ts_status status = TS_OK;
    char expected[32];
    snprintf(expected, sizeof expected, "array of %s", ts_gguf_type_name(item));
    TS_TRY(require(file, key, expected, out, err));
    if ((*out)->type != TS_GGUF_ARRAY || (*out)->item != item) {
        TS_TRY(wrong_type(file, *out, expected, err));
    }
out:
    return status;
}

double ts_gguf_item(const ts_gguf_value *array, uint64_t index)
{
    return load_number(array->item, array->bytes + index * ts_gguf_type_bytes(array->item));
}

bool ts_gguf_next_string(const ts_gguf_value *array, uint64_t *at, const char **bytes,
                         uint64_t *len)
{
    if (*at >= array->len) {
        return false;
    }
    *len = load_le(array->bytes + *at, 8);
    *bytes = (const char *)array->bytes + *at + 8;
    *at += 8 + *len;
    return true;
}
