#include "export/source.h"

#include "base/blocks.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

ts_status ts_export_source_open(ts_weights *weights, const ts_model_config *config,
                                const char *adapter, ts_export_source *out, ts_error *err)
{
    ts_status status = TS_OK;
    out->weights = weights;
    out->config = config;
    TS_TRY(ts_weights_tensors(weights, &out->tensors, err));
    if (adapter != NULL) {
        TS_TRY(ts_lora_open_folder(config, adapter, &out->adapter, &out->adapter_file, err));
    }
out:
    return status;
}

void ts_export_source_close(ts_export_source *source)
{
    ts_adapter_config_free(&source->adapter);
    ts_tensors_close(source->adapter_file);
    *source = (ts_export_source){0};
}

bool ts_export_is_adapted(const ts_export_source *source, const ts_weight *weight)
{
    return source->adapter.r > 0 && weight->part == TS_WEIGHT_LINEAR &&
           (source->adapter.targets & TS_MODULE_BIT(weight->module)) != 0;
}

// One side of the weight's pair (ts_adapter_sides), without NaN or infinity.
static ts_status find_side(const ts_export_source *source, const ts_weight *weight, char side,
                           const ts_tensor **out, ts_error *err)
{
    char key[TS_ADAPTER_KEY_BYTES];
    uint64_t shape[TS_TENSOR_MAX_RANK];
    ts_status status = TS_OK;
    ts_lora_key(source->config, weight->layer, weight->module, side, key);
    const uint32_t r =
        ts_lora_rank(source->config, &source->adapter, weight->layer, weight->module);
    const uint32_t rank = ts_lora_shape(r, side, weight->rows, weight->cols, shape);
    TS_TRY(ts_tensors_expect(source->adapter_file, key, rank, shape, out, err));
    TS_TRY(ts_tensors_check_finite(source->adapter_file, *out, err));
out:
    return status;
}

ts_status ts_merged_open(const ts_export_source *source, const ts_weight *weight, ts_merged *out,
                         ts_error *err)
{
    ts_status status = TS_OK;
    const ts_tensor *a;
    *out = (ts_merged){.rows = weight->rows > 0 ? weight->rows : 1, .cols = weight->cols};
    TS_TRY(ts_weight_find(source->tensors, weight, &out->base, err));
    TS_TRY(ts_tensors_check_finite(source->tensors, out->base, err));
    if (ts_dtype_block(out->base->dtype) > 1) {
        TS_TRY(ts_alloc(2, ts_dtype_size(out->base->dtype, out->cols), &out->blocks, err));
        TS_TRY(ts_alloc(out->cols, sizeof *out->decoded, &out->decoded, err));
    }
    if (!ts_export_is_adapted(source, weight)) {
        goto out;
    }
    out->r = ts_lora_rank(source->config, &source->adapter, weight->layer, weight->module);
    out->scale =
        (float)ts_lora_scale(source->config, &source->adapter, weight->layer, weight->module);
    TS_TRY(find_side(source, weight, 'A', &a, err));
    TS_TRY(find_side(source, weight, 'B', &out->b, err));
    if (source->adapter.use_dora) {
        TS_TRY(find_side(source, weight, 'M', &out->magnitude, err));
    }
    TS_TRY(ts_alloc(out->r * out->cols, sizeof *out->a, &out->a, err));
    TS_TRY(ts_alloc(out->cols, sizeof *out->delta, &out->delta, err));
    for (uint64_t i = 0; i < out->r * out->cols; i++) {
        out->a[i] = (float)ts_dtype_load(a->dtype, a->bytes, i);
    }
out:
    return status;
}

// Loads row `row` (in Hugging Face's order) of the base, whatever its type and its order of rows.
static void load_row(ts_merged *m, uint64_t row, float *out)
{
    const ts_dtype dtype = m->base->dtype;
    if (m->base->rank < 2) { // a vector: its elements may lie in another order
        for (uint64_t i = 0; i < m->cols; i++) {
            out[i] = (float)ts_dtype_load(dtype, ts_tensor_row(m->base, row * m->cols + i), 0);
        }
        return;
    }
    const void *bytes = ts_tensor_row(m->base, row);
    if (m->blocks == NULL) {
        for (uint64_t i = 0; i < m->cols; i++) {
            out[i] = (float)ts_dtype_load(dtype, bytes, i);
        }
        return;
    }
    if (m->base->scales != NULL) {
        uint8_t *whole = m->blocks + ts_dtype_size(dtype, m->cols);
        ts_tensor_nf4_blocks(m->base, row * m->cols, m->cols, whole);
        bytes = whole;
    }
    ts_blocks_split(dtype, bytes, m->cols, m->blocks,
                    m->blocks + ts_blocks_data_bytes(dtype, m->cols));
    ts_blocks_decode(dtype, m->blocks, m->cols, m->decoded);
    for (uint64_t i = 0; i < m->cols; i++) {
        out[i] = (float)m->decoded[i];
    }
}

// Gives the row its magnitude for length. A row without length stays zero, as in training.
static void set_length(const ts_merged *m, uint64_t row, float *values)
{
    double squares = 0;
    for (uint64_t i = 0; i < m->cols; i++) {
        squares += (double)values[i] * values[i];
    }
    const double magnitude = ts_dtype_load(m->magnitude->dtype, m->magnitude->bytes, row);
    const double factor = squares > 0 ? magnitude / sqrt(squares) : 0;
    for (uint64_t i = 0; i < m->cols; i++) {
        values[i] = (float)(factor * values[i]);
    }
}

// The sum over the rank goes in order, whole rows at a time, so that compilers can vectorise it.
void ts_merged_row(ts_merged *m, uint64_t row, float *out)
{
    load_row(m, row, out);
    if (m->b == NULL) {
        return;
    }
    memset(m->delta, 0, m->cols * sizeof *m->delta);
    for (uint32_t j = 0; j < m->r; j++) {
        const float b = (float)ts_dtype_load(m->b->dtype, m->b->bytes, row * m->r + j);
        const float *a = m->a + j * m->cols;
        for (uint64_t i = 0; i < m->cols; i++) {
            m->delta[i] += b * a[i];
        }
    }
    for (uint64_t i = 0; i < m->cols; i++) {
        out[i] += m->scale * m->delta[i];
    }
    if (m->magnitude != NULL) {
        set_length(m, row, out);
    }
}

ts_status ts_merged_close(const ts_export_source *source, ts_merged *merged, ts_error *err)
{
    ts_status status = TS_OK;
    if (merged->base != NULL) {
        status = ts_tensors_check_unchanged(source->tensors, merged->base, err);
        ts_tensors_release(source->tensors, merged->base);
    }
    free(merged->a);
    free(merged->delta);
    free(merged->blocks);
    free(merged->decoded);
    *merged = (ts_merged){0};
    return status;
}
