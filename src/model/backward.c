// The backward pass through the layers, in the reverse order of forward.c. Outputs of norms and of
// swiglu are cheap to compute and were not kept. They are computed again where a LoRA pair that
// took them as input needs them for its gradient.
#include "model/internal.h"

#include "base/memory.h"
#include "ops/attention.h"

#include <math.h>

enum {
    QKV = TS_MODULE_BIT(TS_MODULE_Q) | TS_MODULE_BIT(TS_MODULE_K) | TS_MODULE_BIT(TS_MODULE_V),
    GATE_UP = TS_MODULE_BIT(TS_MODULE_GATE) | TS_MODULE_BIT(TS_MODULE_UP),
};

static void linear_backward(ts_pass *pass, uint32_t layer, ts_module module, uint32_t rows,
                            ts_view x, ts_view dy, ts_view dx, bool accumulate)
{
    ts_linear_backward(&(ts_linear){pass, layer, module, rows, true}, x, dy, dx, accumulate);
}

// Computes again, from the residual stream x, the input of the block whose norm is `which`. Returns
// pass->norm, or x itself where the family has no such norm.
static ts_view enter_again(ts_pass *pass, uint32_t layer, ts_norm which, uint32_t rows, ts_view x)
{
    if (!ts_pass_has(pass, which)) {
        return x;
    }
    ts_rmsnorm_again(pass->recorder, &(struct ts_rmsnorm_again_args){
                                         .x = x,
                                         .weight = pass->model->layers[layer].norms[which],
                                         .rstd = pass->layers[layer].rstd[which],
                                         .y = pass->norm,
                                         .rows = rows,
                                         .cols = pass->model->config.hidden});
    return pass->norm;
}

// dx += the gradient of the norm's input x, from dy, that of its output
static void norm_backward(ts_pass *pass, uint32_t layer, ts_norm which, uint32_t rows, ts_view x,
                          ts_view dy, ts_view dx)
{
    uint32_t parts, cols;
    ts_config_norm_shape(&pass->model->config, which, &parts, &cols);
    ts_rmsnorm_backward(pass->recorder, &(struct ts_rmsnorm_backward_args){
                                            .x = x,
                                            .weight = pass->model->layers[layer].norms[which],
                                            .rstd = pass->layers[layer].rstd[which],
                                            .dy = dy,
                                            .dx = dx,
                                            .rows = rows * parts,
                                            .cols = cols});
}

// The same, but dx = that gradient, whatever dx held.
static void norm_backward_afresh(ts_pass *pass, uint32_t layer, ts_norm which, uint32_t rows,
                                 ts_view x, ts_view dy, ts_view dx)
{
    uint32_t parts, cols;
    ts_config_norm_shape(&pass->model->config, which, &parts, &cols);
    ts_recorder_zero(pass->recorder, ts_view_slice(dx, 0, (uint64_t)rows * parts * cols));
    norm_backward(pass, layer, which, rows, x, dy, dx);
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
    const ts_view nowhere = {0}, there = direct ? pass->dx : pass->dnorm;
    return (struct input_gradient){onward ? there : nowhere, direct};
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
    ts_view x = pass->norm;

    bool recompute = layer < pass->limits.recompute;
    if (recompute || ts_pass_adapts(pass, GATE_UP)) {
        x = enter_again(pass, layer, TS_NORM_MLP, rows, state->mid);
    }
    if (recompute) { // to the same bits
        const ts_linear linears[] = {{pass, layer, TS_MODULE_GATE, rows, true},
                                     {pass, layer, TS_MODULE_UP, rows, true}};
        ts_linear_forward(linears, TS_COUNT(linears), x, (ts_view[]){state->gate, state->up});
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
    ts_linear_backward(
        &(ts_linear){pass, layer, TS_MODULE_DOWN, rows, true, .swiglu_backward = &gating},
        pass->swiglu, dout, pass->dswiglu, false);
    linear_backward(pass, layer, TS_MODULE_GATE, rows, x, dgate, in.view, in.direct);
    linear_backward(pass, layer, TS_MODULE_UP, rows, x, dup, in.view, true);
    if (onward && !in.direct) {
        norm_backward(pass, layer, TS_NORM_MLP, rows, state->mid, pass->dnorm, pass->dx);
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
    if (rotation.rotated || keys->parts > 1) {
        ts_rope_backward(pass->recorder, &(struct ts_rope_backward_args){
                                             .dq = *dq,
                                             .dk_parts = keys->dk,
                                             .dv_parts = keys->dv,
                                             .dk = *dk,
                                             .dv = pass->dv,
                                             .position = pass->io.position,
                                             .table = rotation.table,
                                             .rows = rows,
                                             .heads = config->heads,
                                             .kv_heads = config->kv_heads,
                                             .dim = config->head_dim,
                                             .positions = rotation.positions,
                                             .parts = keys->parts,
                                             .rotated = rotation.rotated,
                                         });
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
    ts_view dq, dk, x = pass->norm;

    linear_backward(pass, layer, TS_MODULE_O, rows, state->o, dout, pass->dout, false);
    if (ts_pass_has(pass, TS_NORM_Q)) { // else the layer's own q and k are what attention reads
        ts_pass_norm_rope(pass, layer, rows);
    }
    queries_backward(pass, layer, rows);
    const struct ts_attention_backward_kv_args keys = keys_backward(pass, layer, rows);
    norm_rope_backward(pass, layer, rows, &keys, &dq, &dk);
    if (ts_pass_adapts(pass, QKV)) {
        x = enter_again(pass, layer, TS_NORM_ATTENTION, rows, state->x);
    }
    linear_backward(pass, layer, TS_MODULE_Q, rows, x, dq, in.view, in.direct);
    linear_backward(pass, layer, TS_MODULE_K, rows, x, dk, in.view, true);
    linear_backward(pass, layer, TS_MODULE_V, rows, x, pass->dv, in.view, true);
    if (onward && !in.direct) {
        norm_backward(pass, layer, TS_NORM_ATTENTION, rows, state->x, pass->dnorm, pass->dx);
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
