// The choice of the shaders that are made for CPU drivers (shaders/cpu): gemm.h, tune.h and
// attention.h ask here first.
#ifndef TS_OPS_CPU_H
#define TS_OPS_CPU_H

#include "ops/attention.h"
#include "ops/gemm.h"
#include "ops/tune.h"

// Fills shader and constants of a product whose layout, aligned, scalars and b are set. false, and
// nothing done: another shader is to be chosen.
bool ts_cpu_choose_gemm(const ts_gpu_caps *caps, struct ts_gemm_args *args);
// The tiles that such a product may run with, that of `args` among them or not. Returns how many.
uint32_t ts_cpu_tiles(const ts_gpu_caps *caps, const struct ts_gemm_args *args,
                      ts_tile out[TS_TILES]);
// The same for attention. `arrays`: how many vectors of head size `dim` an invocation keeps for
// each of its rows.
bool ts_cpu_choose_attention(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t dim,
                             uint32_t arrays, ts_attention_choice *out);

#endif
