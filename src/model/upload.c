#include "model/upload.h"

#include "base/memory.h"
#include "model/quantise.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE_BYTES = 1 << 20 }; // of rows that are put in order at a time

// Uploads rows that lie in order, from element `first` of the view on.
static ts_status upload_rows(ts_gpu *gpu, ts_view view, const ts_tensor *tensor, uint64_t first,
                             const void *rows, uint64_t bytes, ts_error *err)
{
    const uint64_t count = ts_dtype_count(tensor->dtype, bytes);
    if (view.dtype == tensor->dtype) {
        return ts_gpu_upload(gpu, ts_view_slice(view, first, count), rows, bytes, err);
    }
    return ts_quantise_upload(gpu, view, first, tensor->dtype, rows, count, tensor->name, err);
}

// A piece at a time, since its rows must be copied into their order.
static ts_status upload_in_order(ts_gpu *gpu, ts_view view, const ts_tensor *tensor, ts_error *err)
{
    ts_status status = TS_OK;
    const uint64_t rows = tensor->shape[0], row_bytes = ts_tensor_row_bytes(tensor);
    const uint64_t row_count = ts_dtype_count(tensor->dtype, row_bytes);
    const uint64_t at_once = ts_min_u64(rows, ts_max_u64(1, PIECE_BYTES / row_bytes));
    uint8_t *piece = NULL;
    TS_TRY(ts_alloc(at_once, row_bytes, &piece, err));
    for (uint64_t row = 0; row < rows; row += at_once) {
        const uint64_t some = ts_min_u64(at_once, rows - row);
        for (uint64_t i = 0; i < some; i++) {
            memcpy(piece + i * row_bytes, ts_tensor_row(tensor, row + i), row_bytes);
        }
        TS_TRY(upload_rows(gpu, view, tensor, row * row_count, piece, some * row_bytes, err));
    }
out:
    free(piece);
    return status;
}

ts_status ts_upload_tensor(ts_gpu *gpu, ts_view view, const ts_tensor *tensor, ts_error *err)
{
    return tensor->head_rows > 0
               ? upload_in_order(gpu, view, tensor, err)
               : upload_rows(gpu, view, tensor, 0, tensor->bytes, tensor->len, err);
}
