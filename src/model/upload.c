#include "model/upload.h"

#include "base/blocks.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 20 }; // bytes or elements that are converted at a time

// Uploads blocks that were split: the data and headers of `count` elements, as those from element
// `first` of the view on. On the device all headers lie behind all data.
static ts_status upload_piece(ts_gpu *gpu, ts_view view, uint64_t first, uint64_t count,
                              const uint8_t *data, const uint8_t *headers, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_dtype dtype = view.dtype;
    const uint64_t all = ts_dtype_count(dtype, view.bytes);
    const uint64_t data_at = ts_blocks_data_bytes(dtype, first);
    const uint64_t data_bytes = ts_blocks_data_bytes(dtype, count);
    const uint64_t headers_at =
        ts_blocks_data_bytes(dtype, all) + ts_blocks_header_bytes(dtype, first);
    const uint64_t header_bytes = ts_blocks_header_bytes(dtype, count);
    TS_TRY(ts_gpu_upload(gpu, ts_view_bytes(view, data_at, data_bytes), data, data_bytes, err));
    TS_TRY(ts_gpu_upload(gpu, ts_view_bytes(view, headers_at, header_bytes), headers, header_bytes,
                         err));
out:
    return status;
}

// Splits `count` elements of blocks into data and headers and uploads them, `piece` elements at a
// time. `memory` has room for one piece.
static ts_status upload_blocks(ts_gpu *gpu, ts_view view, uint64_t first, const uint8_t *blocks,
                               uint64_t count, uint64_t piece, uint8_t *memory, ts_error *err)
{
    ts_status status = TS_OK;
    uint8_t *headers = memory + ts_blocks_data_bytes(view.dtype, piece);
    for (uint64_t done = 0; done < count; done += piece) {
        const uint64_t some = ts_min_u64(piece, count - done);
        ts_blocks_split(view.dtype, blocks + ts_dtype_size(view.dtype, done), some, memory,
                        headers);
        TS_TRY(upload_piece(gpu, view, first + done, some, memory, headers, err));
    }
out:
    return status;
}

// The same with memory of its own. Single rows, of which a batch uploads many, use the stack's.
static ts_status cut_and_upload(ts_gpu *gpu, ts_view view, uint64_t first, const void *blocks,
                                uint64_t count, ts_error *err)
{
    enum { SMALL = 1 << 14 };
    ts_status status = TS_OK;
    uint8_t small[SMALL], *large = NULL;
    const uint64_t bytes = ts_dtype_size(view.dtype, count);
    if (bytes <= SMALL) {
        return upload_blocks(gpu, view, first, blocks, count, count, small, err);
    }
    TS_TRY(ts_alloc(ts_dtype_size(view.dtype, PIECE), 1, &large, err));
    TS_TRY(upload_blocks(gpu, view, first, blocks, count, PIECE, large, err));
out:
    free(large);
    return status;
}

ts_status ts_upload_quantised(ts_gpu *gpu, ts_view view, uint64_t first, ts_dtype from,
                              const void *elements, uint64_t count, const char *name, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_dtype dtype = view.dtype;
    uint8_t *data = NULL, *headers;
    TS_TRY(ts_alloc(ts_dtype_size(dtype, PIECE), 1, &data, err));
    headers = data + ts_blocks_data_bytes(dtype, PIECE);
    for (uint64_t done = 0; done < count; done += PIECE) {
        const uint64_t some = ts_min_u64(PIECE, count - done);
        const uint8_t *piece = (const uint8_t *)elements + done * ts_dtype_bytes(from);
        float largest = ts_blocks_quantise(dtype, from, piece, some, data, headers);
        if (largest > ts_blocks_limit(dtype)) {
            TS_FAIL(TS_ERR_UNSUPPORTED, "%s holds %g, and %s nothing above %g", name,
                    (double)largest, ts_dtype_name(dtype), (double)ts_blocks_limit(dtype));
        }
        TS_TRY(upload_piece(gpu, view, first + done, some, data, headers, err));
    }
out:
    free(data);
    return status;
}

