// How much device memory a run takes, and how it is made to fit: the embedding stays in its file,
// activations are computed again instead of kept, micro-batches get smaller. Nothing here touches a
// device.
#include "train/trainer_parts.h"

#include "base/log.h"
#include "base/memory.h"

#include <string.h>

// Borrows it.
static ts_text text_of(const char *text)
{
    return (ts_text){.bytes = (char *)(uintptr_t)text, .len = text != NULL ? strlen(text) : 0};
}

ts_adapter_config ts_trainer_adapter(const ts_train_settings *settings)
{
    return (ts_adapter_config){.r = settings->rank,
                               .alpha = settings->alpha,
                               .dropout = settings->dropout,
                               .rank_pattern = text_of(settings->rank_pattern),
                               .alpha_pattern = text_of(settings->alpha_pattern),
                               .use_rslora = settings->use_rslora,
                               .use_dora = settings->use_dora,
                               .init = settings->init_lora,
                               .targets = settings->targets};
}

static bool within(uint64_t bytes, uint64_t limit)
{
    return limit == 0 || bytes <= limit;
}

// Bytes for the present micro-batch size and recomputation, weights stored as `dtype`.
static ts_status measure(ts_trainer *trainer, ts_dtype dtype, ts_error *err)
{
    ts_status status = TS_OK;
    ts_train_plan *plan = &trainer->plan;
    const ts_train_settings *settings = &trainer->settings;
    const ts_adapter_config adapter = ts_trainer_adapter(settings);
    bool in_file = trainer->embedding_in_file;
    uint64_t count, optimiser, sums;
    TS_TRY(ts_model_plan(&trainer->config, trainer->tensors, dtype, settings->quantise,
                         trainer->limits.rows, in_file, settings->binding_limit, &adapter,
                         settings->precision, &plan->weights, &plan->adapter, err));
    TS_TRY(ts_pass_plan(&trainer->config, dtype, in_file, &adapter, settings->precision,
                        trainer->limits, &plan->activations, &plan->largest, err));
    plan->precision = settings->precision;
    TS_TRY(ts_optimiser_plan(&trainer->config, &adapter, &optimiser, err));
    TS_TRY(
        ts_reduce_plan(&trainer->config, &adapter, ts_batches_most(&trainer->batches), &sums, err));
    plan->adapter += optimiser + sums;
    if (settings->ranks != NULL) {
        const ts_exchange_params exchange = ts_trainer_exchange_params(trainer);
        TS_TRY(ts_exchange_plan(&trainer->config, &adapter, &exchange, &plan->exchange, err));
    }
    plan->total = plan->weights + plan->adapter + plan->activations;
    ts_lora_measure(&trainer->config, &adapter, &count, &plan->parameters);
    plan->binds = within(plan->largest, settings->binding_limit);
    plan->fits = plan->binds && within(plan->total, settings->memory_limit);
out:
    return status;
}

// Recomputes in as few layers as fit the limit, or in all but the last if none fit. A tensor that
// is too large to bind does not get smaller by it.
static ts_status plan_recomputation(ts_trainer *trainer, ts_dtype dtype, ts_error *err)
{
    ts_status status = TS_OK;
    double mib = 0;
    for (uint32_t layers = 0; layers < trainer->config.layers; layers++) {
        trainer->limits.recompute = layers;
        TS_TRY(measure(trainer, dtype, err));
        if (layers == 0) {
            mib = (double)trainer->plan.total / (1 << 20);
        }
        if (trainer->plan.fits || !trainer->plan.binds) {
            break;
        }
    }
    if (trainer->plan.fits && trainer->limits.recompute > 0) {
        ts_log(TS_LOG_INFO,
               "%.1f MiB would not fit: gate and up are computed again in the backward pass of %u "
               "of %u "
               "layers, which takes longer",
               mib, trainer->limits.recompute, trainer->config.layers);
    }
out:
    return status;
}

