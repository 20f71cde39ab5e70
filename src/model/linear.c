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
    ts_view t;                // [rows, R]
    float dropout;            // 0 outside of training
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
        layer.t = pass->layers[linear->layer].t[linear->module];
        layer.dropout = linear->training ? (float)model->lora.config.dropout : 0;
    }
    return layer;
}

static bool is_dora(const struct layer *layer)
{
    return layer->pair != NULL && layer->pair->magnitude.bytes > 0;
}

// y = (accumulate ? y : 0) + factor mask(x) / (1 - rate), the mask a function of seed, layer and
// module and the rate a multiple of 2^-16. A rate of 0 masks nothing.
static void drop_times(const ts_linear *linear, float dropout, float factor, ts_view x, ts_view y,
                       uint32_t cols, bool accumulate)
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
                   .scale = factor * 0x1p16f / (float)(0x10000 - rate),
                   .accumulate = accumulate,
               });
}

static void drop(const ts_linear *linear, float dropout, ts_view x, ts_view y, uint32_t cols,
                 bool accumulate)
{
    drop_times(linear, dropout, 1, x, y, cols, accumulate);
}

// y = x W^T
static ts_product forward_product(const ts_linear *linear, const struct layer *layer, ts_view x,
                                  ts_view y)
{
    return (ts_product){.layout = TS_NT,
                        .m = linear->rows,
                        .n = layer->out,
                        .k = layer->in,
                        .a = x,
                        .b = layer->weight,
                        .largest_b = layer->largest,
                        .c = y,
                        .alpha = 1};
}

// What the pair adds to it: scale t B^T.
static ts_product_extra pair_extra(const struct layer *layer)
{
    const ts_lora_pair *pair = layer->pair;
    return (ts_product_extra){layer->t, pair->b, pair->r, pair->scale};
}

// y = factor (x' W^T + scale t B^T), with x' what the pair took. Where that is x after dropout, the
// base's part of y is still that of x, so (x - x') W^T is added.
static void dora_forward(const ts_linear *linear, const struct layer *layer, ts_view x, ts_view y)
{
    ts_pass *pass = linear->pass;
    const bool masked = layer->dropout > 0;
    ts_product product = forward_product(linear, layer, masked ? pass->dropped : x, y);
    product.extra = pair_extra(layer);
    ts_matmul_rounded(pass->recorder, &pass->rounding, &product);
    ts_scale_columns(pass->recorder, &(struct ts_scale_columns_args){.y = y,
                                                                     .factor = layer->pair->factor,
                                                                     .rows = linear->rows,
                                                                     .cols = layer->out});
    if (masked) {
        drop(linear, 0, x, pass->dropped, layer->in, false);
        drop_times(linear, layer->dropout, -1, x, pass->dropped, layer->in, true);
        product = forward_product(linear, layer, pass->dropped, y);
        product.accumulate = true;
        ts_matmul_rounded(pass->recorder, &pass->rounding, &product);
    }
}

// t = dropout(x) A^T. Leaves dropout(x) in pass->dropped.
static void pair_forward(const ts_linear *linear, const struct layer *layer, ts_view x)
{
    ts_pass *pass = linear->pass;
    const bool masked = layer->dropout > 0;
    if (masked) {
        drop(linear, layer->dropout, x, pass->dropped, layer->in, false);
    }
    ts_matmul(pass->recorder, &(ts_product){.layout = TS_NT,
                                            .m = linear->rows,
                                            .n = layer->pair->r,
                                            .k = layer->in,
                                            .a = masked ? pass->dropped : x,
                                            .b = layer->pair->a,
                                            .c = layer->t,
                                            .alpha = 1});
}

// Whether dora_forward reads the pass->dropped that pair_forward has left.
static bool reads_dropped(const struct layer *layer)
{
    return is_dora(layer) && layer->dropout > 0;
}

// What ts_linear_forward does, but for the pair's first product.
static void forward(const ts_linear *linear, ts_view x, ts_view y)
{
    ts_pass *pass = linear->pass;
    const struct layer layer = look_up(linear);
    ts_product whole = forward_product(linear, &layer, x, y);
    if (layer.pair != NULL) {
        whole.extra = pair_extra(&layer);
    }
    const bool is_all = !is_dora(&layer) && layer.bias.bytes == 0; // the product is y
    if (is_dora(&layer)) {
        dora_forward(linear, &layer, x, y);
    } else {
        whole.swiglu = is_all ? linear->swiglu : NULL;
        ts_matmul_rounded(pass->recorder, &pass->rounding, &whole);
    }
    if (layer.bias.bytes > 0) {
        ts_add_bias(pass->recorder,
                    &(struct ts_add_bias_args){
                        .y = y, .bias = layer.bias, .rows = linear->rows, .cols = layer.out});
    }
    if (linear->swiglu != NULL && !is_all) {
        ts_swiglu(pass->recorder, linear->swiglu);
    }
}

void ts_linear_forward(const ts_linear *linears, uint32_t count, ts_view x, const ts_view *y)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct layer layer = look_up(&linears[i]);
        if (layer.pair != NULL && !reads_dropped(&layer)) {
            pair_forward(&linears[i], &layer, x);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct layer layer = look_up(&linears[i]);
        if (reads_dropped(&layer)) {
            pair_forward(&linears[i], &layer, x);
        }
        forward(&linears[i], x, y[i]);
    }
}

