// What a device would do in one training step of TinyLlama: its dispatches, by pipeline, and how
// often each pipeline's inner loop runs. With the compiler's listing (gpu/pipeline.h) this
// estimates a step on a card that is not there: tools/estimate_step.sh.
#ifndef TS_CHECK_STEP_PLAN_H
#define TS_CHECK_STEP_PLAN_H

#include "gpu/recorder.h"
#include "ops/gemm.h"

// One pipeline's part in the step.
typedef struct ts_step_part {
    uint32_t dispatches;
    uint32_t invocations; // of a workgroup
    uint64_t workgroups;  // of all dispatches together
    uint64_t loops;   // steps of the inner loop, all workgroups together. Kernels without a loop
                      // that takes most of their time count one for each workgroup
    uint64_t longest; // of these the most that one workgroup takes, one after the other
    uint64_t serial;  // the longest of each dispatch, added up
    uint64_t inner;   // how often loops within that loop run each time, where it has some
    uint64_t bytes;   // of all tensors that it reads and writes, each once a dispatch
} ts_step_part;

typedef struct ts_step_plan {
    ts_step_part *parts; // in the order of ts_gpu_pipeline_key
    size_t count, capacity;
    uint64_t barriers; // at each of them the device waits until all it was given is done
} ts_step_plan;

// Plans a step of one sequence of `tokens` tokens, all of which bear loss, of a model stored in
// bf16, with an adapter of rank 8 on q and v, nothing recomputed. `gpu` must have been opened with
// compile_only.
ts_status ts_step_plan_make(ts_gpu *gpu, ts_precision precision, uint32_t tokens, ts_step_plan *out,
                            ts_error *err);
void ts_step_plan_free(ts_step_plan *plan);

#endif
