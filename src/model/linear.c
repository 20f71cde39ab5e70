// A linear layer with its LoRA pair, forward and backward. The base weight is frozen, so its own
// gradient is never computed. Products with it have the model's precision; those of the pair, about
// a hundredth of the work, are in f32. Where both products add up to one output (y, dx), they are
// one dispatch, so that the output is written once.
#include "model/internal.h"

#include "base/memory.h"
#include "ops/gemm.h"
#include "ops/lora.h"

#include <assert.h>

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
                        .largest_a = linear->largest_a,
                        .largest_b = layer->largest,
                        .c = y,
                        .alpha = 1,
                        .largest_result = linear->largest_result};
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

// Whether dora_forward reads the pass->dropped that pair_forward has left.
static bool reads_dropped(const struct layer *layer)
{
    return is_dora(layer) && layer->dropout > 0;
}

// Whether the pair has kernels of its own (ops/lora.h).
static bool is_thin(const ts_linear *linear, const struct layer *layer)
{
    const ts_gpu_caps *caps = ts_gpu_capabilities(ts_recorder_gpu(linear->pass->recorder));
    return ts_lora_is_thin(caps, layer->pair->r);
}

// The layer's pair as number `i` of a group. Without dy, for the forward pass.
static ts_lora_group_pair group_pair(const ts_linear *linear, const struct layer *layer, ts_view dy,
                                     uint32_t i)
{
    const ts_pass *pass = linear->pass;
    const ts_lora_pair *pair = layer->pair;
    ts_lora_group_pair one = {.a = pair->a,
                              .b = pair->b,
                              .t = ts_view_slice(layer->t, 0, (uint64_t)linear->rows * pair->r),
                              .rank = pair->r,
                              .out_size = layer->out,
                              .scale = pair->scale};
    if (dy.buffer != NULL) {
        one.dy = dy;
        one.dt = ts_view_slice(pass->dt[i], 0, (uint64_t)linear->rows * pair->r);
        one.da = ts_lora_part(&pass->model->lora, pass->gradients, pair->a);
        one.db = ts_lora_part(&pass->model->lora, pass->gradients, pair->b);
    }
    return one;
}

// t = dropout(x) A^T. Leaves dropout(x) in pass->dropped.
static void pair_forward(const ts_linear *linear, const struct layer *layer, ts_view x)
{
    ts_pass *pass = linear->pass;
    const bool masked = layer->dropout > 0;
    if (masked) {
        drop(linear, layer->dropout, x, pass->dropped, layer->in, false);
    }
    x = masked ? pass->dropped : x;
    if (is_thin(linear, layer)) {
        const ts_lora_group_pair one = group_pair(linear, layer, (ts_view){0}, 0);
        ts_lora_forward_group(pass->recorder, x, linear->rows, layer->in, &one, 1);
        return;
    }
    ts_matmul(pass->recorder, &(ts_product){.layout = TS_NT,
                                            .m = linear->rows,
                                            .n = layer->pair->r,
                                            .k = layer->in,
                                            .a = x,
                                            .b = layer->pair->a,
                                            .c = layer->t,
                                            .alpha = 1});
}

// The same of all pairs that read x, but of those for whom pass->dropped must still be there later.
static void pairs_forward(const ts_linear *linears, uint32_t count, ts_view x)
{
    ts_lora_group_pair group[TS_MOST_TOGETHER];
    uint32_t grouped = 0, in = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct layer layer = look_up(&linears[i]);
        if (layer.pair == NULL || reads_dropped(&layer)) {
            continue;
        }
        if (layer.dropout > 0 || !is_thin(&linears[i], &layer)) {
            pair_forward(&linears[i], &layer, x);
        } else {
            group[grouped++] = group_pair(&linears[i], &layer, (ts_view){0}, 0);
            in = layer.in;
        }
    }
    if (grouped > 0) {
        ts_lora_forward_group(linears->pass->recorder, x, linears->rows, in, group, grouped);
    }
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
        whole.addend = is_all ? linear->addend : (ts_view){0};
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
    if (linear->addend.buffer != NULL && !is_all) {
        const uint32_t count = linear->rows * layer.out;
        ts_add(pass->recorder, &(struct ts_add_args){.y = y, .x = linear->addend, .count = count});
    }
}

