// How fast a model generates text: greedy decoding with a key-value cache, one row for each number
// of sequences decoded at once.
#ifndef TS_CHECK_BENCH_DECODE_H
#define TS_CHECK_BENCH_DECODE_H

#include "base/blocks.h"
#include "gpu/profile.h"
#include "model/decode.h"

enum { TS_BENCH_DECODE_ROWS = 8 };

typedef struct ts_bench_decode_params {
    const ts_model_config *config; // of the model; NULL: TinyLlama's shape with random weights
    ts_weights *weights;           // whose config it is
    ts_quantise quantise;          // what its linear layers are held in; zeroed: as stored
    ts_precision precision;        // of products: one that the device offers
    const uint32_t *sequences;     // decoded at once: [count], at most TS_BENCH_DECODE_ROWS
    size_t count;
    uint32_t prompt_tokens; // in the cache of each sequence before timing starts
    uint32_t new_tokens;    // generated for each sequence while timing
    uint32_t rounds;        // of each timing; the best counts
    ts_profile *profile;    // collects the times of the dispatches; may be NULL
    void (*progress)(void *user, const char *what); // may be NULL
    void *user;
} ts_bench_decode_params;

typedef struct ts_bench_decode_row {
    uint32_t sequences;
    double prompt_s;       // for all prompts
    double step_s;         // for one more token of each sequence, the mean over new_tokens steps
    uint64_t weight_bytes; // that a step must read: those of all linear layers and lm_head
    double flops;          // that a step must do: two for each weight and sequence
    uint32_t dispatches;   // of a step
} ts_bench_decode_row;

// Fills out[params->count].
ts_status ts_bench_decode(ts_gpu *gpu, const ts_bench_decode_params *params,
                          ts_bench_decode_row *out, ts_error *err);

#endif
