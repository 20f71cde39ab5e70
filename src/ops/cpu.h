// Chooses among the shaders written for CPU drivers (shaders/cpu). The functions of gemm.h, tune.h
// and attention.h call these first.
#ifndef TS_OPS_CPU_H
#define TS_OPS_CPU_H

#include "ops/attention.h"
#include "ops/gemm.h"
#include "ops/tune.h"

// Sets the shader and the constants of a product whose layout, aligned, scalars and b are set.
// Returns false and changes nothing if none of these shaders suits the device.
bool ts_cpu_choose_gemm(const ts_gpu_caps *caps, struct ts_gemm_args *args);
// Lists tiles that such a product may run with. The tile in `args` may or may not be among them.
// Returns their number.
uint32_t ts_cpu_tiles(const ts_gpu_caps *caps, const struct ts_gemm_args *args,
                      ts_tile out[TS_TILES]);
// Like ts_cpu_choose_gemm, for attention: sets *out. `arrays`: how many vectors of head size `dim`
// an invocation keeps for each of its rows.
bool ts_cpu_choose_attention(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t dim,
                             uint32_t arrays, ts_attention_choice *out);

#endif
