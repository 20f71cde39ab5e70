// A kernel of the registry tried alone: a shape, buffers with content that suits it, one run on the
// device and one on the mirror, and how far they are apart. For those who go through all kernels:
// the tests and the doctor.
#ifndef TS_OPS_TRIAL_H
#define TS_OPS_TRIAL_H

#include "ops/gemm.h"

#include <string.h>

typedef struct ts_trial {
    ts_kernel kernel;
    uint32_t shader;      // of the row's
    ts_dtype stored;      // of its WEIGHT buffers
    ts_dispatch dispatch; // scalars and constants
    bool one_sequence;    // rows that attend are one long sequence, otherwise many short ones
    uint32_t random;      // what shapes and contents are drawn from
} ts_trial;

// The row's, as wide as the type that the shader rounds to.
double ts_trial_tolerance(ts_kernel kernel, uint32_t shader);

// A number below `below`, the next that `state` gives.
static inline uint32_t ts_trial_pick(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(*state >> 4) * below >> 28);
}

static inline bool ts_trial_same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

// The place of the scalar or constant called `name` in the dispatch; NULL: the row has none.
uint32_t *ts_trial_field(ts_trial *trial, const char *name);

// Draws an awkward shape for the trial's shader and storage type: one, odd, prime, one past a tile,
// a long row. The shapes come from lists of values by the name of the scalar, so that a new row has
// them as soon as it exists.
void ts_trial_draw(const ts_gpu_caps *caps, ts_trial *trial);

// Of a product whose m, n, k and strides are set: the shader (of gemm) and the constants that
// `caps` choose for it. Of gemm_cm the shader is set.
void ts_trial_choose(const ts_gpu_caps *caps, ts_layout layout, ts_trial *trial);

// One device's part in a trial. Both sides of the same trial begin with the same content.
typedef struct ts_trial_side {
    ts_gpu *gpu;
    ts_gpu_arena arena;
    ts_recorder *recorder;
    ts_view views[10];
} ts_trial_side;

// `side` may be closed whether or not opening succeeded.
ts_status ts_trial_open(const ts_trial *trial, ts_gpu *gpu, ts_trial_side *side, ts_error *err);
void ts_trial_close(ts_trial_side *side);
// Runs the kernel `times` times and waits.
ts_status ts_trial_run(const ts_trial *trial, ts_trial_side *side, uint32_t times, ts_error *err);

// The largest ||device - mirror|| / ||mirror|| of the buffers that the kernel writes, each side
// having run once; NaN where the device made one. *buffer is which that was.
ts_status ts_trial_compare(const ts_trial *trial, const ts_trial_side *device,
                           const ts_trial_side *mirror, double *error, const char **buffer,
                           ts_error *err);

#endif
