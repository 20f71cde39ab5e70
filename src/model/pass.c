// Running a pass: the batch is uploaded, the forward pass, the loss and the backward pass are
// recorded and sent, and the results are read.
#include "model/pass.h"

#include "base/memory.h"
#include "data/tokenizer.h"
#include "model/internal.h"
#include "model/upload.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// Uploads the batch's rows of an embedding that stays in its file: row i of the pass's own table is
// the embedding of ids[i].
static ts_status upload_table(ts_pass *pass, const ts_batch *batch, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_model *model = pass->model;
    const ts_tensor *rows = model->embedding_rows;
    const uint64_t hidden = model->config.hidden, row_bytes = ts_tensor_row_bytes(rows);
    TS_TRY(ts_tensors_check_unchanged(model->files, rows, err));
    for (uint32_t i = 0; i < batch->rows; i++) {
        TS_TRY(ts_upload_rows(model->gpu, pass->io.table, rows, i * hidden,
                              ts_tensor_row(rows, batch->ids[i]), row_bytes, err));
        TS_TRY(ts_gpu_upload(model->gpu, ts_view_slice(pass->io.ids, i, 1), &i, sizeof i, err));
    }
    ts_tensors_release(model->files, rows); // else every batch would add to its resident pages
out:
    return status;
}

// Uploads `first` and `end` for the layers with a window. Of the keys up to its own a row sees the
// last `window`.
static ts_status upload_window(ts_pass *pass, const ts_batch *batch, ts_error *err)
{
    enum { AT_ONCE = 256 };
    ts_status status = TS_OK;
    ts_gpu *gpu = pass->model->gpu;
    const ts_reach *reach = &pass->io.window;
    uint32_t window = pass->model->config.window, first[AT_ONCE], end[AT_ONCE];
    for (uint32_t from = 0; from < batch->rows; from += AT_ONCE) {
        uint32_t count = (uint32_t)ts_min_u64(AT_ONCE, batch->rows - from);
        for (uint32_t i = 0; i < count; i++) {
            uint64_t row = from + i, seen = (uint64_t)batch->last[row] + 1;
            uint64_t start = seen - ts_min_u64(seen, window);
            first[i] = (uint32_t)ts_max_u64(batch->first[row], start);
            end[i] = (uint32_t)ts_min_u64(batch->end[row], row + window);
        }
        TS_TRY(ts_gpu_upload(gpu, ts_view_slice(reach->first, from, count), first,
                             count * sizeof *first, err));
        TS_TRY(ts_gpu_upload(gpu, ts_view_slice(reach->end, from, count), end, count * sizeof *end,
                             err));
    }
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
    TS_TRY(ts_gpu_upload(gpu, pass->io.whole.first, batch->first, rows, err));
    TS_TRY(ts_gpu_upload(gpu, pass->io.last, batch->last, rows, err));
    TS_TRY(ts_gpu_upload(gpu, pass->io.whole.end, batch->end, rows, err));
    TS_TRY(pass->model->config.window > 0 ? upload_window(pass, batch, err) : TS_OK);
    TS_TRY(ts_gpu_upload(gpu, pass->io.loss_row, batch->loss_row, losses, err));
    TS_TRY(ts_gpu_upload(gpu, pass->io.label, batch->label, losses, err));
out:
    return status;
}

static ts_status read_log_probabilities(const ts_pass *pass, const ts_pass_io *io,
                                        uint32_t loss_rows, ts_error *err)
{
    return ts_gpu_download(pass->model->gpu, io->log_probability, pass->host_log_probability,
                           loss_rows * sizeof *pass->host_log_probability, err);
}

// Keeps what a loss over sequences needs of the batch until its value is read.
static void keep_sequences(ts_pass_io *io, const ts_batch *batch)
{
    io->sequences.count = batch->sequences;
    memcpy(io->sequences.loss_rows, batch->sequence_loss_rows,
           batch->sequences * sizeof *io->sequences.loss_rows);
    memcpy(io->sequences.reference, batch->reference,
           batch->sequences * sizeof *io->sequences.reference);
}

// Computes the weights of the rows in the gradient. If they depend on log-probabilities, the device
// computes those first, and the host waits for it.
static ts_status weigh_rows(ts_pass *pass, uint32_t loss_rows, float scale, ts_error *err)
{
    ts_status status = TS_OK;
    ts_loss_rows rows = {.count = loss_rows,
                         .scale = scale,
                         .sequences = &pass->io.sequences,
                         .params = &pass->loss_params};
    if (pass->loss->passes > 1) {
        ts_pass_record_losses(pass, loss_rows, false);
        TS_TRY(ts_recorder_run(pass->recorder, err));
        TS_TRY(read_log_probabilities(pass, &pass->io, loss_rows, err));
        rows.log_probability = pass->host_log_probability;
    }
    pass->loss->weigh(&rows, pass->host_weight);
    TS_TRY(ts_gpu_upload(pass->model->gpu, pass->io.weight, pass->host_weight,
                         loss_rows * sizeof *pass->host_weight, err));
out:
    return status;
}

