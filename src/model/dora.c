#include "model/dora.h"

#include "base/memory.h"
#include "ops/kernels.h"

#include <math.h>
#include <stdlib.h>

// Pair i of all layers' modules, with its weight and its shape. NULL where the module has none.
static ts_lora_pair *pair_at(const ts_model *model, size_t i, ts_view *weight, uint32_t *out,
                             uint32_t *in)
{
    const ts_module module = (ts_module)(i % TS_MODULE_COUNT);
    ts_lora_pair *pair = &model->lora.pairs[i];
    *weight = model->layers[i / TS_MODULE_COUNT].linear[module];
    ts_module_shape(&model->config, module, out, in);
    return pair->r > 0 ? pair : NULL;
}

static size_t pair_count(const ts_model *model)
{
    return (size_t)model->config.layers * TS_MODULE_COUNT;
}

ts_status ts_dora_place(ts_model *model, ts_error *err)
{
    ts_status status = TS_OK;
    ts_lora *lora = &model->lora;
    uint64_t most_out = 0, most_r = 0;
    for (size_t i = 0; i < pair_count(model); i++) {
        ts_view weight;
        uint32_t out, in;
        ts_lora_pair *pair = pair_at(model, i, &weight, &out, &in);
        if (pair != NULL) {
            TS_TRY(ts_gpu_alloc(&model->adapter, TS_F32, out, &pair->squares, err));
            TS_TRY(ts_gpu_alloc(&model->adapter, TS_F32, 2 * (uint64_t)out, &pair->factor, err));
            most_out = ts_max_u64(most_out, out);
            most_r = ts_max_u64(most_r, pair->r);
        }
    }
    TS_TRY(ts_gpu_alloc(&model->adapter, TS_F32, most_r * most_out, &lora->across, err));
    TS_TRY(ts_gpu_alloc(&model->adapter, TS_F32, most_r * most_r, &lora->gram, err));
out:
    return status;
}

ts_status ts_dora_measure(ts_model *model, ts_error *err)
{
    ts_status status = TS_OK;
    ts_recorder *recorder = NULL;
    TS_TRY(ts_recorder_open(model->gpu, &recorder, err));
    for (size_t i = 0; i < pair_count(model); i++) {
        ts_view weight;
        uint32_t out, in;
        const ts_lora_pair *pair = pair_at(model, i, &weight, &out, &in);
        if (pair != NULL) {
            ts_row_squares(recorder,
                           &(struct ts_row_squares_args){
                               .w = weight, .sums = pair->squares, .rows = out, .cols = in});
        }
    }
    TS_TRY(ts_recorder_run(recorder, err));
out:
    ts_recorder_close(recorder);
    return status;
}

ts_status ts_dora_start(ts_model *model, ts_error *err)
{
    ts_status status = TS_OK;
    float *lengths = NULL;
    for (size_t i = 0; i < pair_count(model); i++) {
        ts_view weight;
        uint32_t out, in;
        const ts_lora_pair *pair = pair_at(model, i, &weight, &out, &in);
        if (pair == NULL) {
            continue;
        }
        free(lengths);
        lengths = NULL; // which a failed allocation leaves as it is
        TS_TRY(ts_alloc(out, sizeof *lengths, &lengths, err));
        TS_TRY(ts_gpu_download(model->gpu, pair->squares, lengths, out * sizeof *lengths, err));
        for (uint32_t row = 0; row < out; row++) {
            lengths[row] = sqrtf(lengths[row]);
        }
        TS_TRY(ts_gpu_upload(model->gpu, pair->magnitude, lengths, out * sizeof *lengths, err));
    }
out:
    free(lengths);
    return status;
}

// across[r, out] = A W^T + scale / 2 (A A^T) B^T, then the factors from it.
static void refresh_pair(const ts_lora *lora, const ts_lora_pair *pair, ts_view weight,
                         uint32_t out, uint32_t in, ts_recorder *recorder)
{
    ts_matmul(recorder, &(ts_product){.layout = TS_NT,
                                      .m = pair->r,
                                      .n = pair->r,
                                      .k = in,
                                      .a = pair->a,
                                      .b = pair->a,
                                      .c = lora->gram,
                                      .alpha = 1});
    ts_matmul(recorder, &(ts_product){.layout = TS_NT,
                                      .m = pair->r,
                                      .n = out,
                                      .k = in,
                                      .a = pair->a,
                                      .b = weight,
                                      .c = lora->across,
                                      .alpha = 1,
                                      .extra = {lora->gram, pair->b, pair->r, pair->scale / 2}});
    ts_dora_factor(recorder, &(struct ts_dora_factor_args){.across = lora->across,
                                                           .b = pair->b,
                                                           .squares = pair->squares,
                                                           .magnitude = pair->magnitude,
                                                           .factor = pair->factor,
                                                           .cols = out,
                                                           .rank = pair->r,
                                                           .scale = pair->scale});
}

void ts_dora_refresh(ts_model *model, ts_recorder *recorder)
{
    ts_lora *lora = &model->lora;
    if (!lora->config.use_dora || !lora->changed) {
        return;
    }
    for (size_t i = 0; i < pair_count(model); i++) {
        ts_view weight;
        uint32_t out, in;
        const ts_lora_pair *pair = pair_at(model, i, &weight, &out, &in);
        if (pair != NULL) {
            refresh_pair(lora, pair, weight, out, in, recorder);
        }
    }
    lora->changed = false;
}
