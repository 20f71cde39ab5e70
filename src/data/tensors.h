// A table of named tensors whose bytes lie in mapped files, whatever the files' format:
// safetensors.h fills it.
#ifndef TS_DATA_TENSORS_H
#define TS_DATA_TENSORS_H

#include "base/dtype.h"
#include "base/text.h"

enum { TS_TENSOR_MAX_RANK = 8 };

// One tensor; `bytes` point into the mapped file (or the writer's caller's memory).
typedef struct ts_tensor {
    const char *name;
    ts_dtype dtype;
    uint32_t rank;
    uint64_t shape[TS_TENSOR_MAX_RANK]; // row-major, slowest first
    const void *bytes; // aligned to the element size (a copy if the file's are not)
    uint64_t len;      // in bytes: product of shape * element size
} ts_tensor;

typedef struct ts_tensors ts_tensors;

void ts_tensors_close(ts_tensors *tensors); // NULL is fine

size_t ts_tensors_count(const ts_tensors *tensors);
const ts_tensor *ts_tensors_at(const ts_tensors *tensors, size_t index);       // sorted by name
const ts_tensor *ts_tensors_find(const ts_tensors *tensors, const char *name); // or NULL

// How many tensors an index of several files names that the files do not hold, and the first of
// them. Perhaps nobody needs them; ts_tensors_expect names the file where somebody does.
size_t ts_tensors_absent(const ts_tensors *tensors, const char **first);

// Finds a tensor and checks its shape; errors name the file, the tensor, what was found and what
// was expected.
ts_status ts_tensors_expect(const ts_tensors *tensors, const char *name, uint32_t rank,
                            const uint64_t *shape, const ts_tensor **out, ts_error *err);

// Refuses a tensor that holds NaN or infinity, with its name, how many and where the first stands.
// Reads all of its bytes.
ts_status ts_tensors_check_finite(const ts_tensors *tensors, const ts_tensor *tensor,
                                  ts_error *err);

// TS_ERR_IO, by its name, where a file was written to or cut short since it was opened: the one
// that holds `tensor`, or, with NULL, any of them.
ts_status ts_tensors_check_unchanged(const ts_tensors *tensors, const ts_tensor *tensor,
                                     ts_error *err);

// SHA-256, as hex, of every tensor's name, type and shape and of its bytes: all of a small tensor,
// a sample spread over a large one. The same for the same weights however they are cut into files.
void ts_tensors_fingerprint(const ts_tensors *tensors, char out[65]);

// The tensor's bytes have been used: their pages may leave memory until they are read again.
void ts_tensors_release(const ts_tensors *tensors, const ts_tensor *tensor);

#endif
