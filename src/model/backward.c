// The backward pass through the layers, in the reverse order of forward.c. Outputs of norms and of
// swiglu are cheap to compute and were not kept. They are computed again where a LoRA pair that
// took them as input needs them for its gradient.
#include "model/internal.h"

#include "base/memory.h"
#include "ops/attention.h"

#include <math.h>

enum {
    QKV = TS_MODULE_BIT(TS_MODULE_Q) | TS_MODULE_BIT(TS_MODULE_K) | TS_MODULE_BIT(TS_MODULE_V),
};

static const ts_view NOWHERE;

// A linear layer in training. `largest`: where the largest elements of the gradients of its output
// are found, and of those of the layers behind it in a list.
static ts_linear linear_of(ts_pass *pass, uint32_t layer, ts_module module, uint32_t rows,
                           ts_view largest)
{
    return (ts_linear){pass, layer, module, rows, true, .largest_a = largest};
}

// What the block whose norm is `which` reads: that norm of the residual stream x, which was not
// kept, or x itself where the family has no such norm.
static ts_linear_input input_of(const ts_pass *pass, uint32_t layer, ts_norm which, ts_view x)
{
    if (!ts_pass_has(pass, which)) {
        return (ts_linear_input){.x = x};
    }
    return (ts_linear_input){.x = pass->norm,
                             .stream = x,
                             .weight = pass->model->layers[layer].norms[which],
                             .rstd = pass->layers[layer].rstd[which]};
}

// dx += the gradient of the norm's input x, from dy, that of its output. `largest`, if it is a
// view: where the largest of the new dx is kept.
static void norm_backward(ts_pass *pass, uint32_t layer, ts_norm which, uint32_t rows, ts_view x,
                          ts_view dy, ts_view dx, ts_view largest)
{
    uint32_t parts, cols;
    ts_config_norm_shape(&pass->model->config, which, &parts, &cols);
    const ts_view rstd = pass->layers[layer].rstd[which];
    const bool finds = largest.buffer != NULL;
    ts_rmsnorm_backward(pass->recorder, &(struct ts_rmsnorm_backward_args){
                                            .x = x,
                                            .weight = pass->model->layers[layer].norms[which],
                                            .rstd = rstd,
                                            .dy = dy,
                                            .dx = dx,
                                            .largest = finds ? largest : rstd,
                                            .rows = rows * parts,
                                            .cols = cols,
                                            .finds_largest = finds});
    if (finds) {
        const ts_view found = ts_view_slice(dx, 0, (uint64_t)rows * parts * cols);
        ts_recorder_derived(pass->recorder, found, largest);
    }
}

// The same, but dx = that gradient, whatever dx held.
static void norm_backward_afresh(ts_pass *pass, uint32_t layer, ts_norm which, uint32_t rows,
                                 ts_view x, ts_view dy, ts_view dx)
{
    uint32_t parts, cols;
    ts_config_norm_shape(&pass->model->config, which, &parts, &cols);
    ts_recorder_zero(pass->recorder, ts_view_slice(dx, 0, (uint64_t)rows * parts * cols));
    norm_backward(pass, layer, which, rows, x, dy, dx, NOWHERE);
}

// Returns the gradient of the output of a block's last linear layer. It is pass->dx, unless the
// family normalises that output; then it is computed from pass->dx and the output, `out`.
static ts_view leave_backward(ts_pass *pass, uint32_t layer, ts_norm which, uint32_t rows,
                              ts_view out)
{
    if (!ts_pass_has(pass, which)) {
        return pass->dx;
    }
    norm_backward_afresh(pass, layer, which, rows, out, pass->dx, pass->dout_block);
    return pass->dout_block;
}

// Where the linear layers that read a block's input put its gradient. If a norm made that input,
// this is pass->dnorm, from which norm_backward then adds to pass->dx. If there is no norm
// (`direct`), they add to pass->dx themselves. The view is zeroed if no layer below needs dx.
struct input_gradient {
    ts_view view;
    bool direct;
};

static struct input_gradient input_gradient(const ts_pass *pass, ts_norm which, bool onward)
{
    const bool direct = !ts_pass_has(pass, which);
    const ts_view there = direct ? pass->dx : pass->dnorm;
    return (struct input_gradient){onward ? there : NOWHERE, direct};
}

