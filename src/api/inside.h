// What the command line sees of a training beyond the library's header: what concerns those who
// look into the program, not those who use it.
#ifndef TS_API_INSIDE_H
#define TS_API_INSIDE_H

#include <tinysft/tinysft.h>

#include "gpu/profile.h"
#include "gpu/recorder.h"

// TS_ERR_MEMORY where the plan does not fit its limit, as the run would say.
ts_status ts_api_check_fit(const tinysft_training *training, ts_error *err);

// Before the run: has every dispatch timed. `profile` is closed after the training and before the
// device.
ts_status ts_api_profile(tinysft_training *training, ts_profile *profile, ts_error *err);
// Of a run, for its figures.
const ts_recorder *ts_api_recorder(const tinysft_training *training);

#endif
