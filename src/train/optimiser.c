#include "train/optimiser.h"

#include "base/memory.h"
#include "ops/kernels.h"

#include <math.h>
#include <string.h>

static const char *const schedule_names[] = {
    [TS_SCHEDULE_LINEAR] = "linear",
    [TS_SCHEDULE_COSINE] = "cosine",
    [TS_SCHEDULE_CONSTANT] = "constant",
};

const char *ts_schedule_name(ts_schedule schedule)
{
    return schedule_names[schedule];
}

ts_status ts_schedule_parse(const char *name, ts_schedule *out, ts_error *err)
{
    for (size_t i = 0; i < TS_COUNT(schedule_names); i++) {
        if (strcmp(name, schedule_names[i]) == 0) {
            *out = (ts_schedule)i;
            return TS_OK;
        }
    }
    return ts_error_set(err, TS_ERR_ARGUMENT,
                        "'%s' is no schedule; there are linear, cosine and constant", name);
}

double ts_schedule_rate(ts_schedule schedule, double peak, uint64_t step, uint64_t warmup,
                        uint64_t steps)
{
    if (step < warmup) {
        return peak * (double)step / (double)warmup;
    }
    if (schedule == TS_SCHEDULE_CONSTANT) {
        return peak;
    }
    if (step >= steps) {
        return 0;
    }
    double progress = (double)(step - warmup) / (double)(steps - warmup);
    return peak *
           (schedule == TS_SCHEDULE_LINEAR ? 1 - progress : 0.5 * (1 + cos(M_PI * progress)));
}

ts_status ts_optimiser_open(ts_model *model, ts_optimiser *out, ts_error *err)
{
    ts_status status = TS_OK;
    *out = (ts_optimiser){
        .model = model,
        .arena = {.gpu = model->gpu, .block_bytes = 1 << 12},
        .host = {.gpu = model->gpu, .place = TS_PLACE_HOST, .block_bytes = 1 << 12},
    };
    TS_TRY(ts_gpu_alloc(&out->arena, TS_F32, 256, &out->partial, err));
    TS_TRY(ts_gpu_alloc(&out->arena, TS_F32, 2, &out->norm, err));
    for (size_t i = 0; i < TS_COUNT(out->seen); i++) {
        TS_TRY(ts_gpu_alloc(&out->host, TS_F32, 2, &out->seen[i], err));
    }
out:
    if (status != TS_OK) {
        ts_optimiser_close(out);
    }
    return status;
}

void ts_optimiser_close(ts_optimiser *optimiser)
{
    ts_gpu_arena_close(&optimiser->arena);
    ts_gpu_arena_close(&optimiser->host);
    *optimiser = (ts_optimiser){0};
}

void ts_optimiser_record(ts_optimiser *optimiser, const ts_adamw_params *params, double rate,
                         uint64_t step)
{
    ts_model *model = optimiser->model;
    ts_lora *lora = &model->lora;
    double t = (double)step;
    ts_sum_squares(model->recorder, &(struct ts_sum_squares_args){.x = lora->grads,
                                                                  .partial = optimiser->partial,
                                                                  .count = (uint32_t)lora->count});
    ts_clip_factor(model->recorder,
                   &(struct ts_clip_factor_args){.partial = optimiser->partial,
                                                 .norm = optimiser->norm,
                                                 .max_norm = (float)params->max_grad_norm});
    ts_adamw(model->recorder, &(struct ts_adamw_args){
                                  .p = lora->values,
                                  .m = lora->first_moment,
                                  .v = lora->second_moment,
                                  .g = lora->grads,
                                  .norm = optimiser->norm,
                                  .count = (uint32_t)lora->count,
                                  .step = (float)(rate / (1 - pow(params->beta1, t))),
                                  .decay = (float)(rate * params->weight_decay),
                                  .beta1 = (float)params->beta1,
                                  .rest1 = (float)(1 - params->beta1),
                                  .beta2 = (float)params->beta2,
                                  .rest2 = (float)(1 - params->beta2),
                                  .eps = (float)params->eps,
                                  .root_correction = (float)(1 / sqrt(1 - pow(params->beta2, t))),
                              });
    ts_recorder_zero(model->recorder, lora->grads);
    ts_recorder_copy(model->recorder, optimiser->norm, optimiser->seen[step % 2]);
}

ts_status ts_optimiser_read(ts_optimiser *optimiser, uint64_t step, double *grad_norm,
                            ts_error *err)
{
    ts_status status = TS_OK;
    float norm[2];
    TS_TRY(
        ts_gpu_download(optimiser->model->gpu, optimiser->seen[step % 2], norm, sizeof norm, err));
    *grad_norm = norm[0];
    if (!isfinite(norm[0])) {
        TS_FAIL(TS_ERR_RUN,
                "step %llu: the gradient's norm is not finite: the training diverged "
                "(try a lower --lr)",
                (unsigned long long)step);
    }
out:
    return status;
}

ts_status ts_optimiser_step(ts_optimiser *optimiser, const ts_adamw_params *params, double rate,
                            uint64_t step, double *grad_norm, ts_error *err)
{
    ts_status status = TS_OK;
    ts_optimiser_record(optimiser, params, rate, step);
    TS_TRY(ts_recorder_run(optimiser->model->recorder, err));
    TS_TRY(ts_optimiser_read(optimiser, step, grad_norm, err));
out:
    return status;
}
