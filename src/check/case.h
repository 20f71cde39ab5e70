// A reference case, read from its files.
#ifndef TS_CHECK_CASE_H
#define TS_CHECK_CASE_H

#include "base/blocks.h"
#include "data/safetensors.h"
#include "model/batch.h"
#include "model/losses.h"
#include "train/optimiser.h"

// The errors of PyTorch's autocast on a case, relative to float64: of the logits, of the gradients
// of the worst tensor, and of the loss at each step. losses is NULL if the case does not have them.
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
    ts_quantise quantise; // what linear layers are held in; the stored weights are rounded to it
    ts_dtype rope_dtype;  // the type that the reference rounded the rotary frequencies to
    uint64_t steps, warmup;
    bool all_modules;      // the adapter is on all seven modules
    ts_batch *micro;       // the micro-batches of every step
    uint32_t (*shapes)[2]; // [B, T] of each micro-batch, as the golden file pads it
    uint32_t micro_count;
    uint64_t supervised; // supervised tokens of all micro-batches
    ts_loss_kind loss;
    ts_loss_params loss_params; // of a loss over pairs
    uint32_t max_rows, max_positions;
    ts_autocast_errors autocast_f16, autocast_bf16;
} ts_case;

// Reads the case in `folder`. After an error *out is closed already.
ts_status ts_case_open(const char *folder, ts_case *out, ts_error *err);
void ts_case_close(ts_case *c);

#endif
