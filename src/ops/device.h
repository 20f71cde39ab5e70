// Opens a device for work: without the shaders that doctor found slow or broken on it, and with a
// precision whose matrix units have passed a test.
#ifndef TS_OPS_DEVICE_H
#define TS_OPS_DEVICE_H

#include "ops/gemm.h"

// Errors: those of ts_gpu_open, and TS_ERR_SHADER if doctor found a shader BROKEN that nothing can
// replace. Close *out even after an error.
ts_status ts_device_open(const ts_gpu_params *params, ts_gpu **out, ts_error *err);
// The same from a list that was made with `params` (see ts_gpu_open_listed).
ts_status ts_device_open_listed(ts_gpu_list *list, const ts_gpu_params *params, ts_gpu **out,
                                ts_error *err);

// Like ts_precision_choose, but chooses f32 if the device's matrix units fail their test: slow is
// better than wrong. Logs every choice but plain f32.
ts_status ts_device_choose_precision(ts_gpu *gpu, const char *name, ts_precision *out,
                                     ts_error *err);

// Called before a model with heads of size `dim` is used. When the precision was chosen, attention
// on matrix units was tried with heads of TS_TESTED_DIM; here it is tried with other ones' tiles.
// What is wrong is left out, with a warning.
enum { TS_TESTED_DIM = 64 };
void ts_device_test_attention(ts_gpu *gpu, ts_precision precision, uint32_t dim);

#endif
