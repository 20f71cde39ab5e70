// What the command line uses of the library beyond the library's header: functions to examine the
// program, which the library's users do not need.
#ifndef TS_API_INSIDE_H
#define TS_API_INSIDE_H

#include <tinysft/tinysft.h>

#include "base/ranks.h"
#include "gpu/gpu.h"
#include "gpu/profile.h"
#include "gpu/recorder.h"

// tinysft_training_open for one of several ranks (borrowed), which all call it; NULL: one alone.
// balance: ranks get micro-batches by their speed.
tinysft_status ts_api_training_open(tinysft_device *device, const tinysft_training_params *params,
                                    ts_ranks *ranks, bool balance, tinysft_training **out,
                                    tinysft_error *error);

// What a rank has to do in a step; `device_bytes` are the caller's own. After the run, of all ranks
// (train/exchange.h): how long an exchange takes alone, and what was waited for it in all in how
// many steps.
typedef struct ts_api_share {
    uint32_t first, end, all; // its micro-batches, of so many
    uint64_t device_bytes, host_bytes, sent_bytes;
    double alone_s, waited_s;
    uint64_t steps;
} ts_api_share;
ts_status ts_api_get_share(tinysft_training *training, uint32_t rank, ts_api_share *out,
                           ts_error *err);

// Before the evaluation is run: deals its prompts among ranks (borrowed), which all run it.
void ts_api_evaluation_set_ranks(tinysft_evaluation *evaluation, ts_ranks *ranks);

// Describes a device by what was read of it, but for why it was chosen.
void ts_api_describe_device(const ts_gpu_caps *caps, tinysft_device_info *out);

// TS_ERR_MEMORY, with the message that the run would give, if the plan exceeds its memory limit.
ts_status ts_api_check_fit(const tinysft_training *training, ts_error *err);

// Call it before the run, to have every dispatch timed. Close `profile` after the training and
// before the device.
ts_status ts_api_profile(tinysft_training *training, ts_profile *profile, ts_error *err);
// The same for all evaluations of a model. Close `profile` after the model and before the device.
ts_status ts_api_profile_model(tinysft_model *model, ts_profile *profile, ts_error *err);
// The recorder of the run, for its statistics.
const ts_recorder *ts_api_recorder(const tinysft_training *training);

#endif
