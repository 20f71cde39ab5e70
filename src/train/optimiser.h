// AdamW with gradient clipping on the adapter's flat arrays, and the learning-rate schedules, in
// the arithmetic of PyTorch and transformers.
#ifndef TS_TRAIN_OPTIMISER_H
#define TS_TRAIN_OPTIMISER_H

#include "model/pass.h"

typedef enum ts_schedule {
    TS_SCHEDULE_LINEAR,
    TS_SCHEDULE_COSINE,
    TS_SCHEDULE_CONSTANT,
    TS_SCHEDULE_COSINE_WITH_RESTARTS,
    TS_SCHEDULE_COUNT,
} ts_schedule;

const char *ts_schedule_name(ts_schedule schedule);
// Takes transformers' names; constant_with_warmup is constant, which has a warm-up here anyway.
ts_status ts_schedule_parse(const char *name, ts_schedule *out, ts_error *err);

// The learning rates of a run. Each schedule has transformers' formula (optimization.py).
typedef struct ts_learning_rate {
    ts_schedule schedule;
    double peak;
    double min_ratio; // of cosine: it falls to this part of the peak
    uint64_t cycles;  // of cosine_with_restarts: so many half cosines, each from the peak; 0: 1
    uint64_t warmup, steps;
} ts_learning_rate;

// The learning rate of step `step` (from 0) of `steps`: rises linearly from 0 over `warmup` steps
// to `peak`, then linear to 0, half a cosine to its floor, half cosines to 0, or constant.
double ts_learning_rate_at(const ts_learning_rate *rate, uint64_t step);
// The same without a floor and with a single cosine.
double ts_schedule_rate(ts_schedule schedule, double peak, uint64_t step, uint64_t warmup,
                        uint64_t steps);

typedef struct ts_adamw_params {
    double beta1, beta2, eps, weight_decay;
    double max_grad_norm; // 0: no clipping
    double b_ratio; // the rate of the B matrices, and of DoRA's magnitudes, in terms of A's (LoRA+,
                    // Hayou et al. 2024, https://arxiv.org/abs/2402.12354); 0: 1
} ts_adamw_params;

enum { TS_SQUARE_PIECES = 256 }; // of the gradients' sum of squares, as sum_squares divides them

// AdamW's state, and what the device needs for clipping. Starts zeroed.
typedef struct ts_optimiser {
    ts_pass *pass; // borrowed: its recorder, its model's adapter and its gradients
    ts_gpu_arena arena, host;
    ts_view first_moment, second_moment; // [count of the adapter]
    ts_view partial;                     // [TS_SQUARE_PIECES] of the gradients' sum of squares
    ts_view norm;                        // [2] norm of all gradients, and the factor to clip them
    ts_view seen[2];                     // the norms of the last two steps, for the host
} ts_optimiser;

// Opens an optimiser with zero moments. The pass must be one that trains, and must outlive it.
ts_status ts_optimiser_open(ts_pass *pass, ts_optimiser *out, ts_error *err);
void ts_optimiser_close(ts_optimiser *optimiser);
// Makes the moments zero again, as at the start. It waits for the device.
ts_status ts_optimiser_reset(ts_optimiser *optimiser, ts_error *err);
// Device bytes that ts_optimiser_open would take for such an adapter.
ts_status ts_optimiser_plan(const ts_model_config *config, const ts_adapter_config *adapter,
                            uint64_t *bytes, ts_error *err);

// One update from the gradients summed in the pass, which are zero afterwards. `step` counts from 1
// (bias correction). *grad_norm is the norm before clipping. TS_ERR_RUN if it is not finite.
ts_status ts_optimiser_step(ts_optimiser *optimiser, const ts_adamw_params *params, double rate,
                            uint64_t step, double *grad_norm, ts_error *err);

// The same in two halves. Record a step, send the recorder's work, and read the norm once it is
// done, before two more steps are recorded.
void ts_optimiser_record(ts_optimiser *optimiser, const ts_adamw_params *params, double rate,
                         uint64_t step);
// The two parts of ts_optimiser_record, for gradients and an update that ranks share
// (exchange.h). _squares leaves the sums of squares of the gradients in `partial`; _update goes on
// from those, and updates only floats first .. first + count - 1 of the flat arrays.
void ts_optimiser_record_squares(ts_optimiser *optimiser);
void ts_optimiser_record_update(ts_optimiser *optimiser, const ts_adamw_params *params, double rate,
                                uint64_t step, uint64_t first, uint64_t count);
// TS_ERR_RUN if the norm is not finite.
ts_status ts_optimiser_read(ts_optimiser *optimiser, uint64_t step, double *grad_norm,
                            ts_error *err);

#endif
