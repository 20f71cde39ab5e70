// A linear layer with its LoRA pair, forward and backward. The base weight is frozen, so its own
// gradient is never computed. Products with it have the model's precision; those of the pair, about
// a hundredth of the work, are in f32. Where both products add up to one output (y, dx), they are
// one dispatch, so that the output is written once.
#include "model/internal.h"

#include "base/memory.h"
#include "ops/gemm.h"

// What both directions need to know about a layer.
struct layer {
    uint32_t out, in;
    ts_view weight;           // [out, in]
    ts_view largest;          // of weight, where a product in 16 bits needs it
    ts_view bias;             // [out]; frozen, so that the backward pass has no use for it
    const ts_lora_pair *pair; // NULL: not adapted, or the adapter is switched off
    uint32_t r;
    ts_view t;     // [rows, R]
    float dropout; // 0 outside of training
};

static struct layer look_up(const ts_linear *linear)
{
    const ts_pass *pass = linear->pass;
    const ts_model *model = pass->model;
    struct layer layer = {.weight = model->layers[linear->layer].linear[linear->module],
                          .largest = model->layers[linear->layer].largest[linear->module],
                          .bias = model->layers[linear->layer].biases[linear->module]};
    ts_module_shape(&model->config, linear->module, &layer.out, &layer.in);
    if (model->lora_enabled) {
        layer.pair = ts_lora_pair_of(model, linear->layer, linear->module);
    }
    if (layer.pair != NULL) {
        layer.r = model->lora.config.r;
        layer.t = pass->layers[linear->layer].t[linear->module];
        layer.dropout = linear->training ? (float)model->lora.config.dropout : 0;
    }
    return layer;
}

// y = (accumulate ? y : 0) + mask(x) / (1 - rate), the mask a function of seed, layer and module
// and the rate a multiple of 2^-16.
static void drop(const ts_linear *linear, float dropout, ts_view x, ts_view y, uint32_t cols,
                 bool accumulate)
{
    uint32_t rate = (uint32_t)ts_min_u64((uint64_t)(dropout * 0x1p16f + 0.5f), 0xFFFF);
    uint64_t seed = linear->pass->dropout_seed;
    ts_dropout(linear->pass->recorder,
               &(struct ts_dropout_args){
                   .x = x,
                   .y = y,
                   .count = linear->rows * cols,
                   .seed_low = (uint32_t)seed,
                   .seed_high = (uint32_t)(seed >> 32),
                   .stream = linear->layer * TS_MODULE_COUNT + linear->module,
                   .drop = rate,
                   .scale = 0x1p16f / (float)(0x10000 - rate),
                   .accumulate = accumulate,
               });
}

void ts_linear_forward(const ts_linear *linear, ts_view x, ts_view y)
{
    ts_pass *pass = linear->pass;
    const struct layer layer = look_up(linear);
    ts_product whole = {.layout = TS_NT,
                        .m = linear->rows,
                        .n = layer.out,
                        .k = layer.in,
                        .a = x,
                        .b = layer.weight,
                        .largest_b = layer.largest,
                        .c = y,
                        .alpha = 1};
    if (layer.pair != NULL) {
        if (layer.dropout > 0) {
            drop(linear, layer.dropout, x, pass->dropped, layer.in, false);
            x = pass->dropped;
        }
        ts_matmul(pass->recorder, &(ts_product){.layout = TS_NT,
                                                .m = linear->rows,
                                                .n = layer.r,
                                                .k = layer.in,
                                                .a = x,
                                                .b = layer.pair->a,
                                                .c = layer.t,
                                                .alpha = 1});
        whole.extra = (ts_product_extra){layer.t, layer.pair->b, layer.r, pass->model->lora.scale};
    }
    ts_matmul_rounded(pass->recorder, &pass->rounding, &whole);
    if (layer.bias.bytes > 0) {
        ts_add_bias(pass->recorder,
                    &(struct ts_add_bias_args){
                        .y = y, .bias = layer.bias, .rows = linear->rows, .cols = layer.out});
    }
}

// Adds to the pair's gradients from dropout(x), t and dy, and leaves dt[rows, R] = scale dy B.
static void pair_backward(const ts_linear *linear, const struct layer *layer, ts_view x, ts_view dy)
{
    const ts_pass *pass = linear->pass;
    const ts_lora *lora = &pass->model->lora;
    ts_product product = {.layout = TS_NN,
                          .m = linear->rows,
                          .n = layer->r,
                          .k = layer->out,
                          .a = dy,
                          .b = layer->pair->b,
                          .c = pass->dt,
                          .alpha = lora->scale};
    ts_matmul(pass->recorder, &product);
    product = (ts_product){.layout = TS_TN,
                           .m = layer->out,
                           .n = layer->r,
                           .k = linear->rows,
                           .a = dy,
                           .b = layer->t,
                           .c = ts_lora_part(lora, pass->gradients, layer->pair->b),
                           .alpha = lora->scale,
                           .accumulate = true};
    ts_matmul(pass->recorder, &product);
    product = (ts_product){.layout = TS_TN,
                           .m = layer->r,
                           .n = layer->in,
                           .k = linear->rows,
                           .a = pass->dt,
                           .b = x,
                           .c = ts_lora_part(lora, pass->gradients, layer->pair->a),
                           .alpha = 1,
                           .accumulate = true};
    ts_matmul(pass->recorder, &product);
}

void ts_linear_backward(const ts_linear *linear, ts_view x, ts_view dy, ts_view dx, bool accumulate)
{
    ts_pass *pass = linear->pass;
    const struct layer layer = look_up(linear);
    bool onward = dx.buffer != NULL, masked = layer.dropout > 0;
    ts_product whole = {.layout = TS_NN,
                        .m = linear->rows,
                        .n = layer.in,
                        .k = layer.out,
                        .a = dy,
                        .b = layer.weight,
                        .largest_b = layer.largest,
                        .c = dx,
                        .alpha = 1,
                        .accumulate = accumulate};
    if (layer.pair != NULL) {
        if (masked) {
            drop(linear, layer.dropout, x, pass->dropped, layer.in, false);
            x = pass->dropped;
        }
        pair_backward(linear, &layer, x, dy);
        if (!masked) {
            whole.extra = (ts_product_extra){pass->dt, layer.pair->a, layer.r, 1};
        }
    }
    if (onward) {
        ts_matmul_rounded(pass->recorder, &pass->rounding, &whole);
    }
    if (onward && layer.pair != NULL && masked) { // dx += the mask applied to dt A
        ts_matmul(pass->recorder, &(ts_product){.layout = TS_NN,
                                                .m = linear->rows,
                                                .n = layer.in,
                                                .k = layer.r,
                                                .a = pass->dt,
                                                .b = layer.pair->a,
                                                .c = pass->dropped,
                                                .alpha = 1});
        drop(linear, layer.dropout, pass->dropped, dx, layer.in, true);
    }
}