ts_status ts_pass_losses(ts_pass *pass, const ts_batch *batch, float *losses, ts_error *err)
{
    ts_status status = TS_OK;
    if (batch->loss_rows == 0) {
        return TS_OK;
    }
    TS_TRY(upload_batch(pass, batch, err));
    ts_pass_record_forward(pass, batch->rows, false);
    ts_pass_record_gather(pass, batch->rows, batch->loss_rows);
    ts_pass_record_losses(pass, batch->loss_rows, false);
    TS_TRY(ts_recorder_run(pass->recorder, err));
    TS_TRY(read_log_probabilities(pass, &pass->io, batch->loss_rows, err));
    for (uint32_t i = 0; i < batch->loss_rows; i++) {
        losses[i] = -pass->host_log_probability[i];
    }
out:
    return status;
}

ts_status ts_pass_loss(ts_pass *pass, const ts_batch *batch, double *loss_sum, ts_error *err)
{
    ts_status status = ts_pass_losses(pass, batch, pass->host_weight, err);
    *loss_sum = 0;
    for (uint32_t i = 0; i < batch->loss_rows && status == TS_OK; i++) {
        *loss_sum += pass->host_weight[i];
    }
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
    keep_sequences(&pass->io, batch);
    if (batch->loss_rows > 0) {
        pass->dropout_seed = dropout_seed;
        TS_TRY(upload_batch(pass, batch, err));
        ts_pass_record_forward(pass, batch->rows, true);
        ts_pass_record_gather(pass, batch->rows, batch->loss_rows);
        TS_TRY(weigh_rows(pass, batch->loss_rows, gradient_scale, err));
        ts_pass_record_losses(pass, batch->loss_rows, true);
        ts_pass_record_loss_backward(pass, batch->rows, batch->loss_rows);
        ts_pass_record_backward(pass, batch->rows);
    }
out:
    pass->unread = status == TS_OK ? pass->unread + 1 : 0;
    return status;
}

ts_status ts_pass_read_loss(ts_pass *pass, double *loss, ts_error *err)
{
    assert(pass->unread > 0);
    const ts_pass_io *io = pass->unread == 2 ? &pass->other : &pass->io;
    ts_status status = read_log_probabilities(pass, io, io->loss_rows, err);
    const ts_loss_rows rows = {.count = io->loss_rows,
                               .log_probability = pass->host_log_probability,
                               .sequences = &io->sequences,
                               .params = &pass->loss_params};
    *loss = status == TS_OK ? pass->loss->value(&rows) : 0;
    pass->rewards = status == TS_OK && pass->loss->pairs ? ts_loss_rewards(&rows) : (ts_rewards){0};
    pass->unread = status == TS_OK ? pass->unread - 1 : 0;
    return status;
}

ts_status ts_pass_gradients(ts_pass *pass, const ts_batch *batch, float gradient_scale,
                            uint64_t dropout_seed, double *loss, ts_error *err)
{
    ts_status status = TS_OK;
    assert(pass->unread == 0);
    *loss = 0;
    TS_TRY(ts_pass_record_gradients(pass, batch, gradient_scale, dropout_seed, err));
    TS_TRY(ts_recorder_run(pass->recorder, err));
    TS_TRY(ts_pass_read_loss(pass, loss, err));
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
    ts_pass_record_gather(pass, batch->rows, batch->loss_rows);
    for (uint32_t from = 0; from < batch->loss_rows; from += pass->logit_rows) {
        uint32_t count = (uint32_t)ts_min_u64(pass->logit_rows, batch->loss_rows - from);
        ts_pass_record_logits(pass, from, count);
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
    ts_pass_record_gather(pass, batch->rows, batch->loss_rows);
    for (uint32_t from = 0; from < batch->loss_rows; from += pass->logit_rows) {
        uint32_t count = (uint32_t)ts_min_u64(pass->logit_rows, batch->loss_rows - from);
        ts_pass_record_logits(pass, from, count);
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
                                "adapter's scale (lora_alpha / r), are so large that numbers "
                                "overflow");
        }
    }
out:
    return status;
}
