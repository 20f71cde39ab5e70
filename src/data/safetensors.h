// Safetensors (https://github.com/huggingface/safetensors): 8 bytes of header length, a JSON
// header, then the tensors' bytes. Files are mapped, never read whole, and nothing a header says
// is believed before it is checked.
#ifndef TS_DATA_SAFETENSORS_H
#define TS_DATA_SAFETENSORS_H

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

typedef struct ts_safetensors ts_safetensors;

// One file.
ts_status ts_safetensors_open(const char *path, ts_safetensors **out, ts_error *err);
// A Hugging Face model folder: model.safetensors, or the shards that
// model.safetensors.index.json names (base names only).
ts_status ts_safetensors_open_model(const char *folder, ts_safetensors **out, ts_error *err);
void ts_safetensors_close(ts_safetensors *file); // NULL is fine

size_t ts_safetensors_count(const ts_safetensors *file);
const ts_tensor *ts_safetensors_at(const ts_safetensors *file, size_t index); // sorted by name
const ts_tensor *ts_safetensors_find(const ts_safetensors *file, const char *name); // or NULL

// How many tensors the index names that the shards do not hold, and the first of them. Nobody may
// need them; ts_safetensors_expect says so where somebody does.
size_t ts_safetensors_absent(const ts_safetensors *file, const char **first);

// Finds a tensor and checks its shape; errors name the file, the tensor, what was found and what
// was expected.
ts_status ts_safetensors_expect(const ts_safetensors *file, const char *name, uint32_t rank,
                                const uint64_t *shape, const ts_tensor **out, ts_error *err);

// Refuses a tensor that holds NaN or infinity, with its name, how many and where the first stands.
// Reads all of its bytes.
ts_status ts_safetensors_check_finite(const ts_safetensors *file, const ts_tensor *tensor,
                                      ts_error *err);

// TS_ERR_IO, by its name, where a file was written to or cut short since it was opened: the one
// that holds `tensor`, or, with NULL, any of them.
ts_status ts_safetensors_check_unchanged(const ts_safetensors *file, const ts_tensor *tensor,
                                         ts_error *err);

// SHA-256, as hex, of every tensor's name, type and shape and of its bytes: all of a small tensor,
// a sample spread over a large one. The same for the same weights however they are cut into shards.
void ts_safetensors_fingerprint(const ts_safetensors *file, char out[65]);

// The tensor's bytes have been used: their pages may leave memory until they are read again.
void ts_safetensors_release(const ts_safetensors *file, const ts_tensor *tensor);

// Appends a whole safetensors file (metadata {"format": "pt"}) to *out: tensors with wider elements
// first, so that all of them are aligned, and in the given order among those of one width.
ts_status ts_safetensors_serialise(const ts_tensor *tensors, size_t count, ts_text *out,
                                   ts_error *err);

#endif
