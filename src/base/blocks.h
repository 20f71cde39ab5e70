// Tensors as the device stores them, in any type of weights.def: decoding, and quantising into the
// types that --quantize offers.
//
// A tensor is the data of all of its blocks, then all of their headers.
#ifndef TS_BASE_BLOCKS_H
#define TS_BASE_BLOCKS_H

#include "base/dtype.h"

// The `count` elements of a whole tensor, one of weights.def's types.
void ts_blocks_decode(ts_dtype dtype, const void *tensor, uint64_t count, double *out);

// The type that --quantize calls `name` ("q8_0"); false: there is none.
bool ts_blocks_parse(const char *name, ts_dtype *out);
// Those names, by index; NULL behind the last.
const char *ts_blocks_name(size_t index);

// Quantises `count` elements, whole blocks, of `from` (F32, F16 or BF16), all of them finite, to
// `dtype`, the bits that gguf-py makes. Their data and their headers go to different places. The
// largest magnitude that came is returned: if it is above ts_blocks_limit, what came out is wrong.
float ts_blocks_quantise(ts_dtype dtype, ts_dtype from, const void *elements, uint64_t count,
                         uint8_t *data, uint8_t *headers);
float ts_blocks_limit(ts_dtype dtype);

// Bytes of the data, and of the headers, of `count` elements.
uint64_t ts_blocks_data_bytes(ts_dtype dtype, uint64_t count);
uint64_t ts_blocks_header_bytes(ts_dtype dtype, uint64_t count);

#endif
