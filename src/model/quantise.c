#include "model/quantise.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>

// Whether --quantize applies to the weight.
static bool is_large(const ts_weight *weight)
{
    return weight->part == TS_WEIGHT_LINEAR || weight->part == TS_WEIGHT_HEAD;
}

ts_dtype ts_weight_held_as(const ts_weight *weight, ts_dtype stored, ts_dtype quantise)
{
    bool fits = weight->cols % ts_dtype_block(quantise) == 0;
    return quantise != TS_F32 && is_large(weight) && fits ? quantise : stored;
}

ts_status ts_quantise_check(const ts_model_config *config, ts_dtype quantise, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t large = 0, left = 0;
    ts_weight weight, odd = {0};
    if (quantise == TS_F32) {
        return TS_OK;
    }
    for (uint32_t i = 0; i < ts_weight_count(config); i++) {
        ts_weight_describe(config, i, &weight);
        large += is_large(&weight);
        if (is_large(&weight) && ts_weight_held_as(&weight, TS_F32, quantise) != quantise) {
            odd = weight;
            left++;
        }
    }
    if (left == large) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "nothing of this model can be quantised to %s: its blocks are %u elements of a "
                "row, and %s has rows of %u",
                ts_dtype_name(quantise), ts_dtype_block(quantise), odd.name, odd.cols);
    }
    if (left > 0) {
        ts_log_once(TS_LOG_WARN,
                    "%u of %u weights stay as they are stored, for their rows are not whole "
                    "blocks of %u as %s has them: %s (%u)%s",
                    left, large, ts_dtype_block(quantise), ts_dtype_name(quantise), odd.name,
                    odd.cols, left > 1 ? ", ..." : "");
    }
out:
    return status;
}

ts_status ts_quantise_upload(ts_gpu *gpu, ts_view view, uint64_t first, ts_dtype from,
                             const void *elements, uint64_t count, const char *name, ts_error *err)
{
    enum { PIECE = 1 << 20 };
    ts_status status = TS_OK;
    const ts_dtype dtype = view.dtype;
    const uint64_t all = ts_dtype_count(dtype, view.bytes);
    const uint64_t headers_at = ts_blocks_data_bytes(dtype, all);
    uint8_t *data = NULL, *headers;
    TS_TRY(ts_alloc(ts_dtype_size(dtype, PIECE), 1, &data, err));
    headers = data + ts_blocks_data_bytes(dtype, PIECE);
    for (uint64_t done = 0; done < count; done += PIECE) {
        const uint64_t some = ts_min_u64(PIECE, count - done), at = first + done;
        const uint64_t data_bytes = ts_blocks_data_bytes(dtype, some);
        const uint64_t header_bytes = ts_blocks_header_bytes(dtype, some);
        const uint8_t *piece = (const uint8_t *)elements + done * ts_dtype_bytes(from);
        float largest = ts_blocks_quantise(dtype, from, piece, some, data, headers);
        if (largest > ts_blocks_limit(dtype)) {
            TS_FAIL(TS_ERR_UNSUPPORTED, "%s holds %g, and %s nothing above %g", name,
                    (double)largest, ts_dtype_name(dtype), (double)ts_blocks_limit(dtype));
        }
        TS_TRY(ts_gpu_upload(gpu, ts_view_bytes(view, ts_blocks_data_bytes(dtype, at), data_bytes),
                             data, data_bytes, err));
        TS_TRY(ts_gpu_upload(
            gpu, ts_view_bytes(view, headers_at + ts_blocks_header_bytes(dtype, at), header_bytes),
            headers, header_bytes, err));
    }
out:
    free(data);
    return status;
}
