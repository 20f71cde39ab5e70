#include "base/dtype.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    uint32_t elements, bytes; // of a block, its header included
} dtypes[] = {
#define WEIGHT(number, name, elements, data, header, gguf) {#name, elements, data + header},
#include "base/weights.def"
#undef WEIGHT
    [TS_F64] = {"F64", 1, 8}, [TS_U32] = {"U32", 1, 4}, [TS_I32] = {"I32", 1, 4},
    [TS_I64] = {"I64", 1, 8}, [TS_U8] = {"U8", 1, 1},
};

size_t ts_dtype_bytes(ts_dtype dtype)
{
    assert(dtypes[dtype].elements == 1);
    return dtypes[dtype].bytes;
}

uint32_t ts_dtype_block(ts_dtype dtype)
{
    return dtypes[dtype].elements;
}

uint64_t ts_dtype_size(ts_dtype dtype, uint64_t count)
{
    assert(count % dtypes[dtype].elements == 0);
    return count / dtypes[dtype].elements * dtypes[dtype].bytes;
}

uint64_t ts_dtype_count(ts_dtype dtype, uint64_t bytes)
{
    return bytes / dtypes[dtype].bytes * dtypes[dtype].elements;
}

const char *ts_dtype_name(ts_dtype dtype)
{
    return dtypes[dtype].name;
}

bool ts_dtype_parse(const char *name, ts_dtype *out)
{
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (dtypes[i].elements == 1 && strcmp(name, dtypes[i].name) == 0) {
            *out = (ts_dtype)i;
            return true;
        }
    }
    return false;
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float ts_bf16_to_f32(uint16_t bits)
{
    return from_bits((uint32_t)bits << 16);
}

uint16_t ts_f32_to_bf16(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) {
        return (uint16_t)(bits >> 16 | 0x40); // a NaN stays one
    }
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

float ts_f16_to_f32(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, rest = bits & 0x7FFFu;
    if (rest >= 0x7C00u) {
        return from_bits(sign | 0x7F800000u | (rest & 0x3FFu) << 13); // infinity or NaN
    }
    if (rest < 0x400u) { // subnormal: a multiple of 2^-24
        float value = (float)rest * 0x1p-24f;
        return sign != 0 ? -value : value;
    }
    return from_bits(sign | ((rest << 13) + (112u << 23)));
}

uint16_t ts_f32_to_f16(float value)
{
    uint32_t bits = bits_of(value);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    uint32_t rest = bits & 0x7FFFFFFFu;
    if (rest > 0x7F800000u) {
        return sign | 0x7E00u;
    }
    if (rest >= 0x477FF000u) { // 65520 and above round to infinity
        return sign | 0x7C00u;
    }
    if (rest < 0x38800000u) { // below 2^-14: round to a multiple of 2^-24
        return (uint16_t)(sign | (uint16_t)lrintf(fabsf(value) * 0x1p24f));
    }
    rest += 0xFFFu + (rest >> 13 & 1u);
    return (uint16_t)(sign | (rest - (112u << 23)) >> 13);
}

// Whole models go through here, so the loop is one that compilers vectorise: with a mask instead of
// a branch. F16 has more bits of precision, so that only what is below its ordinary numbers, 2^-14,
// is rounded: by an addition to 1/2, whose last bit is the 2^-24 of F16's subnormals.
float ts_bf16_to_f16(const uint16_t *from, uint64_t count, uint16_t *to)
{
    uint32_t largest = 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint32_t sign = from[i] & 0x8000u, rest = (uint32_t)(from[i] & 0x7FFFu) << 16;
        const uint32_t small = bits_of(from_bits(rest) + 0.5f) - 0x3F000000u;
        const uint32_t ordinary = (rest - (112u << 23)) >> 13;
        const uint32_t is_small = 0u - (rest < 0x38800000u);
        to[i] = (uint16_t)(sign | (small & is_small) | (ordinary & ~is_small));
        largest = rest > largest ? rest : largest;
    }
    return from_bits(largest);
}

double ts_dtype_load(ts_dtype dtype, const void *array, size_t index)
{
    switch (dtype) {
    case TS_F32:
        return ((const float *)array)[index];
    case TS_F64:
        return ((const double *)array)[index];
    case TS_F16:
        return ts_f16_to_f32(((const uint16_t *)array)[index]);
    case TS_BF16:
        return ts_bf16_to_f32(((const uint16_t *)array)[index]);
    default:
        assert(!"not a floating-point type");
        return 0;
    }
}

void ts_dtype_store(ts_dtype dtype, void *array, size_t index, double value)
{
    switch (dtype) {
    case TS_F32:
        ((float *)array)[index] = (float)value;
        break;
    case TS_F64:
        ((double *)array)[index] = value;
        break;
    case TS_F16:
        ((uint16_t *)array)[index] = ts_f32_to_f16((float)value);
        break;
    case TS_BF16:
        ((uint16_t *)array)[index] = ts_f32_to_bf16((float)value);
        break;
    default:
        assert(!"not a floating-point type");
    }
}

// A number is NaN or infinite where all bits of its exponent are set. The loop is simple enough for
// compilers to vectorise, so that only memory limits its speed.
#define COUNT_NOT_FINITE(type, exponent)                                                           \
    do {                                                                                           \
        const type *bits = array;                                                                  \
        for (uint64_t i = 0; i < count; i++) {                                                     \
            found += (bits[i] & (exponent)) == (exponent);                                         \
        }                                                                                          \
        for (*first = 0; found > 0 && (bits[*first] & (exponent)) != (exponent); ++*first) {       \
        }                                                                                          \
    } while (0)

uint64_t ts_dtype_count_not_finite(ts_dtype dtype, const void *array, uint64_t count,
                                   uint64_t *first)
{
    uint64_t found = 0;
    *first = 0;
    switch (dtype) {
    case TS_F32:
        COUNT_NOT_FINITE(uint32_t, 0x7F800000u);
        break;
    case TS_F16:
        COUNT_NOT_FINITE(uint16_t, 0x7C00u);
        break;
    case TS_BF16:
        COUNT_NOT_FINITE(uint16_t, 0x7F80u);
        break;
    case TS_F64:
        COUNT_NOT_FINITE(uint64_t, 0x7FF0000000000000u);
        break;
    default:
        break;
    }
    return found;
}
