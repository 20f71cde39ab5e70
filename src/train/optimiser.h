// AdamW with gradient clipping on the adapter's flat arrays, and the learning-rate schedules, in
// the arithmetic of PyTorch and transformers.
#ifndef TS_TRAIN_OPTIMISER_H
#define TS_TRAIN_OPTIMISER_H

#include "model/model.h"

typedef enum ts_schedule {
    TS_SCHEDULE_LINEAR,
    TS_SCHEDULE_COSINE,
    TS_SCHEDULE_CONSTANT
} ts_schedule;

const char *ts_schedule_name(ts_schedule schedule);
ts_status ts_schedule_parse(const char *name, ts_schedule *out, ts_error *err);

// The learning rate of step `step` (from 0) of `steps`: rises linearly from 0 over `warmup` steps
// to `peak`, then linear to 0, half a cosine to 0, or constant.
double ts_schedule_rate(ts_schedule schedule, double peak, uint64_t step, uint64_t warmup,
                        uint64_t steps);

typedef struct ts_adamw_params {
    double beta1, beta2, eps, weight_decay;
    double max_grad_norm; // 0: no clipping
} ts_adamw_params;

// Small device memory of the optimiser: partial sums and the norm. Starts zeroed.
typedef struct ts_optimiser {
    ts_model *model;
    ts_gpu_arena arena, host;
    ts_view partial, norm;
    ts_view seen[2]; // the norms of the last two steps, for the host
} ts_optimiser;

ts_status ts_optimiser_open(ts_model *model, ts_optimiser *out, ts_error *err);
void ts_optimiser_close(ts_optimiser *optimiser);

// One update from the gradients gathered in the adapter, which are zero afterwards. `step` counts
// from 1 (bias correction). *grad_norm is the norm before clipping.
ts_status ts_optimiser_step(ts_optimiser *optimiser, const ts_adamw_params *params, double rate,
                            uint64_t step, double *grad_norm, ts_error *err);

// The same in two halves: record, send the recorder's work, and read when it is done, before two
// more steps are recorded.
void ts_optimiser_record(ts_optimiser *optimiser, const ts_adamw_params *params, double rate,
                         uint64_t step);
// TS_ERR_RUN where the norm is not finite.
ts_status ts_optimiser_read(ts_optimiser *optimiser, uint64_t step, double *grad_norm,
                            ts_error *err);

#endif