// From dx, the gradient of the block's output, to dx of its input. With `onward` false only the
// gradients of the block's LoRA pairs are computed, because no layer below needs dx.
static void mlp_backward(ts_pass *pass, uint32_t layer, uint32_t rows, bool onward)
{
    ts_recorder *recorder = pass->recorder;
    ts_layer_state *state = &pass->layers[layer];
    uint32_t count = rows * pass->model->config.ffn;
    const struct input_gradient in = input_gradient(pass, TS_NORM_MLP, onward);
    const ts_view dout = leave_backward(pass, layer, TS_NORM_MLP_OUT, rows, state->mlp_out);
    const bool apart = pass->dgate.buffer != NULL;
    const ts_view dgate = apart ? pass->dgate : state->gate, dup = apart ? pass->dup : state->up;
    ts_linear_input x = input_of(pass, layer, TS_NORM_MLP, state->mid);
    const ts_linear linears[] = {linear_of(pass, layer, TS_MODULE_GATE, rows,
                                           ts_pass_largest(pass, layer, TS_LARGEST_DGATE_UP)),
                                 linear_of(pass, layer, TS_MODULE_UP, rows, NOWHERE)};

    if (layer < pass->limits.recompute) { // to the same bits
        ts_linear_compute(&linears[0], &x);
        ts_linear_forward(linears, TS_COUNT(linears), x.x, (ts_view[]){state->gate, state->up});
    }
    if (ts_pass_adapts(pass, TS_MODULE_BIT(TS_MODULE_DOWN))) {
        ts_swiglu(recorder, &(struct ts_swiglu_args){.gate = state->gate,
                                                     .up = state->up,
                                                     .y = pass->swiglu,
                                                     .count = count,
                                                     .gelu = ts_pass_gelu(pass)});
    }
    const struct ts_swiglu_backward_args gating = {.gate = state->gate,
                                                   .up = state->up,
                                                   .dy = pass->dswiglu,
                                                   .dgate = dgate,
                                                   .dup = dup,
                                                   .count = count,
                                                   .gelu = ts_pass_gelu(pass)};
    ts_linear down = linear_of(pass, layer, TS_MODULE_DOWN, rows,
                               ts_pass_largest(pass, layer, TS_LARGEST_DX_MLP));
    down.swiglu_backward = &gating;
    down.largest_result = ts_pass_largest(pass, layer, TS_LARGEST_DGATE_UP);
    const ts_linear_input swiglu = {.x = pass->swiglu};
    ts_linear_backward(&down, 1, &swiglu, &dout, pass->dswiglu, false);
    ts_linear_backward(linears, TS_COUNT(linears), &x, (ts_view[]){dgate, dup}, in.view, in.direct);
    if (onward && !in.direct) {
        norm_backward(pass, layer, TS_NORM_MLP, rows, state->mid, pass->dnorm, pass->dx,
                      ts_pass_largest(pass, layer, TS_LARGEST_DX_ATTENTION));
    }
}

// pass->dq and pass->delta from pass->dout
static void queries_backward(ts_pass *pass, uint32_t layer, uint32_t rows)
{
    const ts_model_config *config = &pass->model->config;
    ts_layer_state *state = &pass->layers[layer];
    struct ts_attention_backward_q_args args = {
        .q = ts_pass_q(pass, layer),
        .k = ts_pass_k(pass, layer),
        .v = state->v,
        .dout = pass->dout,
        .lse = state->lse,
        .o = state->o,
        .first = ts_pass_reach(pass, layer)->first,
        .dq = pass->dq,
        .delta = pass->delta,
        .rows = rows,
        .heads = config->heads,
        .kv_heads = config->kv_heads,
        .scale = 1 / sqrtf(config->query_scalar),
        .dim = config->head_dim,
    };
    ts_attend_backward_q_rounded(pass->recorder, pass->rounding.precision, &args);
}

// dk and dv, or parts of them, from pass->dout and pass->delta. Returns which.
static struct ts_attention_backward_kv_args keys_backward(ts_pass *pass, uint32_t layer,
                                                          uint32_t rows)
{
    const ts_model_config *config = &pass->model->config;
    ts_layer_state *state = &pass->layers[layer];
    struct ts_attention_backward_kv_args args = {
        .q = ts_pass_q(pass, layer),
        .k = ts_pass_k(pass, layer),
        .v = state->v,
        .dout = pass->dout,
        .lse = state->lse,
        .delta = pass->delta,
        .end = ts_pass_reach(pass, layer)->end,
        .dk = pass->dk,
        .dv = pass->dv,
        .rows = rows,
        .heads = config->heads,
        .kv_heads = config->kv_heads,
        .scale = 1 / sqrtf(config->query_scalar),
        .dim = config->head_dim,
    };
    ts_attend_backward_kv_rounded(pass->recorder, pass->rounding.precision, &args, pass->parts);
    return args;
}

// That `largest` holds the largest elements of pass->dq, dk and dv, as one product reads them.
static void remember_largest(ts_pass *pass, uint32_t rows, ts_view largest)
{
    const ts_model_config *config = &pass->model->config;
    const uint64_t q = (uint64_t)rows * ts_config_q_size(config);
    const uint64_t kv = (uint64_t)rows * ts_config_kv_size(config);
    const ts_view views[] = {ts_view_slice(pass->dq, 0, q), ts_view_slice(pass->dk, 0, kv),
                             ts_view_slice(pass->dv, 0, kv)};
    uint32_t first[TS_COUNT(views)];
    ts_view span;
    if (ts_view_span(views, TS_COUNT(views), &span, first)) {
        ts_recorder_derived(pass->recorder, span, largest);
    }
}

