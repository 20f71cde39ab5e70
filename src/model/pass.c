#include "model/pass.h"

#include "base/memory.h"
#include "data/tokenizer.h"
#include "model/internal.h"
#include "ops/gemm.h"

#include <assert.h>
#include <stdlib.h>

enum { ACTIVATION_BLOCK_BYTES = 64 << 20 };

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

// Views that are in use at one time, as far as other lists of them are concerned.
struct phase {
    struct wish wishes[6]; // ends with a NULL view; a count of 0 asks for nothing
};

// Cuts `memory` into the phase's views, or with no memory yet only tells how many floats that
// takes.
static uint64_t lay_out(ts_view memory, const struct phase *phase)
{
    enum { ALIGNMENT = 64 }; // in floats: that of ts_gpu_alloc
    uint64_t at = 0;
    for (const struct wish *wish = phase->wishes; wish->view != NULL; wish++) {
        if (memory.bytes > 0) {
            *wish->view = ts_view_slice(memory, at, wish->count);
        }
        at += ts_align_up(wish->count, ALIGNMENT);
    }
    return at;
}

// The phases come one after the other, so they all get the same memory.
static ts_status grant_in_turn(ts_gpu_arena *arena, const struct phase *phases, size_t count,
                               ts_error *err)
{
    ts_status status = TS_OK;
    ts_view memory = {0};
    uint64_t most = 0;
    for (size_t i = 0; i < count; i++) {
        most = ts_max_u64(most, lay_out(memory, &phases[i]));
    }
    TS_TRY(ts_gpu_alloc(arena, TS_F32, most, &memory, err));
    for (size_t i = 0; i < count; i++) {
        lay_out(memory, &phases[i]);
    }
out:
    return status;
}

static ts_status place_layer(ts_pass *pass, uint32_t layer, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_model_config *c = &pass->model->config;
    ts_layer_state *state = &pass->layers[layer];
    uint64_t n = pass->limits.rows, q = ts_config_q_size(c), kv = ts_config_kv_size(c);
    const struct wish wishes[] = {
        {&state->x, n * c->hidden}, {&state->mid, n * c->hidden}, {&state->rstd1, n},
        {&state->rstd2, n},         {&state->q, n * q},           {&state->k, n * kv},
        {&state->v, n * kv},        {&state->o, n * q},           {&state->lse, n * c->heads},
        {&state->gate, n * c->ffn}, {&state->up, n * c->ffn}, // last, for they may be shared
    };
    bool shares = layer < pass->limits.recompute;
    TS_TRY(grant(&pass->device, TS_F32, wishes, TS_COUNT(wishes) - (shares ? 2 : 0), err));
    if (shares) {
        state->gate = pass->layers[pass->limits.recompute].gate;
        state->up = pass->layers[pass->limits.recompute].up;
    }
    for (ts_module module = 0; module < TS_MODULE_COUNT; module++) {
        if (ts_pass_adapts(pass, TS_MODULE_BIT(module))) {
            TS_TRY(ts_gpu_alloc(&pass->device, TS_F32, n * pass->model->lora.config.r,
                                &state->t[module], err));
        }
    }
out:
    return status;
}

// From the last layer to the first: those that recompute share what the one above them keeps.
static ts_status place_layers(ts_pass *pass, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t layers = pass->model->config.layers;
    assert(pass->limits.recompute < layers);
    TS_TRY(ts_alloc(layers, sizeof *pass->layers, &pass->layers, err));
    for (uint32_t layer = layers; layer-- > 0;) {
        if (layer + 1 == layers || pass->limits.training) {
            TS_TRY(place_layer(pass, layer, err));
        } else {
            pass->layers[layer] = pass->layers[layers - 1];
        }
    }
out:
    return status;
}

