// Every pipeline that tuning TinyLlama and answering with it would use on a device, built and not
// run: whether its driver's compiler takes them, and what it tells of them. Needs no working
// device, only a driver, so that it can be asked of hardware that is not there (RADV_FORCE_FAMILY).
#ifndef TS_CHECK_PIPELINES_H
#define TS_CHECK_PIPELINES_H

#include "base/text.h"
#include "gpu/pipeline.h"
#include "ops/gemm.h"

// Records training steps (batches of several sizes, adapters of two kinds, gate and up kept and
// made again) and decoding, for weights stored in each type, in one precision that the device
// offers. `gpu` must have been opened with compile_only; then its pipelines (gpu/pipeline.h) are
// those.
ts_status ts_pipelines_build(ts_gpu *gpu, ts_precision precision, ts_error *err);

// Appends "gemm_vec BF16 layout=0 aligned=1 ...": the shader and its specialisation constants.
ts_status ts_pipelines_label(const ts_pipeline_key *key, ts_text *out, ts_error *err);

// The figure that tells `what`, under whichever name drivers give it; NAN where none does.
typedef enum ts_figure {
    TS_FIGURE_VECTOR_REGISTERS,
    TS_FIGURE_SCALAR_REGISTERS,
    TS_FIGURE_SPILLS,             // registers kept in memory, of both kinds; Turnip: stores to it
    TS_FIGURE_SCRATCH_BYTES,      // per invocation or wave, as the driver counts
    TS_FIGURE_SHARED_BYTES,       // of a workgroup
    TS_FIGURE_CODE_BYTES,         // Turnip counts words of 4 bytes
    TS_FIGURE_INSTRUCTIONS,       //
    TS_FIGURE_WAVES,              // subgroups that a SIMD unit or a core can hold at once
    TS_FIGURE_LATENCY,            // cycles of one subgroup alone, as the compiler estimates
    TS_FIGURE_INVERSE_THROUGHPUT, // cycles a subgroup costs where many run
    TS_FIGURE_COUNT
} ts_figure;
double ts_pipelines_figure(const ts_pipeline_figures *figures, ts_figure what);

#endif
