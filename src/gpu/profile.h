// Time on the device by shader: two timestamps around every dispatch.
#ifndef TS_GPU_PROFILE_H
#define TS_GPU_PROFILE_H

#include "gpu/gpu.h"

typedef struct ts_profile_row {
    const char *shader;
    uint64_t dispatches;
    double seconds;
} ts_profile_row;

// Starts zeroed; open only on a device with timestamps (ts_gpu_caps.timestamp_ns > 0).
typedef struct ts_profile {
    ts_gpu *gpu;
    VkQueryPool queries;
    const char **labels; // of the dispatches of the present run
    uint32_t used;       // dispatches of the present run that have timestamps
    ts_profile_row rows[64];
    size_t row_count;
} ts_profile;

ts_status ts_profile_open(ts_gpu *gpu, ts_profile *out, ts_error *err);
void ts_profile_close(ts_profile *profile);

// Around a dispatch, while recording. Past the pool's size dispatches go unmeasured.
void ts_profile_before(ts_profile *profile, VkCommandBuffer commands, const char *shader);
void ts_profile_after(ts_profile *profile, VkCommandBuffer commands);
// After the device is done: adds the run's times to the rows, slowest first.
ts_status ts_profile_collect(ts_profile *profile, ts_error *err);

#endif
