// The number formats of stored tensors, and their exact conversion to and from float.
#ifndef TS_BASE_DTYPE_H
#define TS_BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ts_dtype {
    TS_F32, // 0, 1, 2: shaders know these three by number (shaders/include/weight.glsl)
    TS_F16,
    TS_BF16,
    TS_F64,
    TS_U32,
    TS_I32,
    TS_I64,
    TS_U8,
} ts_dtype;

size_t ts_dtype_bytes(ts_dtype dtype);
const char *ts_dtype_name(ts_dtype dtype);            // as safetensors spells it: "BF16"
bool ts_dtype_parse(const char *name, ts_dtype *out); // false: a name we do not read

float ts_f16_to_f32(uint16_t bits);
float ts_bf16_to_f32(uint16_t bits);
uint16_t ts_f32_to_f16(float value);  // to nearest, ties to even
uint16_t ts_f32_to_bf16(float value); // to nearest, ties to even

// How many of `count` elements are NaN or infinite, and the index of the first; 0 for whole numbers.
uint64_t ts_dtype_count_not_finite(ts_dtype dtype, const void *array, uint64_t count,
                                   uint64_t *first);

// Element `index` of an array of F32, F16, BF16 or F64.
double ts_dtype_load(ts_dtype dtype, const void *array, size_t index);

#endif
