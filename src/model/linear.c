// A linear layer with its LoRA pair, forward and backward. The base weight is frozen: its own
// gradient is never formed. Products with it are rounded as the model says; the pair's own, a
// hundredth of the work, are in f32. Where the pair's product goes into what the weight's makes
// (y, dx) both are one dispatch, so that y and dx are written once.
#include "model/internal.h"

#include "base/memory.h"
#include "ops/gemm.h"

// y = (accumulate ? y : 0) + mask(x) / (1 - rate), the mask a function of seed, layer and module
// and the rate a multiple of 2^-16.
static void drop(const struct ts_linear *linear, ts_view x, ts_view y, uint32_t cols,
                 bool accumulate)
{
    uint32_t rate = (uint32_t)ts_min_u64((uint64_t)(linear->dropout * 0x1p16f + 0.5f), 0xFFFF);
    ts_dropout(linear->model->recorder,
               &(struct ts_dropout_args){
                   .x = x,
                   .y = y,
                   .count = linear->rows * cols,
                   .seed_low = (uint32_t)linear->dropout_seed,
                   .seed_high = (uint32_t)(linear->dropout_seed >> 32),
                   .stream = linear->layer * TS_MODULE_COUNT + linear->module,
                   .drop = rate,
                   .scale = 0x1p16f / (float)(0x10000 - rate),
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
    ts_product whole = {.layout = TS_NT,
                        .m = rows,
                        .n = out,
                        .k = in,
                        .a = x,
                        .b = model->layers[linear->layer].linear[linear->module],
                        .c = y,
                        .alpha = 1};
    if (pair != NULL && model->lora_enabled) {
        if (linear->dropout > 0) {
            drop(linear, x, linear->dropped, in, false);
            x = linear->dropped;
        }
        ts_matmul(recorder, &(ts_product){.layout = TS_NT,
                                          .m = rows,
                                          .n = r,
                                          .k = in,
                                          .a = x,
                                          .b = pair->a,
                                          .c = linear->t,
                                          .alpha = 1});
        whole.extra = (ts_product_extra){linear->t, pair->b, r, model->lora.scale};
    }
    ts_matmul_rounded(recorder, &model->rounding, &whole);
}

// Adds to the pair's gradients from dropout(x), t and dy, and leaves dt[rows, R] = scale dy B.
static void pair_backward(const struct ts_linear *linear, const ts_lora_pair *pair, ts_view x,
                          ts_view dy, uint32_t out, uint32_t in)
{
    const ts_lora *lora = &linear->model->lora;
    ts_recorder *recorder = linear->model->recorder;
    ts_product product = {.layout = TS_NN,
                          .m = linear->rows,
                          .n = lora->config.r,
                          .k = out,
                          .a = dy,
                          .b = pair->b,
                          .c = linear->dt,
                          .alpha = lora->scale};
    ts_matmul(recorder, &product);
    product = (ts_product){.layout = TS_TN,
                           .m = out,
                           .n = lora->config.r,
                           .k = linear->rows,
                           .a = dy,
                           .b = linear->t,
                           .c = pair->b_grad,
                           .alpha = lora->scale,
                           .accumulate = true};
    ts_matmul(recorder, &product);
    product = (ts_product){.layout = TS_TN,
                           .m = lora->config.r,
                           .n = in,
                           .k = linear->rows,
                           .a = linear->dt,
                           .b = x,
                           .c = pair->a_grad,
                           .alpha = 1,
                           .accumulate = true};
    ts_matmul(recorder, &product);
}

void ts_linear_backward(const struct ts_linear *linear, ts_view x, ts_view dy, ts_view dx,
                        bool accumulate)
{
    ts_model *model = linear->model;
    const ts_lora_pair *pair = ts_lora_pair_of(model, linear->layer, linear->module);
    uint32_t rows = linear->rows, r = model->lora.config.r, out, in;
    ts_module_shape(&model->config, linear->module, &out, &in);
    bool onward = dx.buffer != NULL, masked = linear->dropout > 0;
    ts_product whole = {.layout = TS_NN,
                        .m = rows,
                        .n = in,
                        .k = out,
                        .a = dy,
                        .b = model->layers[linear->layer].linear[linear->module],
                        .c = dx,
                        .alpha = 1,
                        .accumulate = accumulate};
    if (!model->lora_enabled) {
        pair = NULL;
    }
    if (pair != NULL) {
        if (masked) {
            drop(linear, x, linear->dropped, in, false);
            x = linear->dropped;
        }
        pair_backward(linear, pair, x, dy, out, in);
        if (!masked) {
            whole.extra = (ts_product_extra){linear->dt, pair->a, r, 1};
        }
    }
    if (onward) {
        ts_matmul_rounded(model->recorder, &model->rounding, &whole);
    }
    if (onward && pair != NULL && masked) { // dt A on its way back through the mask
        ts_matmul(model->recorder, &(ts_product){.layout = TS_NN,
                                                 .m = rows,
                                                 .n = in,
                                                 .k = r,
                                                 .a = linear->dt,
                                                 .b = pair->a,
                                                 .c = linear->dropped,
                                                 .alpha = 1});
        drop(linear, linear->dropped, dx, in, true);
    }
}
