// Writes weights to a file, a few MiB at a time, in the type and order that its format wants.
#ifndef TS_EXPORT_WRITE_H
#define TS_EXPORT_WRITE_H

#include "base/file.h"
#include "export/export.h"

// Where weights are written to. The caller sets progress, user and total; the rest starts zeroed.
typedef struct ts_export_writer {
    ts_export_progress progress;
    void *user;
    uint64_t total, done; // bytes of all weights, and of those that are written
    ts_file_out file;     // that is being written
} ts_export_writer;

// How a weight is written.
typedef struct ts_export_form {
    ts_dtype dtype;    // F32, F16, BF16, or Q8_0 in GGUF's blocks
    uint32_t head_dim; // rows go in llama.cpp's order, in heads of so many (ts_gguf_row);
                       // 0: in Hugging Face's order
    bool plus_one;     // 1 + w instead of w
} ts_export_form;

// The bytes that a weight takes in this type.
uint64_t ts_export_bytes(const ts_weight *weight, ts_dtype dtype);

// Writes one weight, merged. TS_ERR_UNSUPPORTED where the type cannot hold a value. TS_ERR_STOPPED:
// the caller asked to stop (base/log.h).
ts_status ts_export_write(ts_export_writer *writer, const ts_export_source *source,
                          const ts_weight *weight, const ts_export_form *form, ts_error *err);

// Converts values to F32, F16 or BF16, to nearest. False where a finite value became infinite.
bool ts_export_round(ts_dtype dtype, const float *values, uint64_t count, void *out);

// Adds bytes to the file and reports the progress. TS_ERR_STOPPED: the caller asked to stop.
ts_status ts_export_add(ts_export_writer *writer, const void *bytes, uint64_t len, ts_error *err);

// Says in *found whether something is at `path`. TS_ERR_ARGUMENT where it is and `params` do not
// let it be replaced. `option` comes before the path in the message: "--output " or "".
ts_status ts_export_check_replaced(const ts_export_params *params, const char *option,
                                   const char *path, bool *found, ts_error *err);
// TS_ERR_IO where the disk that `path` is on has less than `bytes` left.
ts_status ts_export_check_space(const char *path, uint64_t bytes, ts_error *err);

#endif
