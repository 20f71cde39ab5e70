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
    const char **labels;          // a ring, as the queries are
    uint64_t recorded, collected; // dispatches since it was opened
    ts_profile_row rows[64];
    size_t row_count;
} ts_profile;

ts_status ts_profile_open(ts_gpu *gpu, ts_profile *out, ts_error *err);
void ts_profile_close(ts_profile *profile);

// Called before and after a dispatch is recorded. The dispatch is not measured where too many wait
// to be collected.
void ts_profile_before(ts_profile *profile, VkCommandBuffer commands, const char *shader);
void ts_profile_after(ts_profile *profile, VkCommandBuffer commands);
// After the device is done with the first `recorded` dispatches: adds their times to the rows,
// slowest first.
ts_status ts_profile_collect(ts_profile *profile, uint64_t recorded, ts_error *err);
// Forgets dispatches that were recorded but never sent.
void ts_profile_drop(ts_profile *profile);

#endif
