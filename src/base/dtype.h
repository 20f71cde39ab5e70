// The number formats of stored tensors, and their exact conversion to and from float.
#ifndef TS_BASE_DTYPE_H
#define TS_BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ts_dtype {
#define WEIGHT(number, name, elements, data, header, gguf) TS_##name = number,
#include "base/weights.def" // what weights may be stored as on the device
#undef WEIGHT
    TS_WEIGHT_TYPES, // how many of these there are
    TS_F64 = TS_WEIGHT_TYPES,
    TS_U32,
    TS_I32,
    TS_I64,
    TS_U8,
} ts_dtype;

size_t ts_dtype_bytes(ts_dtype dtype);     // of one element; not for types with blocks
uint32_t ts_dtype_block(ts_dtype dtype);   // elements of a block; 1 for types without blocks
const char *ts_dtype_name(ts_dtype dtype); // as safetensors and GGUF spell it: "BF16", "Q8_0"

// Bytes of `count` elements (a multiple of the block's), and how many elements `bytes` bytes hold.
uint64_t ts_dtype_size(ts_dtype dtype, uint64_t count);
uint64_t ts_dtype_count(ts_dtype dtype, uint64_t bytes);

// Finds the type that safetensors calls `name`; false where this program does not read that type.
bool ts_dtype_parse(const char *name, ts_dtype *out);

float ts_f16_to_f32(uint16_t bits);
float ts_bf16_to_f32(uint16_t bits);
uint16_t ts_f32_to_f16(float value);  // to nearest, ties to even
uint16_t ts_f32_to_bf16(float value); // to nearest, ties to even

// Rounds `count` finite BF16 numbers to F16, to nearest, ties to even. Returns the largest
// magnitude of them: above TS_F16_LARGEST the result is wrong, since F16 cannot hold it.
float ts_bf16_to_f16(const uint16_t *from, uint64_t count, uint16_t *to);
#define TS_F16_LARGEST 65504.0f

// How many of `count` elements are NaN or infinite; integer types hold none. *first receives the
// index of the first one, or 0 where there is none.
uint64_t ts_dtype_count_not_finite(ts_dtype dtype, const void *array, uint64_t count,
                                   uint64_t *first);

// Element `index` of an array of F32, F16, BF16 or F64. _store rounds to the type, to nearest.
double ts_dtype_load(ts_dtype dtype, const void *array, size_t index);
void ts_dtype_store(ts_dtype dtype, void *array, size_t index, double value);

#endif
