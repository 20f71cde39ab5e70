// How fast this device is, in fractions of what it can do: its own peaks first, then matrix
// products at TinyLlama's shapes, then whole passes of a model.
#ifndef TS_CHECK_BENCH_H
#define TS_CHECK_BENCH_H

#include "gpu/profile.h"
#include "ops/gemm.h"

typedef struct ts_bench_params {
    const char *folder;     // a model; NULL: TinyLlama's shape with random weights
    const uint32_t *tokens; // sequence lengths of the whole passes
    size_t token_count;
    ts_precision precision; // of products: one that the device offers
    bool products, passes;  // which parts to run
    uint32_t rounds;        // of each timing; the best counts
    ts_profile *profile;    // where the whole passes' dispatches are timed; may be NULL
    void (*progress)(void *user, const char *what);
    void *user;
} ts_bench_params;

// One timing.
typedef struct ts_bench_row {
    char name[64];
    double seconds;  // of one run
    double flops;    // that one run must do
    uint32_t tokens; // that one run handles; 0: not a pass
} ts_bench_row;

typedef struct ts_bench_result {
    double flops_per_second; // multiply-adds, the best that the probe reached
    double bytes_per_second; // copied, read and written both counted
    ts_bench_row rows[48];
    size_t count;
} ts_bench_result;

ts_status ts_bench(ts_gpu *gpu, const ts_bench_params *params, ts_bench_result *out, ts_error *err);

#endif
