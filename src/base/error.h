// Filling a ts_error. A function that can fail takes a ts_error *, returns ts_status, and leaves
// through one `out:` label:
//
//     ts_status status = TS_OK;
//     TS_TRY(ts_file_read(path, limit, &text, err));
//     if (text.len == 0) {
//         TS_FAIL(TS_ERR_FORMAT, "%s: empty file, expected JSON", path);
//     }
// out:
//     ts_text_free(&text);
//     return status;
#ifndef TS_BASE_ERROR_H
#define TS_BASE_ERROR_H

#include <tinysft/status.h>

// The public names are long so that they clash with no other library's: tree-sitter's begin with
// ts_ too. Inside the program these short names stand for the same types and codes.
typedef tinysft_status ts_status;
typedef tinysft_error ts_error;
#define TS_OK TINYSFT_OK
#define TS_ERR_RUN TINYSFT_ERR_RUN
#define TS_ERR_ARGUMENT TINYSFT_ERR_ARGUMENT
#define TS_ERR_FORMAT TINYSFT_ERR_FORMAT
#define TS_ERR_IO TINYSFT_ERR_IO
#define TS_ERR_UNSUPPORTED TINYSFT_ERR_UNSUPPORTED
#define TS_ERR_MEMORY TINYSFT_ERR_MEMORY
#define TS_ERR_DEVICE TINYSFT_ERR_DEVICE
#define TS_ERR_STOPPED TINYSFT_ERR_STOPPED
#define TS_ERR_LOST TINYSFT_ERR_LOST
#define TS_ERR_SHADER TINYSFT_ERR_SHADER

// Records a failure at its origin and returns `code`. Use through TS_FAIL or ts_error_set.
ts_status ts_error_set_at(ts_error *err, const char *file, int line, ts_status code,
                          const char *format, ...) __attribute__((format(printf, 5, 6)));
#define ts_error_set(err, code, ...) ts_error_set_at((err), __FILE__, __LINE__, (code), __VA_ARGS__)

// Puts "context: " before the message on the way up; returns err->code.
ts_status ts_error_context(ts_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Both need `ts_status status`, `ts_error *err` and a label `out` in scope.
#define TS_TRY(call)                                                                               \
    do {                                                                                           \
        if ((status = (call)) != TS_OK) {                                                          \
            goto out;                                                                              \
        }                                                                                          \
    } while (0)
#define TS_FAIL(code, ...)                                                                         \
    do {                                                                                           \
        status = ts_error_set(err, (code), __VA_ARGS__);                                           \
        goto out;                                                                                  \
    } while (0)

#endif
