#include "model/pass.h"

#include "base/memory.h"
#include "model/internal.h"
#include "ops/gemm.h"

#include <assert.h>
#include <stdlib.h>

enum { LOGIT_CHUNK_BYTES = 32 << 20, ACTIVATION_BLOCK_BYTES = 64 << 20 };

// ---- Memory

struct wish {
    ts_view *view;
    uint64_t count;
};

static ts_status grant(ts_gpu_arena *arena, ts_dtype dtype, const struct wish *wishes, size_t count,
                       ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t i = 0; i < count && status == TS_OK; i++) {
        status = ts_gpu_alloc(arena, dtype, wishes[i].count, wishes[i].view, err);
    }
    return status;
}

static ts_status place_layer(ts_pass *pass, ts_layer_state *state, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_model_config *c = &pass->model->config;
    const ts_adapter_config *adapter = &pass->model->lora.config;
    uint64_t n = pass->limits.rows, q = ts_config_q_size(c), kv = ts_config_kv_size(c);
    const struct wish wishes[] = {
        {&state->x, n * c->hidden}, {&state->mid, n * c->hidden}, {&state->rstd1, n},
        {&state->rstd2, n},         {&state->q, n * q},           {&state->k, n * kv},
        {&state->v, n * kv},        {&state->o, n * q},           {&state->lse, n * c->heads},
        {&state->gate, n * c->ffn}, {&state->up, n * c->ffn}, // last, for they may be shared
    };
    bool shares = pass->limits.recompute && state != pass->layers;
    TS_TRY(grant(&pass->device, TS_F32, wishes, TS_COUNT(wishes) - (shares ? 2 : 0), err));
    if (shares) {
        state->gate = pass->layers[0].gate;
        state->up = pass->layers[0].up;
    }
    for (ts_module module = 0; module < TS_MODULE_COUNT; module++) {
        if (pass->model->has_lora && (adapter->targets & TS_MODULE_BIT(module))) {
            TS_TRY(ts_gpu_alloc(&pass->device, TS_F32, n * adapter->r, &state->t[module], err));
        }
    }
out:
    return status;
}

static ts_status place_layers(ts_pass *pass, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t layers = pass->model->config.layers;
    TS_TRY(ts_alloc(layers, sizeof *pass->layers, &pass->layers, err));
    for (uint32_t layer = 0; layer < layers; layer++) {
        if (layer == 0 || pass->limits.training) {
            TS_TRY(place_layer(pass, &pass->layers[layer], err));
        } else {
            pass->layers[layer] = pass->layers[0];
        }
    }
out:
    return status;
}

static ts_status place_gradients(ts_pass *pass, ts_error *err)
{
    const ts_model_config *c = &pass->model->config;
    const ts_adapter_config *adapter = &pass->model->lora.config;
    uint64_t n = pass->limits.rows, m = pass->limits.loss_rows;
    uint64_t q = ts_config_q_size(c), kv = ts_config_kv_size(c);
    uint64_t widest = ts_max_u64(c->ffn, ts_max_u64(q, c->hidden));
    const struct wish wishes[] = {
        {&pass->dx, n * c->hidden},   {&pass->dnorm, n * c->hidden},
        {&pass->dwide, n * c->ffn},   {&pass->dq, n * q},
        {&pass->dk, n * kv},          {&pass->dv, n * kv},
        {&pass->dout, n * q},         {&pass->delta, n * c->heads},
        {&pass->dt, n * adapter->r},  {&pass->dpicked, m * c->hidden},
        {&pass->dropped, n * widest}, // last, for it is left out where nothing is dropped
    };
    size_t count = TS_COUNT(wishes) - (adapter->dropout > 0 ? 0 : 1);
    return grant(&pass->device, TS_F32, wishes, count, err);
}