// What lives only while one block of a layer, or the loss, is at work.
static ts_status place_scratch(ts_pass *pass, ts_error *err)
{
    const ts_model_config *c = &pass->model->config;
    uint64_t n = pass->limits.rows, m = pass->limits.loss_rows;
    uint64_t q = ts_config_q_size(c), kv = ts_config_kv_size(c);
    bool training = pass->limits.training,
         both = training && ts_pass_adapts(pass, TS_MODULE_BIT(TS_MODULE_DOWN));
    // As many rows of logits as fit where an MLP's values lie at other times: a multiple of 64, so
    // that a chunk's slice of any view starts aligned.
    uint64_t place = n * c->ffn - ts_min_u64(n * c->ffn, m * c->hidden);
    pass->logit_rows = (uint32_t)ts_min_u64(m, ts_max_u64(64, place / c->vocab / 64 * 64));
    // The way back through an MLP needs swiglu's output only for the gradient of down's own pair.
    const struct phase phases[] = {
        {{{&pass->wide, n * c->ffn}, {both ? &pass->dwide : NULL, n * c->ffn}}},
        {{{training && !both ? &pass->dwide : NULL, n * c->ffn}}},
        {{{&pass->picked, m * c->hidden}, {&pass->logits, pass->logit_rows * (uint64_t)c->vocab}}},
        {{{&pass->picked, m * c->hidden}, {&pass->dinput, m * c->hidden}}},
        {{{training ? &pass->dout : NULL, n * ts_max_u64(q, c->hidden)},
          {&pass->dq, n * q},
          {&pass->dk, n * kv},
          {&pass->dv, n * kv},
          {&pass->delta, n * c->heads}}},
    };
    ts_status status = grant_in_turn(&pass->device, phases, TS_COUNT(phases), err);
    pass->dnorm = pass->dout; // attention's kernels have read dout when a norm's gradient begins
    return status;
}

static ts_status place_gradients(ts_pass *pass, ts_error *err)
{
    const ts_model_config *c = &pass->model->config;
    const ts_adapter_config *adapter = &pass->model->lora.config;
    uint64_t n = pass->limits.rows, count, parameters;
    uint64_t widest = ts_max_u64(c->ffn, ts_max_u64(ts_config_q_size(c), c->hidden));
    ts_lora_measure(c, adapter, &count, &parameters);
    const struct wish wishes[] = {
        {&pass->gradients, count},
        {&pass->dt, n * adapter->r},
        {&pass->dropped, n * widest}, // last, for it is left out where nothing is dropped
    };
    pass->dx = pass->x;                // the loss has read the stream when its gradient begins
    pass->dpicked = pass->picked_norm; // and a chunk of it is read when its logits are there
    return grant(&pass->device, TS_F32, wishes, adapter->dropout > 0 ? 3 : 2, err);
}

static ts_status place_io(ts_pass *pass, ts_pass_io *io, ts_error *err)
{
    ts_status status = TS_OK;
    uint64_t n = pass->limits.rows, m = pass->limits.loss_rows;
    const struct wish indices[] = {{&io->ids, n},  {&io->position, n}, {&io->first, n},
                                   {&io->last, n}, {&io->end, n},      {&io->loss_row, m},
                                   {&io->label, m}};
    TS_TRY(grant(&pass->host, TS_U32, indices, TS_COUNT(indices), err));
    TS_TRY(ts_gpu_alloc(&pass->host, TS_F32, m, &io->loss, err));
    if (pass->model->embedding_in_file) {
        TS_TRY(ts_gpu_alloc(&pass->host, pass->model->embedding_dtype,
                            n * pass->model->config.hidden, &io->table, err));
    }
out:
    return status;
}

