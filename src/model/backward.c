// The backward pass through the layers, in the reverse order of forward.c. Outputs of norms and of
// swiglu are cheap to compute and were not kept. They are computed again where a LoRA pair that
// took them as input needs them for its gradient.
#include "model/internal.h"

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

// Computes a layer's output of the forward pass again, to the same bits.
static void linear_again(ts_pass *pass, uint32_t layer, ts_module module, uint32_t rows, ts_view x,
                         ts_view y)
{
    ts_linear_forward(&(ts_linear){pass, layer, module, rows, true}, x, y);
}

static void norm_again(ts_pass *pass, uint32_t rows, ts_view x, ts_view weight, ts_view rstd)
{
    ts_rmsnorm_again(pass->recorder,
                     &(struct ts_rmsnorm_again_args){.x = x,
                                                     .weight = weight,
                                                     .rstd = rstd,
                                                     .y = pass->norm,
                                                     .rows = rows,
                                                     .cols = pass->model->config.hidden});
}

// pass->dx += the norm's backward of pass->dnorm
static void norm_backward(ts_pass *pass, uint32_t rows, ts_view x, ts_view weight, ts_view rstd)
{
    ts_rmsnorm_backward(pass->recorder,
                        &(struct ts_rmsnorm_backward_args){.x = x,
                                                           .weight = weight,
                                                           .rstd = rstd,
                                                           .dy = pass->dnorm,
                                                           .dx = pass->dx,
                                                           .rows = rows,
                                                           .cols = pass->model->config.hidden});
}

// From dx, the gradient of the block's output, to dx of its input. With `onward` false only the
// gradients of the block's LoRA pairs are computed, because no layer below needs dx.
static void mlp_backward(ts_pass *pass, uint32_t layer, uint32_t rows, bool onward)
{
    ts_model *model = pass->model;
    ts_recorder *recorder = pass->recorder;
    ts_layer_state *state = &pass->layers[layer];
    uint32_t count = rows * model->config.ffn;
    const ts_view nowhere = {0}, dnorm = onward ? pass->dnorm : nowhere;
    ts_view weight = model->layers[layer].norms[TS_NORM_MLP];

    bool recompute = layer < pass->limits.recompute;
    if (recompute || ts_pass_adapts(pass, GATE_UP)) {
        norm_again(pass, rows, state->mid, weight, state->rstd2);
    }
    if (recompute) {
        linear_again(pass, layer, TS_MODULE_GATE, rows, pass->norm, state->gate);
        linear_again(pass, layer, TS_MODULE_UP, rows, pass->norm, state->up);
    }
    if (ts_pass_adapts(pass, TS_MODULE_BIT(TS_MODULE_DOWN))) {
        ts_swiglu(recorder,
                  &(struct ts_swiglu_args){
                      .gate = state->gate, .up = state->up, .y = pass->swiglu, .count = count});
    }
    linear_backward(pass, layer, TS_MODULE_DOWN, rows, pass->swiglu, pass->dx, pass->dswiglu,
                    false);
    ts_swiglu_backward(
        recorder, &(struct ts_swiglu_backward_args){
                      .gate = state->gate, .up = state->up, .dy = pass->dswiglu, .count = count});
    linear_backward(pass, layer, TS_MODULE_GATE, rows, pass->norm, state->gate, dnorm, false);
    linear_backward(pass, layer, TS_MODULE_UP, rows, pass->norm, state->up, dnorm, true);
    if (onward) {
        norm_backward(pass, rows, state->mid, weight, state->rstd2);
    }
}

// pass->dq and pass->delta from pass->dout
static void queries_backward(ts_pass *pass, uint32_t layer, uint32_t rows)
{
    const ts_model_config *config = &pass->model->config;
    ts_layer_state *state = &pass->layers[layer];
    struct ts_attention_backward_q_args args = {
        .q = state->q,
        .k = state->k,
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
        .scale = 1 / sqrtf((float)config->head_dim),
        .dim = config->head_dim,
    };
    ts_attend_backward_q(pass->recorder, &args);
}

// pass->dk and dv from pass->dout and pass->delta
static void keys_backward(ts_pass *pass, uint32_t layer, uint32_t rows)
{
    const ts_model_config *config = &pass->model->config;
    ts_layer_state *state = &pass->layers[layer];
    struct ts_attention_backward_kv_args args = {
        .q = state->q,
        .k = state->k,
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
        .scale = 1 / sqrtf((float)config->head_dim),
        .dim = config->head_dim,
    };
    ts_attend_backward_kv(pass->recorder, &args);
}

static void attention_backward(ts_pass *pass, uint32_t layer, uint32_t rows, bool onward)
{
    ts_model *model = pass->model;
    ts_layer_state *state = &pass->layers[layer];
    const ts_view nowhere = {0}, dnorm = onward ? pass->dnorm : nowhere;
    ts_view weight = model->layers[layer].norms[TS_NORM_ATTENTION];

    linear_backward(pass, layer, TS_MODULE_O, rows, state->o, pass->dx, pass->dout, false);
    queries_backward(pass, layer, rows);
    keys_backward(pass, layer, rows);
    ts_pass_rope(pass, rows, -1, pass->dq, pass->dk);
    if (ts_pass_adapts(pass, QKV)) {
        norm_again(pass, rows, state->x, weight, state->rstd1);
    }
    linear_backward(pass, layer, TS_MODULE_Q, rows, pass->norm, pass->dq, dnorm, false);
    linear_backward(pass, layer, TS_MODULE_K, rows, pass->norm, pass->dk, dnorm, true);
    linear_backward(pass, layer, TS_MODULE_V, rows, pass->norm, pass->dv, dnorm, true);
    if (onward) {
        norm_backward(pass, rows, state->x, weight, state->rstd1);
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
    }
}
