// Opening a device to work with: without the shaders that doctor found wanting on it, and with a
// precision whose matrix units were seen to multiply right.
#ifndef TS_OPS_DEVICE_H
#define TS_OPS_DEVICE_H

#include "ops/gemm.h"

// Errors: those of ts_gpu_open, and TS_ERR_SHADER where doctor found a shader BROKEN that nothing
// can replace. *out is to be closed whether or not it succeeds.
ts_status ts_device_open(const ts_gpu_params *params, ts_gpu **out, ts_error *err);
// The same from a list that was made with `params` (see ts_gpu_open_listed).
ts_status ts_device_open_listed(ts_gpu_list *list, const ts_gpu_params *params, ts_gpu **out,
                                ts_error *err);

// What ts_precision_choose says of `name`, or f32 where the device's matrix units fail their test:
// slower is better than wrong. What is not plainly f32 is told to the log.
ts_status ts_device_choose_precision(ts_gpu *gpu, const char *name, ts_precision *out,
                                     ts_error *err);

#endif