static ts_status place(ts_pass *pass, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_model_config *c = &pass->model->config;
    uint64_t n = pass->limits.rows, m = pass->limits.loss_rows;
    const struct wish work[] = {
        {&pass->x, n * c->hidden},        {&pass->norm, ts_max_u64(n, m) * c->hidden},
        {&pass->picked_rstd, m},          {&pass->rounding.largest_a, 256},
        {&pass->rounding.largest_b, 256},
    };
    TS_TRY(place_io(pass, &pass->io, err));
    TS_TRY(grant(&pass->device, TS_F32, work, TS_COUNT(work), err));
    pass->picked_norm = pass->norm; // no layer's norm is needed any more
    TS_TRY(place_scratch(pass, err));
    TS_TRY(place_layers(pass, err));
    if (pass->limits.training) {
        TS_TRY(place_gradients(pass, err));
        TS_TRY(place_io(pass, &pass->other, err));
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
    out->rounding.precision = model->precision;
    TS_TRY(place(out, err));
    TS_TRY(ts_recorder_open(model->gpu, &out->recorder, err));
    if (limits.training) {
        ts_recorder_zero(out->recorder, out->gradients);
        TS_TRY(ts_recorder_run(out->recorder, err));
    }
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
    ts_recorder_close(pass->recorder);
    ts_gpu_arena_close(&pass->device);
    ts_gpu_arena_close(&pass->host);
    free(pass->layers);
    free(pass->host_loss);
    *pass = (ts_pass){0};
}

ts_status ts_pass_plan(const ts_model_config *config, ts_dtype dtype, bool embedding_in_file,
                       const ts_adapter_config *adapter, ts_pass_limits limits, uint64_t *bytes,
                       ts_error *err)
{
    ts_model model = {.config = *config,
                      .has_lora = adapter != NULL,
                      .embedding_in_file = embedding_in_file && !config->tied,
                      .embedding_dtype = dtype};
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

// Brings the batch's rows of an embedding that stays in its file: row i of the pass's own table is
// that of ids[i].
static ts_status upload_table(ts_pass *pass, const ts_batch *batch, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_model *model = pass->model;
    const ts_tensor *rows = model->embedding_rows;
    uint64_t hidden = model->config.hidden, row_bytes = hidden * ts_dtype_bytes(rows->dtype);
    TS_TRY(ts_tensors_check_unchanged(model->file, rows, err));
    for (uint32_t i = 0; i < batch->rows; i++) {
        const unsigned char *row = (const unsigned char *)rows->bytes + batch->ids[i] * row_bytes;
        TS_TRY(ts_gpu_upload(model->gpu, ts_view_slice(pass->io.table, i * hidden, hidden), row,
                             row_bytes, err));
        TS_TRY(ts_gpu_upload(model->gpu, ts_view_slice(pass->io.ids, i, 1), &i, sizeof i, err));
    }
    ts_tensors_release(model->file, rows); // its pages would gather from batch to batch
out:
    return status;
}

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
    TS_TRY(pass->model->embedding_in_file
               ? upload_table(pass, batch, err)
               : ts_gpu_upload(gpu, pass->io.ids, batch->ids, rows, err));
    TS_TRY(ts_gpu_upload(gpu, pass->io.position, batch->position, rows, err));
    TS_TRY(ts_gpu_upload(gpu, pass->io.first, batch->first, rows, err));
    TS_TRY(ts_gpu_upload(gpu, pass->io.last, batch->last, rows, err));
    TS_TRY(ts_gpu_upload(gpu, pass->io.end, batch->end, rows, err));
    TS_TRY(ts_gpu_upload(gpu, pass->io.loss_row, batch->loss_row, losses, err));
    TS_TRY(ts_gpu_upload(gpu, pass->io.label, batch->label, losses, err));
out:
    return status;
}

// picked_norm[M, H] = the final norm of the rows that bear loss, and of them alone
static void pick_rows(ts_pass *pass, uint32_t rows, uint32_t loss_rows)
{
    ts_model *model = pass->model;
    uint32_t hidden = model->config.hidden;
    ts_gather_rows(pass->recorder, &(struct ts_gather_rows_args){.x = pass->x,
                                                                 .index = pass->io.loss_row,
                                                                 .y = pass->picked,
                                                                 .rows = loss_rows,
                                                                 .cols = hidden,
                                                                 .source_rows = rows});
    ts_rmsnorm(pass->recorder, &(struct ts_rmsnorm_args){.x = pass->picked,
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
    ts_matmul_rounded(pass->recorder, &pass->rounding,
                      &(ts_product){.layout = TS_NT,
                                    .m = count,
                                    .n = model->config.vocab,
                                    .k = hidden,
                                    .a = x,
                                    .b = model->lm_head,
                                    .c = pass->logits,
                                    .alpha = 1});
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
        ts_cross_entropy(pass->recorder, &(struct ts_cross_entropy_args){
                                             .logits = pass->logits,
                                             .label = ts_view_slice(pass->io.label, from, count),
                                             .loss = ts_view_slice(pass->io.loss, from, count),
                                             .rows = count,
                                             .vocab = vocab,
                                             .gradient = gradient,
                                             .gradient_scale = gradient_scale,
                                         });
        if (gradient) {
            ts_view dpicked =
                ts_view_slice(pass->dpicked, (uint64_t)from * hidden, (uint64_t)count * hidden);
            ts_matmul_rounded(pass->recorder, &pass->rounding,
                              &(ts_product){.layout = TS_NN,
                                            .m = count,
                                            .n = hidden,
                                            .k = vocab,
                                            .a = pass->logits,
                                            .b = model->lm_head,
                                            .c = dpicked,
                                            .alpha = 1});
        }
    }
}

// dx[N, H] of the residual stream from dpicked: zero but for the rows that bear loss.
static void loss_rows_backward(ts_pass *pass, uint32_t rows, uint32_t loss_rows)
{
    ts_model *model = pass->model;
    uint32_t hidden = model->config.hidden;
    uint64_t count = (uint64_t)loss_rows * hidden;
    ts_view dinput = ts_view_slice(pass->dinput, 0, count);
    ts_recorder_zero(pass->recorder, dinput);
    ts_rmsnorm_backward(pass->recorder,
                        &(struct ts_rmsnorm_backward_args){.x = pass->picked,
                                                           .weight = model->final_norm,
                                                           .rstd = pass->picked_rstd,
                                                           .dy = pass->dpicked,
                                                           .dx = dinput,
                                                           .rows = loss_rows,
                                                           .cols = hidden});
    ts_recorder_zero(pass->recorder, ts_view_slice(pass->dx, 0, (uint64_t)rows * hidden));
    ts_scatter_rows(pass->recorder, &(struct ts_scatter_rows_args){.x = dinput,
                                                                   .index = pass->io.loss_row,
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
    TS_TRY(ts_recorder_run(pass->recorder, err));
    TS_TRY(ts_gpu_download(pass->model->gpu, pass->io.loss, losses,
                           batch->loss_rows * sizeof *losses, err));
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

ts_status ts_pass_record_gradients(ts_pass *pass, const ts_batch *batch, float gradient_scale,
                                   uint64_t dropout_seed, ts_error *err)
{
    ts_status status = TS_OK;
    assert(pass->limits.training && pass->unread < 2);
    const ts_pass_io before = pass->io;
    pass->io = pass->other;
    pass->other = before;
    pass->io.loss_rows = batch->loss_rows;
    if (batch->loss_rows > 0) {
        pass->dropout_seed = dropout_seed;
        TS_TRY(upload_batch(pass, batch, err));
        ts_pass_record_forward(pass, batch->rows, true);
        pick_rows(pass, batch->rows, batch->loss_rows);
        loss_chunks(pass, batch->loss_rows, true, gradient_scale);
        loss_rows_backward(pass, batch->rows, batch->loss_rows);
        ts_pass_record_backward(pass, batch->rows);
    }
out:
    pass->unread = status == TS_OK ? pass->unread + 1 : 0;
    return status;
}

ts_status ts_pass_read_loss(ts_pass *pass, double *loss_sum, ts_error *err)
{
    assert(pass->unread > 0);
    const ts_pass_io *io = pass->unread == 2 ? &pass->other : &pass->io;
    ts_status status = ts_gpu_download(pass->model->gpu, io->loss, pass->host_loss,
                                       io->loss_rows * sizeof *pass->host_loss, err);
    *loss_sum = status == TS_OK ? sum_of(pass->host_loss, io->loss_rows) : 0;
    pass->unread = status == TS_OK ? pass->unread - 1 : 0;
    return status;
}

ts_status ts_pass_gradients(ts_pass *pass, const ts_batch *batch, float gradient_scale,
                            uint64_t dropout_seed, double *loss_sum, ts_error *err)
{
    ts_status status = TS_OK;
    assert(pass->unread == 0);
    *loss_sum = 0;
    TS_TRY(ts_pass_record_gradients(pass, batch, gradient_scale, dropout_seed, err));
    TS_TRY(ts_recorder_run(pass->recorder, err));
    TS_TRY(ts_pass_read_loss(pass, loss_sum, err));
out:
    pass->unread = 0;
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
        TS_TRY(ts_recorder_run(pass->recorder, err));
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
        ts_argmax(pass->recorder,
                  &(struct ts_argmax_args){.logits = pass->logits,
                                           .best = ts_view_slice(pass->io.label, from, count),
                                           .rows = count,
                                           .vocab = model->config.vocab});
    }
    TS_TRY(ts_recorder_run(pass->recorder, err));
    TS_TRY(ts_gpu_download(model->gpu, pass->io.label, next, batch->loss_rows * sizeof *next, err));
    for (uint32_t i = 0; i < batch->loss_rows; i++) {
        if (next[i] == TS_TOKEN_NONE) {
            TS_FAIL(TS_ERR_RUN, "the model's logits are NaN or infinite: its weights, or the "
                                "adapter's scale, take it out of what floats hold");
        }
    }
out:
    return status;
}
