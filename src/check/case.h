// A reference case as its files tell it.
#ifndef TS_CHECK_CASE_H
#define TS_CHECK_CASE_H

#include "data/safetensors.h"
#include "model/batch.h"
#include "train/optimiser.h"

// How far off PyTorch's autocast is on a case: relative errors of the logits, of the worst tensor's
// gradients, and of the loss of each step. losses NULL: the case does not tell.
typedef struct ts_autocast_errors {
    double logits, gradients;
    double *losses; // [steps]
} ts_autocast_errors;

// Starts zeroed.
typedef struct ts_case {
    ts_text folder, name;
    ts_tensors *golden;
    ts_adamw_params adamw;
    double rate;
    ts_dtype dtype; // what the reference's model.to() rounded everything to, rotary frequencies too
    uint64_t steps, warmup;
    bool all_modules;      // adapts all seven
    ts_batch *micro;       // the micro-batches of every step
    uint32_t (*shapes)[2]; // [B, T] of each as golden pads it
    uint32_t micro_count;
    uint64_t supervised; // over all micro-batches
    uint32_t max_rows, max_positions;
    ts_autocast_errors autocast_f16, autocast_bf16;
} ts_case;

ts_status ts_case_open(const char *folder, ts_case *out, ts_error *err);
void ts_case_close(ts_case *c);

#endif