void ts_linear_forward(const ts_linear *linears, uint32_t count, ts_view x, const ts_view *y)
{
    assert(count <= TS_MOST_TOGETHER);
    pairs_forward(linears, count, x);
    for (uint32_t i = 0; i < count; i++) {
        const struct layer layer = look_up(&linears[i]);
        if (reads_dropped(&layer)) {
            pair_forward(&linears[i], &layer, x);
        }
        forward(&linears[i], x, y[i]);
    }
}

// Adds to the pair's gradients from dropout(x), t and dy, and leaves dt[rows, R] = scale dy B, of
// number `i` of a group.
static void pair_backward(const ts_linear *linear, const struct layer *layer, ts_view x, ts_view dy,
                          uint32_t i)
{
    const ts_pass *pass = linear->pass;
    const ts_lora_pair *pair = layer->pair;
    const ts_lora_group_pair one = group_pair(linear, layer, dy, i);
    if (is_thin(linear, layer)) {
        const ts_lora_input input = {.x = x};
        ts_lora_backward_group(pass->recorder, linear->rows, &one, 1);
        ts_lora_gradients_group(pass->recorder, &input, linear->rows, layer->in, &one, 1);
        return;
    }
    ts_product product = {.layout = TS_NN,
                          .m = linear->rows,
                          .n = pair->r,
                          .k = layer->out,
                          .a = dy,
                          .b = pair->b,
                          .c = one.dt,
                          .alpha = pair->scale};
    ts_matmul(pass->recorder, &product);
    product = (ts_product){.layout = TS_TN,
                           .m = layer->out,
                           .n = pair->r,
                           .k = linear->rows,
                           .a = dy,
                           .b = layer->t,
                           .c = one.db,
                           .alpha = pair->scale,
                           .accumulate = true};
    ts_matmul(pass->recorder, &product);
    product = (ts_product){.layout = TS_TN,
                           .m = pair->r,
                           .n = layer->in,
                           .k = linear->rows,
                           .a = one.dt,
                           .b = x,
                           .c = one.da,
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
                          .a = pass->dt[0],
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

// What is computed for dx at once: dy W + dt A, and what follows from it.
static ts_product backward_product(const ts_linear *linear, const struct layer *layer, ts_view dy,
                                   ts_view dx)
{
    return (ts_product){.layout = TS_NN,
                        .m = linear->rows,
                        .n = layer->in,
                        .k = layer->out,
                        .a = dy,
                        .b = layer->weight,
                        .largest_a = linear->largest_a,
                        .largest_b = layer->largest,
                        .c = dx,
                        .alpha = 1,
                        .largest_result = linear->largest_result};
}

static ts_product_extra backward_extra(const ts_linear *linear, const struct layer *layer,
                                       uint32_t i)
{
    const ts_lora_pair *pair = layer->pair;
    if (pair == NULL) {
        return (ts_product_extra){0};
    }
    const ts_view dt = ts_view_slice(linear->pass->dt[i], 0, (uint64_t)linear->rows * pair->r);
    return (ts_product_extra){dt, pair->a, pair->r, 1};
}

// A layer whose pair has dropout or magnitudes, by itself.
static void backward_alone(const ts_linear *linear, ts_view x, ts_view dy, ts_view dx,
                           bool accumulate)
{
    ts_pass *pass = linear->pass;
    const struct layer layer = look_up(linear);
    const bool onward = dx.buffer != NULL, masked = layer.dropout > 0;
    ts_product whole = backward_product(linear, &layer, dy, dx);
    ts_view du = dy;
    whole.accumulate = accumulate;
    if (masked) {
        drop(linear, layer.dropout, x, pass->dropped, layer.in, false);
        x = pass->dropped;
    }
    if (is_dora(&layer)) {
        du = dora_backward(linear, &layer, x, dy);
    }
    if (layer.pair != NULL) {
        pair_backward(linear, &layer, x, du, 0);
    }
    if (!masked) { // the product is dx
        whole.a = du;
        whole.extra = backward_extra(linear, &layer, 0);
        whole.swiglu_backward = linear->swiglu_backward;
    }
    if (onward) {
        ts_matmul_rounded(pass->recorder, &pass->rounding, &whole);
    }
    if (onward && masked) {
        du = (ts_view){0};
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

void ts_linear_compute(const ts_linear *linear, ts_linear_input *input)
{
    if (input->stream.buffer != NULL) {
        ts_rmsnorm_again(linear->pass->recorder,
                         &(struct ts_rmsnorm_again_args){.x = input->stream,
                                                         .weight = input->weight,
                                                         .rstd = input->rstd,
                                                         .y = input->x,
                                                         .rows = linear->rows,
                                                         .cols = look_up(linear).in});
        input->stream = (ts_view){0};
    }
}

// The gradients of the pairs of several layers, in as few dispatches as there can be. x is computed
// only for pairs that cannot do so on the way.
static void pairs_backward(const ts_linear *linears, uint32_t count, const ts_linear_input *input,
                           const ts_view *dy)
{
    ts_lora_group_pair group[TS_MOST_TOGETHER];
    uint32_t grouped = 0;
    ts_linear_input made = *input;
    for (uint32_t i = 0; i < count; i++) {
        const struct layer layer = look_up(&linears[i]);
        if (layer.pair == NULL) {
            continue;
        }
        if (is_thin(&linears[i], &layer)) {
            group[grouped++] = group_pair(&linears[i], &layer, dy[i], i);
            continue;
        }
        ts_linear_compute(&linears[i], &made);
        pair_backward(&linears[i], &layer, made.x, dy[i], i);
    }
    if (grouped > 0) {
        const bool there = made.stream.buffer == NULL;
        const ts_lora_input read = there ? (ts_lora_input){.x = made.x}
                                         : (ts_lora_input){made.stream, made.rstd, made.weight};
        ts_recorder *recorder = linears->pass->recorder;
        const uint32_t in = look_up(linears).in;
        ts_lora_backward_group(recorder, linears->rows, group, grouped);
        ts_lora_gradients_group(recorder, &read, linears->rows, in, group, grouped);
    }
}

void ts_linear_backward(const ts_linear *linears, uint32_t count, const ts_linear_input *input,
                        const ts_view *dy, ts_view dx, bool accumulate)
{
    ts_pass *pass = linears->pass;
    ts_product products[TS_MOST_TOGETHER];
    bool alone = false;
    assert(count <= TS_MOST_TOGETHER);
    for (uint32_t i = 0; i < count; i++) {
        const struct layer layer = look_up(&linears[i]);
        alone |= is_dora(&layer) || layer.dropout > 0;
        products[i] = backward_product(&linears[i], &layer, dy[i], dx);
        products[i].swiglu_backward = linears[i].swiglu_backward;
        products[i].extra = backward_extra(&linears[i], &layer, i);
    }
    if (alone) {
        ts_linear_input made = *input;
        ts_linear_compute(linears, &made);
        for (uint32_t i = 0; i < count; i++) {
            backward_alone(&linears[i], made.x, dy[i], dx, accumulate || i > 0);
        }
        return;
    }
    pairs_backward(linears, count, input, dy);
    products[0].accumulate = accumulate;
    if (dx.buffer != NULL) {
        ts_matmul_sum(pass->recorder, &pass->rounding, products, count);
    }
}
