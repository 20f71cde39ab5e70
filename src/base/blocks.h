// Tensors as the device stores them, in any type of weights.def: decoding them, and quantising into
// the types that --quantize offers.
//
// A tensor is stored as the data of all of its blocks, followed by all of their headers.
#ifndef TS_BASE_BLOCKS_H
#define TS_BASE_BLOCKS_H

#include "base/dtype.h"
#include "base/error.h"

// Decodes a whole tensor of `count` elements, of one of weights.def's types, to out[count].
void ts_blocks_decode(ts_dtype dtype, const void *tensor, uint64_t count, double *out);

// The levels of NF4, by code.
extern const float ts_nf4_levels[16];

// Finds the type to which GGUF gives the number `type`; false where weights.def has no such type.
bool ts_blocks_of_gguf(uint32_t type, ts_dtype *out);
// Converts the blocks of `count` elements from the layout of a file, where each block's header is
// beside its data, to that of the device: all data to `data`, all headers to `headers`. Only for
// types with blocks.
void ts_blocks_split(ts_dtype dtype, const void *file, uint64_t count, uint8_t *data,
                     uint8_t *headers);
// How many blocks of `count` elements have a scale that is NaN or infinite. *first receives the
// first element of the first of them.
uint64_t ts_blocks_count_not_finite(ts_dtype dtype, const uint8_t *headers, uint64_t count,
                                    uint64_t *first);
// Fills a tensor of `count` elements with random blocks, to try shaders with. A block's first scale
// is between 2^-12 and 2^-8. *state is the state of the generator.
void ts_blocks_draw(ts_dtype dtype, uint64_t count, uint32_t *state, uint8_t *tensor);

// The types in which --quantize has linear layers held, and an lm_head that is not the embedding.
// TS_F32 (0): as they are stored.
typedef struct ts_quantise {
    ts_dtype linear, head;
} ts_quantise;

// Reads a value of --quantize: q8_0, nf4, or nf4+q8_0 (lm_head in Q8_0). TS_ERR_ARGUMENT lists
// these values.
ts_status ts_quantise_parse(const char *name, ts_quantise *out, ts_error *err);
// The values of --quantize, by index; NULL after the last.
const char *ts_quantise_choice(size_t index);
// The name in records and reports: "none", "Q8_0", "NF4", "NF4, lm_head in Q8_0".
const char *ts_quantise_name(ts_quantise quantise);

// Quantises `count` elements of type `from` (F32, F16 or BF16) to `dtype`, one that --quantize
// offers: Q8_0 to the same bits as gguf-py, NF4 as bitsandbytes does on a GPU. `count` is a
// multiple of the block's elements, and every element is finite. The blocks' data goes to `data`,
// their headers to `headers`. Returns the largest magnitude of the elements: above ts_blocks_limit
// the result is wrong, since the type cannot hold it.
float ts_blocks_quantise(ts_dtype dtype, ts_dtype from, const void *elements, uint64_t count,
                         uint8_t *data, uint8_t *headers);
// The largest magnitude that `dtype` can hold.
float ts_blocks_limit(ts_dtype dtype);

// Bytes of the data, and of the headers, of `count` elements (a multiple of the block's).
uint64_t ts_blocks_data_bytes(ts_dtype dtype, uint64_t count);
uint64_t ts_blocks_header_bytes(ts_dtype dtype, uint64_t count);

#endif