static ts_status place(ts_pass *pass, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_model_config *c = &pass->model->config;
    uint64_t n = pass->limits.rows, m = pass->limits.loss_rows;
    // Chunks of a multiple of 64 rows, so that a chunk's slice of any view starts aligned.
    uint64_t chunk = LOGIT_CHUNK_BYTES / sizeof(float) / c->vocab / 64 * 64;
    pass->logit_rows = (uint32_t)ts_min_u64(m, ts_max_u64(64, chunk));
    const struct wish indices[] = {{&pass->ids, n},  {&pass->position, n}, {&pass->first, n},
                                   {&pass->last, n}, {&pass->end, n},      {&pass->loss_row, m},
                                   {&pass->label, m}};
    const struct wish work[] = {
        {&pass->x, n * c->hidden},
        {&pass->norm, n * c->hidden},
        {&pass->wide, n * c->ffn},
        {&pass->picked, m * c->hidden},
        {&pass->picked_norm, m * c->hidden},
        {&pass->picked_rstd, m},
        {&pass->logits, (uint64_t)pass->logit_rows * c->vocab},
    };
    TS_TRY(grant(&pass->host, TS_U32, indices, TS_COUNT(indices), err));
    TS_TRY(ts_gpu_alloc(&pass->host, TS_F32, m, &pass->loss, err));
    TS_TRY(grant(&pass->device, TS_F32, work, TS_COUNT(work), err));
    TS_TRY(place_layers(pass, err));
    if (pass->limits.training) {
        TS_TRY(place_gradients(pass, err));
    }
out:
    return status;
}

ts_status ts_pass_open(ts_model *model, ts_pass_limits limits, ts_pass *out, ts_error *err)
{
    ts_status status = TS_OK;
    *out = (ts_pass){
        .model = model,
        .limits = limits,
        .device = {.gpu = model->gpu, .block_bytes = ACTIVATION_BLOCK_BYTES},
        .host = {.gpu = model->gpu, .place = TS_PLACE_HOST, .block_bytes = 1 << 16},
    };
    TS_TRY(place(out, err));
    TS_TRY(ts_alloc(limits.loss_rows, sizeof *out->host_loss, &out->host_loss, err));
out:
    if (status != TS_OK) {
        ts_error_context(err, "activations of %u tokens", limits.rows);
        ts_pass_close(out);
    }
    return status;
}

void ts_pass_close(ts_pass *pass)
{
    ts_gpu_arena_close(&pass->device);
    ts_gpu_arena_close(&pass->host);
    free(pass->layers);
    free(pass->host_loss);
    *pass = (ts_pass){0};
}

ts_status ts_pass_plan(const ts_model_config *config, const ts_adapter_config *adapter,
                       ts_pass_limits limits, uint64_t *bytes, ts_error *err)
{
    ts_model model = {.config = *config, .has_lora = adapter != NULL};
    if (adapter != NULL) {
        model.lora.config = *adapter;
    }
    ts_pass pass = {.model = &model, .limits = limits};
    ts_status status = place(&pass, err);
    *bytes = pass.device.used_bytes + pass.host.used_bytes;
    free(pass.layers);
    return status;
}

// ---- Running

static ts_status upload_batch(ts_pass *pass, const ts_batch *batch, ts_error *err)
{
    ts_status status = TS_OK;
    ts_gpu *gpu = pass->model->gpu;
    uint64_t rows = batch->rows * sizeof(uint32_t), losses = batch->loss_rows * sizeof(uint32_t);
    assert(batch->rows <= pass->limits.rows && batch->loss_rows <= pass->limits.loss_rows);
    for (uint32_t i = 0; i < batch->rows; i++) {
        if (batch->ids[i] >= pass->model->config.vocab) {
            TS_FAIL(TS_ERR_FORMAT,
                    "token %u, but the model's vocabulary has %u: the tokenizer belongs to "
                    "another model",
                    batch->ids[i], pass->model->config.vocab);
        }
    }
    TS_TRY(ts_gpu_upload(gpu, pass->ids, batch->ids, rows, err));
    TS_TRY(ts_gpu_upload(gpu, pass->position, batch->position, rows, err));
    TS_TRY(ts_gpu_upload(gpu, pass->first, batch->first, rows, err));
    TS_TRY(ts_gpu_upload(gpu, pass->last, batch->last, rows, err));
    TS_TRY(ts_gpu_upload(gpu, pass->end, batch->end, rows, err));
    TS_TRY(ts_gpu_upload(gpu, pass->loss_row, batch->loss_row, losses, err));
    TS_TRY(ts_gpu_upload(gpu, pass->label, batch->label, losses, err));
out:
    return status;
}