// Rounds `count` elements in BF16 to F16 and uploads them to `view`, from its element `first` on.
static ts_status upload_rounded(ts_gpu *gpu, ts_view view, uint64_t first, const void *elements,
                                uint64_t count, const char *name, ts_error *err)
{
    ts_status status = TS_OK;
    uint16_t *halves = NULL;
    TS_TRY(ts_alloc(ts_min_u64(PIECE, count), sizeof *halves, &halves, err));
    for (uint64_t done = 0; done < count; done += PIECE) {
        const uint64_t some = ts_min_u64(PIECE, count - done);
        const float largest = ts_bf16_to_f16((const uint16_t *)elements + done, some, halves);
        if (largest > TS_F16_LARGEST) {
            TS_FAIL(TS_ERR_UNSUPPORTED,
                    "%s holds %g, and products in f16 take nothing above %g: the model needs "
                    "--precision bf16 or f32",
                    name, (double)largest, (double)TS_F16_LARGEST);
        }
        TS_TRY(ts_gpu_upload(gpu, ts_view_slice(view, first + done, some), halves,
                             some * sizeof *halves, err));
    }
out:
    free(halves);
    return status;
}

ts_status ts_upload_rows(ts_gpu *gpu, ts_view view, const ts_tensor *tensor, uint64_t first,
                         const void *rows, uint64_t bytes, ts_error *err)
{
    const uint64_t count = ts_dtype_count(tensor->dtype, bytes);
    if (view.dtype == TS_F16 && tensor->dtype == TS_BF16) {
        return upload_rounded(gpu, view, first, rows, count, tensor->name, err);
    }
    if (ts_dtype_block(view.dtype) == 1) { // the mirror's views may differ in type
        return ts_gpu_upload(gpu, ts_view_slice(view, first, count), rows, bytes, err);
    }
    return view.dtype == tensor->dtype ? cut_and_upload(gpu, view, first, rows, count, err)
                                       : ts_upload_quantised(gpu, view, first, tensor->dtype, rows,
                                                             count, tensor->name, err);
}

// Uploads a tensor whose file has its rows in another order (tensor->head_rows), a piece at a time.
static ts_status upload_in_order(ts_gpu *gpu, ts_view view, const ts_tensor *tensor, ts_error *err)
{
    ts_status status = TS_OK;
    const uint64_t rows = tensor->shape[0], row_bytes = ts_tensor_row_bytes(tensor);
    const uint64_t row_count = ts_dtype_count(tensor->dtype, row_bytes);
    const uint64_t at_once = ts_min_u64(rows, ts_max_u64(1, PIECE / row_bytes));
    uint8_t *piece = NULL;
    TS_TRY(ts_alloc(at_once, row_bytes, &piece, err));
    for (uint64_t row = 0; row < rows; row += at_once) {
        const uint64_t some = ts_min_u64(at_once, rows - row);
        for (uint64_t i = 0; i < some; i++) {
            memcpy(piece + i * row_bytes, ts_tensor_row(tensor, row + i), row_bytes);
        }
        TS_TRY(ts_upload_rows(gpu, view, tensor, row * row_count, piece, some * row_bytes, err));
    }
out:
    free(piece);
    return status;
}

// Uploads a tensor of bitsandbytes' NF4, a piece at a time. Its files keep the scales apart, so
// each is put in front of its block first.
static ts_status upload_nf4(ts_gpu *gpu, ts_view view, const ts_tensor *tensor, uint64_t first,
                            ts_error *err)
{
    ts_status status = TS_OK;
    const uint64_t count = ts_dtype_count(view.dtype, view.bytes);
    uint8_t *piece = NULL;
    TS_TRY(ts_alloc(ts_dtype_size(TS_NF4, PIECE), 1, &piece, err));
    for (uint64_t done = 0; done < count; done += PIECE) {
        const uint64_t some = ts_min_u64(PIECE, count - done);
        ts_tensor_nf4_blocks(tensor, first + done, some, piece);
        TS_TRY(ts_upload_rows(gpu, view, tensor, done, piece, ts_dtype_size(TS_NF4, some), err));
    }
out:
    free(piece);
    return status;
}

ts_status ts_upload_tensor(ts_gpu *gpu, ts_view view, const ts_tensor *tensor, uint64_t first,
                           ts_error *err)
{
    const uint64_t bytes = ts_dtype_size(tensor->dtype, ts_dtype_count(view.dtype, view.bytes));
    const uint8_t *from = (const uint8_t *)tensor->bytes + ts_dtype_size(tensor->dtype, first);
    return tensor->scales != NULL  ? upload_nf4(gpu, view, tensor, first, err)
           : tensor->head_rows > 0 ? upload_in_order(gpu, view, tensor, err)
                                   : ts_upload_rows(gpu, view, tensor, 0, from, bytes, err);
}
