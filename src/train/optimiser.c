#include "train/optimiser.h"

#include "base/memory.h"
#include "ops/kernels.h"

#include <math.h>
#include <string.h>

// The schedules after the warm-up: the rate as a part of its peak, from 1 on. `progress` rises from
// 0 to 1.
static double linear(const ts_learning_rate *rate, double progress)
{
    (void)rate;
    return 1 - progress;
}

static double cosine(const ts_learning_rate *rate, double progress)
{
    double part = 0.5 * (1 + cos(M_PI * progress));
    return part * (1 - rate->min_ratio) + rate->min_ratio;
}

static double cosine_with_restarts(const ts_learning_rate *rate, double progress)
{
    double cycles = rate->cycles > 0 ? (double)rate->cycles : 1;
    return progress >= 1 ? 0 : 0.5 * (1 + cos(M_PI * fmod(cycles * progress, 1)));
}

static double constant(const ts_learning_rate *rate, double progress)
{
    (void)rate, (void)progress;
    return 1;
}

static const struct schedule {
    const char *name, *alias; // transformers' names; the alias may be NULL
    double (*part)(const ts_learning_rate *rate, double progress);
} schedules[] = {
    [TS_SCHEDULE_LINEAR] = {"linear", NULL, linear},
    [TS_SCHEDULE_COSINE] = {"cosine", NULL, cosine},
    [TS_SCHEDULE_CONSTANT] = {"constant", "constant_with_warmup", constant},
    [TS_SCHEDULE_COSINE_WITH_RESTARTS] = {"cosine_with_restarts", NULL, cosine_with_restarts},
};
_Static_assert(TS_COUNT(schedules) == TS_SCHEDULE_COUNT, "a row for each schedule");

const char *ts_schedule_name(ts_schedule schedule)
{
    return schedules[schedule].name;
}

ts_status ts_schedule_parse(const char *name, ts_schedule *out, ts_error *err)
{
    for (size_t i = 0; i < TS_COUNT(schedules); i++) {
        const char *alias = schedules[i].alias;
        if (strcmp(name, schedules[i].name) == 0 || (alias != NULL && strcmp(name, alias) == 0)) {
            *out = (ts_schedule)i;
            return TS_OK;
        }
    }
    if (strcmp(name, "cosine_with_min_lr") == 0) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "'%s' is called cosine here, and its floor is given by "
                            "--min-lr-ratio X",
                            name);
    }
    return ts_error_set(err, TS_ERR_ARGUMENT,
                        "'%s' is no schedule; there are linear, cosine, cosine_with_restarts and "
                        "constant",
                        name);
}

double ts_learning_rate_at(const ts_learning_rate *rate, uint64_t step)
{
    if (step < rate->warmup) {
        return rate->peak * (double)step / (double)rate->warmup;
    }
    double progress = 1;
    if (step < rate->steps) {
        progress = (double)(step - rate->warmup) / (double)(rate->steps - rate->warmup);
    }
    return rate->peak * schedules[rate->schedule].part(rate, progress);
}

double ts_schedule_rate(ts_schedule schedule, double peak, uint64_t step, uint64_t warmup,
                        uint64_t steps)
{
    return ts_learning_rate_at(
        &(ts_learning_rate){.schedule = schedule, .peak = peak, .warmup = warmup, .steps = steps},
        step);
}

// Without a device it only counts bytes.
static ts_status place(ts_optimiser *optimiser, uint64_t count, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_gpu_alloc(&optimiser->arena, TS_F32, count, &optimiser->first_moment, err));
    TS_TRY(ts_gpu_alloc(&optimiser->arena, TS_F32, count, &optimiser->second_moment, err));
    TS_TRY(ts_gpu_alloc(&optimiser->arena, TS_F32, TS_SQUARE_PIECES, &optimiser->partial, err));
    TS_TRY(ts_gpu_alloc(&optimiser->arena, TS_F32, 2, &optimiser->norm, err));
    for (size_t i = 0; i < TS_COUNT(optimiser->seen); i++) {
        TS_TRY(ts_gpu_alloc(&optimiser->host, TS_F32, 2, &optimiser->seen[i], err));
    }
out:
    return status;
}

ts_status ts_optimiser_plan(const ts_model_config *config, const ts_adapter_config *adapter,
                            uint64_t *bytes, ts_error *err)
{
    ts_optimiser optimiser = {0};
    uint64_t count, parameters;
    ts_lora_measure(config, adapter, &count, &parameters);
    ts_status status = place(&optimiser, count, err);
    *bytes = optimiser.arena.used_bytes + optimiser.host.used_bytes;
    return status;
}

ts_status ts_optimiser_reset(ts_optimiser *optimiser, ts_error *err)
{
    ts_recorder_zero(optimiser->pass->recorder, optimiser->first_moment);
    ts_recorder_zero(optimiser->pass->recorder, optimiser->second_moment);
    return ts_recorder_run(optimiser->pass->recorder, err);
}