static void tell_smaller(const ts_trainer *trainer)
{
    const ts_train_plan *plan = &trainer->plan;
    const double mib = 1 << 20;
    if (plan->binds) {
        ts_log(TS_LOG_INFO,
               "%.1f MiB would not fit: micro-batches of %u rows, which makes the same step",
               (double)plan->total / mib, trainer->batches.micro_size);
    } else {
        ts_log(TS_LOG_INFO,
               "a tensor of %.1f MiB would be too large for a shader of this device, which reaches "
               "%.1f MiB of one: micro-batches of %u rows, which makes the same step",
               (double)plan->largest / mib, (double)trainer->settings.binding_limit / mib,
               trainer->batches.micro_size);
    }
}

// The largest micro-batch and the longest row held out must fit.
static void find_limits(ts_trainer *trainer)
{
    const ts_pass_limits least = trainer->held_out.at_least;
    ts_pass_limits *limits = &trainer->limits;
    *limits = ts_batches_limits(&trainer->batches, trainer->steps);
    limits->rows = (uint32_t)ts_max_u64(limits->rows, least.rows);
    limits->loss_rows = (uint32_t)ts_max_u64(limits->loss_rows, least.loss_rows);
    limits->many_logits = !trainer->few_logits;
    limits->f32_activations = trainer->settings.f32_activations;
}

// Tries these in turn until the plan fits. First the embedding stays in its file. That costs next
// to nothing; where device and host share memory it costs nothing, so there it always stays. Then
// logits are made of fewer rows at a time, which costs little, on a CPU driver nothing. Then layers
// recompute, which costs time. Then micro-batches become smaller, which costs more.
ts_status ts_trainer_plan(ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_model_config *config = &trainer->config;
    ts_dtype dtype = ts_embedding_dtype(config, trainer->tensors);
    uint64_t embedding = ts_dtype_size(dtype, (uint64_t)config->vocab * config->hidden);
    trainer->few_logits = trainer->settings.few_logits;
    find_limits(trainer);
    trainer->embedding_in_file =
        trainer->settings.shared_memory || !within(embedding, trainer->settings.binding_limit);
    TS_TRY(measure(trainer, dtype, err));
    trainer->embedding_in_file |= !trainer->plan.fits;
    TS_TRY(measure(trainer, dtype, err));
    trainer->few_logits |= !trainer->plan.fits;
    for (;;) {
        find_limits(trainer);
        TS_TRY(plan_recomputation(trainer, dtype, err));
        if (trainer->plan.fits || trainer->batches.micro_size == 1) {
            return TS_OK;
        }
        trainer->batches.micro_size = (trainer->batches.micro_size + 1) / 2;
        tell_smaller(trainer);
    }
out:
    return status;
}

ts_status ts_trainer_plan_again(ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    const uint32_t micro_size = trainer->batches.micro_size;
    if (trainer->plan.precision == trainer->settings.precision) {
        return TS_OK;
    }
    TS_TRY(ts_trainer_plan(trainer, err));
    TS_TRY(ts_trainer_check_fit(trainer, err));
    if (trainer->batches.micro_size != micro_size) {
        TS_FAIL(TS_ERR_MEMORY, "in %s the run needs smaller micro-batches: ask for --precision %s",
                ts_precision_name(trainer->settings.precision),
                ts_precision_name(trainer->settings.precision));
    }
out:
    return status;
}

ts_status ts_trainer_check_fit(const ts_trainer *trainer, ts_error *err)
{
    const ts_train_plan *plan = &trainer->plan;
    const ts_train_settings *settings = &trainer->settings;
    const double mib = 1 << 20;
    if (plan->fits) {
        return TS_OK;
    }
    if (!plan->binds) {
        return ts_error_set(err, TS_ERR_MEMORY,
                            "the run needs a tensor of %.1f MiB even one example at a time, and a "
                            "shader of this device reaches %.1f MiB of one: a lower --max-length "
                            "(the longest example has %u tokens) makes it fit",
                            (double)plan->largest / mib, (double)settings->binding_limit / mib,
                            trainer->limits.rows);
    }
    return ts_error_set(err, TS_ERR_MEMORY,
                        "the run needs %.1f MiB even one example at a time and recomputing, the "
                        "limit is %.1f MiB",
                        (double)plan->total / mib, (double)settings->memory_limit / mib);
}
