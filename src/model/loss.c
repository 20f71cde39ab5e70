// The part of every loss that the device computes: it gathers the loss rows, makes their logits
// chunk by chunk, and carries the gradient back into the residual stream.
#include "model/internal.h"

#include "base/memory.h"

void ts_pass_record_gather(ts_pass *pass, uint32_t rows, uint32_t loss_rows)
{
    ts_model *model = pass->model;
    uint32_t hidden = model->config.hidden;
    ts_gather_rows(pass->recorder, &(struct ts_gather_rows_args){.x = pass->x,
                                                                 .index = pass->io.loss_row,
                                                                 .y = pass->gathered,
                                                                 .rows = loss_rows,
                                                                 .cols = hidden,
                                                                 .source_rows = rows});
    ts_rmsnorm(pass->recorder, &(struct ts_rmsnorm_args){.x = pass->gathered,
                                                         .weight = model->final_norm,
                                                         .y = pass->gathered_norm,
                                                         .rstd = pass->gathered_rstd,
                                                         .rows = loss_rows,
                                                         .cols = hidden,
                                                         .eps = model->config.rms_eps});
}

// A range of lm_head's rows, and the columns of a chunk's logits that belong to it.
struct range {
    ts_view weight, largest, logits;
    uint32_t cols;
};

static struct range range_of(const ts_pass *pass, uint32_t i, uint32_t count)
{
    const uint32_t vocab = pass->model->config.vocab;
    const ts_vocabulary *head = &pass->model->lm_head;
    const uint32_t first = i * head->rows;
    const uint32_t cols = (uint32_t)ts_min_u64(head->rows, vocab - first);
    const uint64_t elements = (uint64_t)(count - 1) * vocab + cols;
    return (struct range){.weight = head->ranges[i],
                          .largest = head->largest[i],
                          .logits = ts_view_slice(pass->logits, first, elements),
                          .cols = cols};
}

void ts_pass_record_logits(ts_pass *pass, uint32_t from, uint32_t count)
{
    ts_model *model = pass->model;
    uint32_t hidden = model->config.hidden;
    ts_view x =
        ts_view_slice(pass->gathered_norm, (uint64_t)from * hidden, (uint64_t)count * hidden);
    for (uint32_t i = 0; i < model->lm_head.count; i++) {
        const struct range range = range_of(pass, i, count);
        ts_matmul_rounded(pass->recorder, &pass->rounding,
                          &(ts_product){.layout = TS_NT,
                                        .m = count,
                                        .n = range.cols,
                                        .k = hidden,
                                        .a = x,
                                        .b = range.weight,
                                        .largest_b = range.largest,
                                        .c = range.logits,
                                        .ldc = model->config.vocab,
                                        .alpha = 1});
    }
}

// The gradient of gathered_norm from that of a chunk's logits: a sum over the ranges.
static void logits_backward(ts_pass *pass, uint32_t from, uint32_t count)
{
    ts_model *model = pass->model;
    uint32_t hidden = model->config.hidden;
    ts_view dx =
        ts_view_slice(pass->gathered_norm, (uint64_t)from * hidden, (uint64_t)count * hidden);
    for (uint32_t i = 0; i < model->lm_head.count; i++) {
        const struct range range = range_of(pass, i, count);
        ts_matmul_rounded(pass->recorder, &pass->rounding,
                          &(ts_product){.layout = TS_NN,
                                        .m = count,
                                        .n = hidden,
                                        .k = range.cols,
                                        .a = range.logits,
                                        .lda = model->config.vocab,
                                        .b = range.weight,
                                        .largest_b = range.largest,
                                        .c = dx,
                                        .alpha = 1,
                                        .accumulate = i > 0});
    }
}

// Works chunk by chunk, because the logits of all rows may be too large to hold.
void ts_pass_record_losses(ts_pass *pass, uint32_t loss_rows, bool gradient)
{
    ts_model *model = pass->model;
    uint32_t vocab = model->config.vocab;
    // What is only measured is not smoothed, so that its perplexity is one.
    const float smoothing =
        gradient && !pass->loss->pairs ? (float)pass->loss_params.label_smoothing : 0;
    for (uint32_t from = 0; from < loss_rows; from += pass->logit_rows) {
        uint32_t count = (uint32_t)ts_min_u64(pass->logit_rows, loss_rows - from);
        ts_pass_record_logits(pass, from, count);
        ts_cross_entropy(pass->recorder, &(struct ts_cross_entropy_args){
                                             .logits = pass->logits,
                                             .label = ts_view_slice(pass->io.label, from, count),
                                             .weight = ts_view_slice(pass->io.weight, from, count),
                                             .log_probability = ts_view_slice(
                                                 pass->io.log_probability, from, count),
                                             .rows = count,
                                             .vocab = vocab,
                                             .gradient = gradient,
                                             .smoothing = smoothing,
                                             .smoothed = smoothing > 0,
                                         });
        if (gradient) {
            logits_backward(pass, from, count);
        }
    }
}

void ts_pass_record_loss_backward(ts_pass *pass, uint32_t rows, uint32_t loss_rows)
{
    ts_model *model = pass->model;
    uint32_t hidden = model->config.hidden;
    uint64_t count = (uint64_t)loss_rows * hidden;
    ts_view dgathered = ts_view_slice(pass->dgathered, 0, count);
    ts_recorder_zero(pass->recorder, dgathered);
    ts_rmsnorm_backward(pass->recorder,
                        &(struct ts_rmsnorm_backward_args){.x = pass->gathered,
                                                           .weight = model->final_norm,
                                                           .rstd = pass->gathered_rstd,
                                                           .dy = pass->gathered_norm,
                                                           .dx = dgathered,
                                                           .largest = pass->gathered_rstd,
                                                           .rows = loss_rows,
                                                           .cols = hidden});
    ts_recorder_zero(pass->recorder, ts_view_slice(pass->dx, 0, (uint64_t)rows * hidden));
    ts_scatter_rows(pass->recorder, &(struct ts_scatter_rows_args){.x = dgathered,
                                                                   .index = pass->io.loss_row,
                                                                   .y = pass->dx,
                                                                   .rows = loss_rows,
                                                                   .cols = hidden,
                                                                   .target_rows = rows});
}
