// What the command line uses of the library beyond the library's header: functions to examine the
// program, which the library's users do not need.
#ifndef TS_API_INSIDE_H
#define TS_API_INSIDE_H

#include <tinysft/tinysft.h>

#include "gpu/gpu.h"
#include "gpu/profile.h"
#include "gpu/recorder.h"

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