// picked_norm[M, H] = the final norm of the rows that bear loss, and of them alone
static void pick_rows(ts_pass *pass, uint32_t rows, uint32_t loss_rows)
{
    ts_model *model = pass->model;
    uint32_t hidden = model->config.hidden;
    ts_gather_rows(model->recorder, &(struct ts_gather_rows_args){.x = pass->x,
                                                                  .index = pass->loss_row,
                                                                  .y = pass->picked,
                                                                  .rows = loss_rows,
                                                                  .cols = hidden,
                                                                  .source_rows = rows});
    ts_rmsnorm(model->recorder, &(struct ts_rmsnorm_args){.x = pass->picked,
                                                          .weight = model->final_norm,
                                                          .y = pass->picked_norm,
                                                          .rstd = pass->picked_rstd,
                                                          .rows = loss_rows,
                                                          .cols = hidden,
                                                          .eps = model->config.rms_eps});
}

// logits[count, V] of the loss rows from `from` on
static void chunk_logits(ts_pass *pass, uint32_t from, uint32_t count)
{
    ts_model *model = pass->model;
    uint32_t hidden = model->config.hidden;
    ts_view x = ts_view_slice(pass->picked_norm, (uint64_t)from * hidden, (uint64_t)count * hidden);
    ts_matmul_rounded(model->recorder, &model->rounding, TS_NT, count, model->config.vocab, hidden,
                      x, model->lm_head, pass->logits, 1, false);
}

// Losses of all loss rows, chunk by chunk; with `gradient` also dpicked, the gradient of
// gradient_scale * (sum of losses) with respect to the final norm's output.
static void loss_chunks(ts_pass *pass, uint32_t loss_rows, bool gradient, float gradient_scale)
{
    ts_model *model = pass->model;
    uint32_t hidden = model->config.hidden, vocab = model->config.vocab;
    for (uint32_t from = 0; from < loss_rows; from += pass->logit_rows) {
        uint32_t count = (uint32_t)ts_min_u64(pass->logit_rows, loss_rows - from);
        chunk_logits(pass, from, count);
        ts_cross_entropy(model->recorder, &(struct ts_cross_entropy_args){
                                              .logits = pass->logits,
                                              .label = ts_view_slice(pass->label, from, count),
                                              .loss = ts_view_slice(pass->loss, from, count),
                                              .rows = count,
                                              .vocab = vocab,
                                              .gradient = gradient,
                                              .gradient_scale = gradient_scale,
                                          });
        if (gradient) {
            ts_view dpicked =
                ts_view_slice(pass->dpicked, (uint64_t)from * hidden, (uint64_t)count * hidden);
            ts_matmul_rounded(model->recorder, &model->rounding, TS_NN, count, hidden, vocab,
                              pass->logits, model->lm_head, dpicked, 1, false);
        }
    }
}

// dx[N, H] of the residual stream from dpicked: zero but for the rows that bear loss.
static void loss_rows_backward(ts_pass *pass, uint32_t rows, uint32_t loss_rows)
{
    ts_model *model = pass->model;
    uint32_t hidden = model->config.hidden;
    uint64_t count = (uint64_t)loss_rows * hidden;
    // The norm's output has been used: its buffer takes the gradient of the norm's input.
    ts_view dinput = ts_view_slice(pass->picked_norm, 0, count);
    ts_recorder_zero(model->recorder, dinput);
    ts_rmsnorm_backward(model->recorder,
                        &(struct ts_rmsnorm_backward_args){.x = pass->picked,
                                                           .weight = model->final_norm,
                                                           .rstd = pass->picked_rstd,
                                                           .dy = pass->dpicked,
                                                           .dx = dinput,
                                                           .rows = loss_rows,
                                                           .cols = hidden});
    ts_recorder_zero(model->recorder, ts_view_slice(pass->dx, 0, (uint64_t)rows * hidden));
    ts_scatter_rows(model->recorder, &(struct ts_scatter_rows_args){.x = dinput,
                                                                    .index = pass->loss_row,
                                                                    .y = pass->dx,
                                                                    .rows = loss_rows,
                                                                    .cols = hidden,
                                                                    .target_rows = rows});
}