ts_status ts_optimiser_open(ts_pass *pass, ts_optimiser *out, ts_error *err)
{
    enum { BLOCK_BYTES = 1 << 12 }; // the moments get blocks of their own
    ts_status status = TS_OK;
    ts_gpu *gpu = pass->model->gpu;
    *out = (ts_optimiser){
        .pass = pass,
        .arena = {.gpu = gpu, .block_bytes = BLOCK_BYTES},
        .host = {.gpu = gpu, .place = TS_PLACE_HOST, .block_bytes = BLOCK_BYTES},
    };
    TS_TRY(place(out, pass->model->lora.count, err));
    TS_TRY(ts_optimiser_reset(out, err));
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

// AdamW on one part of the flat arrays: the whole of them, or a tensor (ts_lora_part).
static void update(ts_optimiser *optimiser, const ts_adamw_params *params, double rate,
                   uint64_t step, ts_view part)
{
    const ts_lora *lora = &optimiser->pass->model->lora;
    double t = (double)step;
    ts_adamw(optimiser->pass->recorder,
             &(struct ts_adamw_args){
                 .p = part,
                 .m = ts_lora_part(lora, optimiser->first_moment, part),
                 .v = ts_lora_part(lora, optimiser->second_moment, part),
                 .g = ts_lora_part(lora, optimiser->pass->gradients, part),
                 .norm = optimiser->norm,
                 .count = (uint32_t)(part.bytes / ts_dtype_bytes(part.dtype)),
                 .step = (float)(rate / (1 - pow(params->beta1, t))),
                 .decay = (float)(rate * params->weight_decay),
                 .beta1 = (float)params->beta1,
                 .rest1 = (float)(1 - params->beta1),
                 .beta2 = (float)params->beta2,
                 .rest2 = (float)(1 - params->beta2),
                 .eps = (float)params->eps,
                 .root_correction = (float)(1 / sqrt(1 - pow(params->beta2, t))),
             });
}

// What of a tensor lies within floats first .. first + count - 1 of the flat arrays. No bytes:
// nothing.
static ts_view within(const ts_lora *lora, ts_view tensor, uint64_t first, uint64_t count)
{
    const uint64_t size = ts_dtype_bytes(TS_F32);
    if (tensor.bytes == 0) { // the module has no such tensor
        return (ts_view){0};
    }
    const uint64_t from = (tensor.offset - lora->values.offset) / size;
    const uint64_t begin = ts_max_u64(from, first);
    const uint64_t end = ts_min_u64(from + tensor.bytes / size, first + count);
    return begin < end ? ts_view_slice(lora->values, begin, end - begin) : (ts_view){0};
}

// The tensors of a pair lie side by side in the flat arrays, so with rates of their own each needs
// a dispatch. As in PEFT's create_loraplus_optimizer, DoRA's magnitudes have B's.
static void update_sides(ts_optimiser *optimiser, const ts_adamw_params *params, double rate,
                         uint64_t step, uint64_t first, uint64_t count)
{
    const ts_model *model = optimiser->pass->model;
    for (size_t i = 0; i < (size_t)model->config.layers * TS_MODULE_COUNT; i++) {
        const ts_lora_pair *pair = &model->lora.pairs[i];
        const struct side {
            ts_view tensor;
            double ratio;
        } sides[] = {{pair->a, 1}, {pair->b, params->b_ratio}, {pair->magnitude, params->b_ratio}};
        for (size_t side = 0; side < TS_COUNT(sides); side++) {
            const ts_view part = within(&model->lora, sides[side].tensor, first, count);
            if (part.bytes > 0) {
                update(optimiser, params, rate * sides[side].ratio, step, part);
            }
        }
    }
}

void ts_optimiser_record_squares(ts_optimiser *optimiser)
{
    const ts_pass *pass = optimiser->pass;
    ts_sum_squares(pass->recorder,
                   &(struct ts_sum_squares_args){.x = pass->gradients,
                                                 .partial = optimiser->partial,
                                                 .count = (uint32_t)pass->model->lora.count});
}

void ts_optimiser_record_update(ts_optimiser *optimiser, const ts_adamw_params *params, double rate,
                                uint64_t step, uint64_t first, uint64_t count)
{
    ts_recorder *recorder = optimiser->pass->recorder;
    ts_lora *lora = &optimiser->pass->model->lora;
    ts_clip_factor(recorder,
                   &(struct ts_clip_factor_args){.partial = optimiser->partial,
                                                 .norm = optimiser->norm,
                                                 .max_norm = (float)params->max_grad_norm});
    if (params->b_ratio != 0 && params->b_ratio != 1) {
        update_sides(optimiser, params, rate, step, first, count);
    } else if (count > 0) {
        update(optimiser, params, rate, step, ts_view_slice(lora->values, first, count));
    }
    lora->changed = true;
    ts_recorder_zero(recorder, optimiser->pass->gradients);
    ts_recorder_copy(recorder, optimiser->norm, optimiser->seen[step % 2]);
}

void ts_optimiser_record(ts_optimiser *optimiser, const ts_adamw_params *params, double rate,
                         uint64_t step)
{
    ts_optimiser_record_squares(optimiser);
    ts_optimiser_record_update(optimiser, params, rate, step, 0,
                               optimiser->pass->model->lora.count);
}

ts_status ts_optimiser_read(ts_optimiser *optimiser, uint64_t step, double *grad_norm,
                            ts_error *err)
{
    ts_status status = TS_OK;
    float norm[2];
    TS_TRY(ts_gpu_download(optimiser->pass->model->gpu, optimiser->seen[step % 2], norm,
                           sizeof norm, err));
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
    TS_TRY(ts_recorder_run(optimiser->pass->recorder, err));
    TS_TRY(ts_optimiser_read(optimiser, step, grad_norm, err));
out:
    return status;
}
