// A table of named tensors whose bytes are in mapped files, independent of the file format.
// safetensors.h and weights_gguf.c fill it.
#ifndef TS_DATA_TENSORS_H
#define TS_DATA_TENSORS_H

#include "base/dtype.h"
#include "base/text.h"

enum { TS_TENSOR_MAX_RANK = 8 };
enum { TS_NF4_GROUP = 256 }; // scales that double quantisation puts in a group

// The scales of a matrix in bitsandbytes' NF4, which lie apart from its elements. Block b has the
// scale absmax[b] or, with double quantisation, levels[codes[b]] * groups[b / TS_NF4_GROUP] +
// offset.
typedef struct ts_nf4_scales {
    uint64_t blocks;
    const float *absmax;  // [blocks]; NULL: double quantisation
    const uint8_t *codes; // [blocks]
    const float *levels;  // [256]
    const float *groups;  // [ceil(blocks / TS_NF4_GROUP)]
    float offset;
} ts_nf4_scales;

// One tensor. `bytes` points into the mapped file, or into memory of the writer's caller.
typedef struct ts_tensor {
    const char *name;
    ts_dtype dtype;
    uint32_t rank;
    uint64_t shape[TS_TENSOR_MAX_RANK]; // row-major, the slowest dimension first
    const void *bytes; // aligned to the element size (a copy if the file's are not); a type with
                       // blocks has them as a GGUF file has, each with its header
    uint64_t len;      // in bytes: product of shape * element size
    // Not 0: the rows (of a vector: the elements) lie in llama.cpp's order for q and k, in heads of
    // so many rows (ts_gguf_row). ts_tensor_row finds them.
    uint32_t head_rows;
    // Not NULL: the type is NF4, each of `bytes` holds two elements, and the scales are here.
    // ts_tensor_nf4_blocks makes blocks of both.
    const ts_nf4_scales *scales;
} ts_tensor;

uint64_t ts_tensor_elements(const ts_tensor *tensor); // the product of its shape

// Writes the blocks of elements first .. first + count - 1 of a tensor with `scales` to `out`, in
// the layout of files (ts_blocks_split). Both numbers are multiples of the block's elements.
void ts_tensor_nf4_blocks(const ts_tensor *tensor, uint64_t first, uint64_t count, uint8_t *out);

// The bytes of row `row` in Hugging Face's order (of a vector: of an element), and how many bytes a
// row has.
const void *ts_tensor_row(const ts_tensor *tensor, uint64_t row);
uint64_t ts_tensor_row_bytes(const ts_tensor *tensor);

typedef struct ts_tensors ts_tensors;

void ts_tensors_close(ts_tensors *tensors); // NULL is fine

size_t ts_tensors_count(const ts_tensors *tensors);
const ts_tensor *ts_tensors_at(const ts_tensors *tensors, size_t index);       // sorted by name
const ts_tensor *ts_tensors_find(const ts_tensors *tensors, const char *name); // or NULL

// How many tensors the index of a model names that its files do not have, and the name of the
// first. They may not be needed; ts_tensors_expect reports one that is.
size_t ts_tensors_absent(const ts_tensors *tensors, const char **first);

// Finds a tensor and checks its shape. Errors name the file, the tensor, the shape found and the
// shape expected.
ts_status ts_tensors_expect(const ts_tensors *tensors, const char *name, uint32_t rank,
                            const uint64_t *shape, const ts_tensor **out, ts_error *err);

// Refuses a tensor that contains NaN or infinity. The error names it, the number of such values and
// the place of the first. Reads all its bytes.
ts_status ts_tensors_check_finite(const ts_tensors *tensors, const ts_tensor *tensor,
                                  ts_error *err);

// TS_ERR_IO, naming the file, if a file was written to or cut short since it was opened: the file
// that holds `tensor`, or, with NULL, any of them.
ts_status ts_tensors_check_unchanged(const ts_tensors *tensors, const ts_tensor *tensor,
                                     ts_error *err);

// SHA-256, as hex, of the name, type and shape of every tensor and of its bytes: all bytes of a
// small tensor, a sample of a large one. It does not depend on how the tensors are divided into
// files.
void ts_tensors_fingerprint(const ts_tensors *tensors, char out[65]);

// Tells the system that the tensor's bytes are no longer needed in memory. They are read again if
// used.
void ts_tensors_release(const ts_tensors *tensors, const ts_tensor *tensor);

#endif