ts_status ts_pass_losses(ts_pass *pass, const ts_batch *batch, float *losses, ts_error *err)
{
    ts_status status = TS_OK;
    if (batch->loss_rows == 0) {
        return TS_OK;
    }
    TS_TRY(upload_batch(pass, batch, err));
    ts_pass_record_forward(pass, batch->rows, false);
    pick_rows(pass, batch->rows, batch->loss_rows);
    loss_chunks(pass, batch->loss_rows, false, 0);
    TS_TRY(ts_recorder_run(pass->model->recorder, err));
    TS_TRY(ts_gpu_download(pass->model->gpu, pass->loss, losses, batch->loss_rows * sizeof *losses,
                           err));
out:
    return status;
}

static double sum_of(const float *values, uint32_t count)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += values[i];
    }
    return sum;
}

ts_status ts_pass_loss(ts_pass *pass, const ts_batch *batch, double *loss_sum, ts_error *err)
{
    ts_status status = ts_pass_losses(pass, batch, pass->host_loss, err);
    *loss_sum = status == TS_OK ? sum_of(pass->host_loss, batch->loss_rows) : 0;
    return status;
}

ts_status ts_pass_gradients(ts_pass *pass, const ts_batch *batch, float gradient_scale,
                            uint64_t dropout_seed, double *loss_sum, ts_error *err)
{
    ts_status status = TS_OK;
    assert(pass->limits.training);
    *loss_sum = 0;
    if (batch->loss_rows == 0) {
        return TS_OK;
    }
    pass->dropout_seed = dropout_seed;
    TS_TRY(upload_batch(pass, batch, err));
    ts_pass_record_forward(pass, batch->rows, true);
    pick_rows(pass, batch->rows, batch->loss_rows);
    loss_chunks(pass, batch->loss_rows, true, gradient_scale);
    loss_rows_backward(pass, batch->rows, batch->loss_rows);
    ts_pass_record_backward(pass, batch->rows);
    TS_TRY(ts_recorder_run(pass->model->recorder, err));
    TS_TRY(ts_gpu_download(pass->model->gpu, pass->loss, pass->host_loss,
                           batch->loss_rows * sizeof *pass->host_loss, err));
    *loss_sum = sum_of(pass->host_loss, batch->loss_rows);
out:
    return status;
}

ts_status ts_pass_logits(ts_pass *pass, const ts_batch *batch, float *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_model *model = pass->model;
    uint32_t vocab = model->config.vocab;
    TS_TRY(upload_batch(pass, batch, err));
    ts_pass_record_forward(pass, batch->rows, false);
    pick_rows(pass, batch->rows, batch->loss_rows);
    for (uint32_t from = 0; from < batch->loss_rows; from += pass->logit_rows) {
        uint32_t count = (uint32_t)ts_min_u64(pass->logit_rows, batch->loss_rows - from);
        chunk_logits(pass, from, count);
        TS_TRY(ts_recorder_run(model->recorder, err));
        TS_TRY(ts_gpu_download(model->gpu, pass->logits, out + (size_t)from * vocab,
                               (uint64_t)count * vocab * sizeof *out, err));
    }
out:
    return status;
}

ts_status ts_pass_next(ts_pass *pass, const ts_batch *batch, uint32_t *next, ts_error *err)
{
    ts_status status = TS_OK;
    ts_model *model = pass->model;
    TS_TRY(upload_batch(pass, batch, err));
    ts_pass_record_forward(pass, batch->rows, false);
    pick_rows(pass, batch->rows, batch->loss_rows);
    for (uint32_t from = 0; from < batch->loss_rows; from += pass->logit_rows) {
        uint32_t count = (uint32_t)ts_min_u64(pass->logit_rows, batch->loss_rows - from);
        chunk_logits(pass, from, count);
        ts_argmax(model->recorder,
                  &(struct ts_argmax_args){.logits = pass->logits,
                                           .best = ts_view_slice(pass->label, from, count),
                                           .rows = count,
                                           .vocab = model->config.vocab});
    }
    TS_TRY(ts_recorder_run(model->recorder, err));
    TS_TRY(ts_gpu_download(model->gpu, pass->label, next, batch->loss_rows * sizeof *next, err));
out:
    return status;
}