// Adds to the pair's gradients from dropout(x), t and dy, and leaves dt[rows, R] = scale dy B.
static void pair_backward(const ts_linear *linear, const struct layer *layer, ts_view x, ts_view dy)
{
    const ts_pass *pass = linear->pass;
    const ts_lora *lora = &pass->model->lora;
    const ts_lora_pair *pair = layer->pair;
    const ts_view da = ts_lora_part(lora, pass->gradients, pair->a);
    const ts_view db = ts_lora_part(lora, pass->gradients, pair->b);
    ts_product product = {.layout = TS_NN,
                          .m = linear->rows,
                          .n = pair->r,
                          .k = layer->out,
                          .a = dy,
                          .b = pair->b,
                          .c = pass->dt,
                          .alpha = pair->scale};
    ts_matmul(pass->recorder, &product);
    const ts_gpu_caps *caps = ts_gpu_capabilities(ts_recorder_gpu(pass->recorder));
    if (ts_gemm_is_thin(caps, pair->r)) {
        ts_lora_gradients(pass->recorder, &(struct ts_lora_gradients_args){.dy = dy,
                                                                           .t = layer->t,
                                                                           .db = db,
                                                                           .x = x,
                                                                           .dt = pass->dt,
                                                                           .da = da,
                                                                           .rows = linear->rows,
                                                                           .out_size = layer->out,
                                                                           .in_size = layer->in,
                                                                           .rank = pair->r,
                                                                           .scale = pair->scale});
        return;
    }
    product = (ts_product){.layout = TS_TN,
                           .m = layer->out,
                           .n = pair->r,
                           .k = linear->rows,
                           .a = dy,
                           .b = layer->t,
                           .c = db,
                           .alpha = pair->scale,
                           .accumulate = true};
    ts_matmul(pass->recorder, &product);
    product = (ts_product){.layout = TS_TN,
                           .m = pair->r,
                           .n = layer->in,
                           .k = linear->rows,
                           .a = pass->dt,
                           .b = x,
                           .c = da,
                           .alpha = 1,
                           .accumulate = true};
    ts_matmul(pass->recorder, &product);
}

// Adds to the gradient of the magnitudes, from x' (dora_forward) and dy. Returns the gradient of
// what they are multiplied with, pass->unscaled, which is computed again for it.
static ts_view dora_backward(const ts_linear *linear, const struct layer *layer, ts_view x,
                             ts_view dy)
{
    ts_pass *pass = linear->pass;
    const ts_lora_pair *pair = layer->pair;
    ts_product product = forward_product(linear, layer, x, pass->unscaled);
    product.extra = pair_extra(layer);
    ts_matmul_rounded(pass->recorder, &pass->rounding, &product);
    ts_dora_backward(pass->recorder, &(struct ts_dora_backward_args){
                                         .dy = dy,
                                         .factor = pair->factor,
                                         .u = pass->unscaled,
                                         .dmagnitude = ts_lora_part(
                                             &pass->model->lora, pass->gradients, pair->magnitude),
                                         .rows = linear->rows,
                                         .cols = layer->out});
    return pass->unscaled;
}

// dx += the mask applied to du W + dt A; or, without a weight, to dt A alone. pass->dropped is
// used.
static void masked_backward(const ts_linear *linear, const struct layer *layer, ts_view du,
                            ts_view dx)
{
    ts_pass *pass = linear->pass;
    ts_product product = {.layout = TS_NN,
                          .m = linear->rows,
                          .n = layer->in,
                          .k = layer->pair->r,
                          .a = pass->dt,
                          .b = layer->pair->a,
                          .c = pass->dropped,
                          .alpha = 1};
    ts_matmul(pass->recorder, &product);
    if (du.buffer != NULL) {
        product.k = layer->out;
        product.a = du;
        product.b = layer->weight;
        product.largest_b = layer->largest;
        product.accumulate = true;
        ts_matmul_rounded(pass->recorder, &pass->rounding, &product);
    }
    drop(linear, layer->dropout, pass->dropped, dx, layer->in, true);
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
        ts_view du = dy;
        if (is_dora(&layer)) {
            du = dora_backward(linear, &layer, x, dy);
        }
        pair_backward(linear, &layer, x, du);
        if (!masked) {
            whole.a = du;
            whole.extra = (ts_product_extra){pass->dt, layer.pair->a, layer.pair->r, 1};
        }
    }
    const bool is_all = layer.pair == NULL || !masked; // the product is dx
    if (onward) {
        whole.swiglu_backward = is_all ? linear->swiglu_backward : NULL;
        ts_matmul_rounded(pass->recorder, &pass->rounding, &whole);
    }
    if (onward && !is_all) {
        ts_view du = {0};
        if (is_dora(&layer)) { // the base's part of y is that of x, whose gradient dx has
            du = pass->unscaled;
            drop_times(linear, 0, -1, dy, du, layer.out, true);
        }
        masked_backward(linear, &layer, du, dx);
        if (linear->swiglu_backward != NULL) {
            ts_swiglu_backward(pass->recorder, linear->swiglu_backward);
        }
    }
}
