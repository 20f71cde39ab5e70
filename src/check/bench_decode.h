// How fast a model writes: greedy decoding with its key-value cache, one row of the table for each
// number of sequences that are written at once.
#ifndef TS_CHECK_BENCH_DECODE_H
#define TS_CHECK_BENCH_DECODE_H

#include "gpu/profile.h"
#include "model/decode.h"

enum { TS_BENCH_DECODE_ROWS = 8 };

typedef struct ts_bench_decode_params {
    const char *folder;        // a model; NULL: TinyLlama's shape with random weights
    ts_precision precision;    // of products: one that the device offers
    const uint32_t *sequences; // decoded at once: [count], at most TS_BENCH_DECODE_ROWS
    size_t count;
    uint32_t prompt_tokens; // that each sequence has in the cache before it is timed
    uint32_t new_tokens;    // that each sequence then gets
    uint32_t rounds;        // of each timing; the best counts
    ts_profile *profile;    // where the timed steps' dispatches are timed; may be NULL
    void (*progress)(void *user, const char *what); // may be NULL
    void *user;
} ts_bench_decode_params;

typedef struct ts_bench_decode_row {
    uint32_t sequences;
    double prompt_s;       // all prompts
    double step_s;         // one more token for each sequence, the mean over new_tokens of them
    uint64_t weight_bytes; // that a step must read: every linear layer's and lm_head's
    double flops;          // that it must do: two a weight and sequence
    uint32_t dispatches;   // of a step
} ts_bench_decode_row;

// Fills out[params->count].
ts_status ts_bench_decode(ts_gpu *gpu, const ts_bench_decode_params *params,
                          ts_bench_decode_row *out, ts_error *err);

#endif