// Sets *dq and *dk to the gradients of q_proj's and k_proj's outputs, from pass->dq and `keys`,
// those of the queries and keys that attention read: the backward pass of ts_pass_norm_rope.
// pass->dv is put together from its parts.
static void norm_rope_backward(ts_pass *pass, uint32_t layer, uint32_t rows,
                               const struct ts_attention_backward_kv_args *keys, ts_view *dq,
                               ts_view *dk)
{
    ts_layer_state *state = &pass->layers[layer];
    const ts_model_config *config = &pass->model->config;
    const ts_rotation rotation = ts_pass_rotation(pass, layer);
    *dq = pass->dq;
    *dk = pass->dk;
    // Norms' gradients, not these, are the next products' operands where queries have norms.
    const ts_view largest =
        ts_pass_has(pass, TS_NORM_Q) ? NOWHERE : ts_pass_largest(pass, layer, TS_LARGEST_DQKV);
    const bool finds = largest.buffer != NULL;
    if (rotation.rotated || keys->parts > 1 || finds) {
        ts_rope_backward(pass->recorder, &(struct ts_rope_backward_args){
                                             .dq = *dq,
                                             .dk_parts = keys->dk,
                                             .dv_parts = keys->dv,
                                             .dk = *dk,
                                             .dv = pass->dv,
                                             .position = pass->io.position,
                                             .table = rotation.table,
                                             .largest = finds ? largest : keys->delta,
                                             .rows = rows,
                                             .heads = config->heads,
                                             .kv_heads = config->kv_heads,
                                             .dim = config->head_dim,
                                             .positions = rotation.positions,
                                             .parts = keys->parts,
                                             .rotated = rotation.rotated,
                                             .finds_largest = finds,
                                         });
    }
    if (finds) {
        remember_largest(pass, rows, largest);
    }
    if (ts_pass_has(pass, TS_NORM_Q)) {
        norm_backward_afresh(pass, layer, TS_NORM_Q, rows, state->q, *dq, pass->dnormed_q);
        norm_backward_afresh(pass, layer, TS_NORM_K, rows, state->k, *dk, pass->dnormed_k);
        *dq = pass->dnormed_q;
        *dk = pass->dnormed_k;
    }
}

static void attention_backward(ts_pass *pass, uint32_t layer, uint32_t rows, bool onward)
{
    ts_layer_state *state = &pass->layers[layer];
    const struct input_gradient in = input_gradient(pass, TS_NORM_ATTENTION, onward);
    const ts_view dout =
        leave_backward(pass, layer, TS_NORM_ATTENTION_OUT, rows, state->attention_out);
    const ts_linear_input o = {.x = state->o};
    const ts_linear_input x = input_of(pass, layer, TS_NORM_ATTENTION, state->x);
    const ts_linear out = linear_of(pass, layer, TS_MODULE_O, rows,
                                    ts_pass_largest(pass, layer, TS_LARGEST_DX_ATTENTION));
    const ts_linear linears[] = {
        linear_of(pass, layer, TS_MODULE_Q, rows, ts_pass_largest(pass, layer, TS_LARGEST_DQKV)),
        linear_of(pass, layer, TS_MODULE_K, rows, NOWHERE),
        linear_of(pass, layer, TS_MODULE_V, rows, NOWHERE)};
    ts_view dq, dk;

    ts_linear_backward(&out, 1, &o, &dout, pass->dout, false);
    if (ts_pass_has(pass, TS_NORM_Q)) { // else the layer's own q and k are what attention reads
        ts_pass_norm_rope(pass, layer, rows);
    }
    queries_backward(pass, layer, rows);
    const struct ts_attention_backward_kv_args keys = keys_backward(pass, layer, rows);
    norm_rope_backward(pass, layer, rows, &keys, &dq, &dk);
    ts_linear_backward(linears, TS_COUNT(linears), &x, (ts_view[]){dq, dk, pass->dv}, in.view,
                       in.direct);
    if (onward && !in.direct) {
        const ts_view largest =
            layer > 0 ? ts_pass_largest(pass, layer - 1, TS_LARGEST_DX_MLP) : NOWHERE;
        norm_backward(pass, layer, TS_NORM_ATTENTION, rows, state->x, pass->dnorm, pass->dx,
                      largest);
    }
}

// In layer 0 the backward pass ends at the lowest adapted block: nothing below it is trained.
void ts_pass_record_backward(ts_pass *pass, uint32_t rows)
{
    bool attention_adapted = ts_pass_adapts(pass, QKV | TS_MODULE_BIT(TS_MODULE_O));
    for (uint32_t layer = pass->model->config.layers; layer-- > 0;) {
        bool below = layer > 0;
        mlp_backward(pass, layer, rows, below || attention_adapted);
        if (below || attention_adapted) {
            attention_backward(pass, layer, rows, below);
        }
        if (pass->layer_done != NULL) {
            pass->layer_done(pass->layer_user, layer);
        }
    }
}
