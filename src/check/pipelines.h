// Builds, without running them, all pipelines that training TinyLlama and generating with it would
// use. Shows whether a driver's compiler accepts them and what it reports about them. This needs a
// driver but no working device, so it can be done for hardware that is not there
// (RADV_FORCE_FAMILY).
#ifndef TS_CHECK_PIPELINES_H
#define TS_CHECK_PIPELINES_H

#include "base/text.h"
#include "check/step_plan.h"
#include "gpu/pipeline.h"
#include "ops/gemm.h"

// Builds the pipelines of training steps (batches of several sizes, two kinds of adapters, gate and
// up kept or recomputed) and of decoding, for weights of each type, in one precision that the
// device offers: at TinyLlama's shape and, on a GPU, at small ones with heads of other sizes, and
// every tile that a product may be given there. `gpu` must have been opened with compile_only;
// gpu/pipeline.h lists its pipelines afterwards.
ts_status ts_pipelines_build(ts_gpu *gpu, ts_precision precision, ts_error *err);

// Appends "gemm_vec BF16 layout=0 aligned=1 ...": the shader and its specialisation constants.
ts_status ts_pipelines_label(const ts_pipeline_key *key, ts_text *out, ts_error *err);

// The value of a figure. Drivers give it different names. NAN if this driver does not report it.
typedef enum ts_figure {
    TS_FIGURE_VECTOR_REGISTERS,
    TS_FIGURE_SCALAR_REGISTERS,
    TS_FIGURE_SPILLS,        // registers stored to memory, vector and scalar; Turnip: the stores
    TS_FIGURE_SCRATCH_BYTES, // per invocation or wave, whichever the driver counts
    TS_FIGURE_SHARED_BYTES,  // of a workgroup
    TS_FIGURE_CODE_BYTES,    // Turnip counts words of 4 bytes
    TS_FIGURE_INSTRUCTIONS,  // of the compiled code
    TS_FIGURE_WAVES,         // subgroups that a SIMD unit or a core can hold at once
    TS_FIGURE_LATENCY,       // cycles of one subgroup alone, as the compiler estimates
    TS_FIGURE_INVERSE_THROUGHPUT, // cycles per subgroup when many run
    TS_FIGURE_COUNT
} ts_figure;
double ts_pipelines_figure(const ts_pipeline_figures *figures, ts_figure what);

#endif
