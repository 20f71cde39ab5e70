// A linear layer with its LoRA pair, forward and backward. The base weight is frozen: its own
// gradient is never formed. Products with it are rounded as the model says; the pair's own, a
// hundredth of the work, are in f32.
#include "model/internal.h"

#include "ops/gemm.h"

// y = (accumulate ? y : 0) + mask(x) / (1 - rate), the mask a function of seed, layer and module.
static void drop(const struct ts_linear *linear, ts_view x, ts_view y, uint32_t cols,
                 bool accumulate)
{
    ts_dropout(linear->model->recorder,
               &(struct ts_dropout_args){
                   .x = x,
                   .y = y,
                   .count = linear->rows * cols,
                   .seed_low = (uint32_t)linear->dropout_seed,
                   .seed_high = (uint32_t)(linear->dropout_seed >> 32),
                   .stream = linear->layer * TS_MODULE_COUNT + linear->module,
                   .drop = (uint32_t)((double)linear->dropout * 0x1p32),
                   .scale = 1 / (1 - linear->dropout),
                   .accumulate = accumulate,
               });
}

void ts_linear_forward(const struct ts_linear *linear, ts_view x, ts_view y)
{
    ts_model *model = linear->model;
    ts_recorder *recorder = model->recorder;
    const ts_lora_pair *pair = ts_lora_pair_of(model, linear->layer, linear->module);
    uint32_t rows = linear->rows, r = model->lora.config.r, out, in;
    ts_module_shape(&model->config, linear->module, &out, &in);
    ts_view weight = model->layers[linear->layer].linear[linear->module];
    ts_matmul_rounded(recorder, &model->rounding, TS_NT, rows, out, in, x, weight, y, 1, false);
    if (pair == NULL || !model->lora_enabled) {
        return;
    }
    if (linear->dropout > 0) {
        drop(linear, x, linear->dropped, in, false);
        x = linear->dropped;
    }
    ts_matmul(recorder, TS_NT, rows, r, in, x, pair->a, linear->t, 1, false);
    ts_matmul(recorder, TS_NT, rows, out, r, linear->t, pair->b, y, model->lora.scale, true);
}

void ts_linear_backward(const struct ts_linear *linear, ts_view x, ts_view dy, ts_view dx,
                        bool accumulate)
{
    ts_model *model = linear->model;
    ts_recorder *recorder = model->recorder;
    const ts_lora_pair *pair = ts_lora_pair_of(model, linear->layer, linear->module);
    uint32_t rows = linear->rows, r = model->lora.config.r, out, in;
    ts_module_shape(&model->config, linear->module, &out, &in);
    ts_view weight = model->layers[linear->layer].linear[linear->module];
    bool onward = dx.buffer != NULL;
    if (onward) {
        ts_matmul_rounded(recorder, &model->rounding, TS_NN, rows, in, out, dy, weight, dx, 1,
                          accumulate);
    }
    if (pair == NULL) {
        return;
    }
    if (linear->dropout > 0) {
        drop(linear, x, linear->dropped, in, false);
        x = linear->dropped;
    }
    float scale = model->lora.scale;
    ts_matmul(recorder, TS_NN, rows, r, out, dy, pair->b, linear->dt, scale, false);
    ts_matmul(recorder, TS_TN, out, r, rows, dy, linear->t, pair->b_grad, scale, true);
    ts_matmul(recorder, TS_TN, r, in, rows, linear->dt, x, pair->a_grad, 1, true);
    if (onward && linear->dropout > 0) {
        ts_matmul(recorder, TS_NN, rows, in, r, linear->dt, pair->a, linear->dropped, 1, false);
        drop(linear, linear->dropped, dx, in, true);
    } else if (onward) {
        ts_matmul(recorder, TS_NN, rows, in, r, linear->dt, pair->a, dx, 1, true);
    }
}
