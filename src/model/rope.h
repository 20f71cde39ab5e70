// Rotary position embedding (Su et al. 2021): how fast each pair of a head's elements rotates, and
// the table of cosines and sines that the kernel reads. Each kind is a row in rope.c.
#ifndef TS_MODEL_ROPE_H
#define TS_MODEL_ROPE_H

#include "base/dtype.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum ts_rope_kind {
    TS_ROPE_DEFAULT, // theta^(-2i / head_dim)
    TS_ROPE_LLAMA3,  // Llama 3.1: the same for short wavelengths, slower by `factor` for long ones
    TS_ROPE_KIND_COUNT,
} ts_rope_kind;

// Starts zeroed, but for theta.
typedef struct ts_rope_config {
    ts_rope_kind kind;
    double theta;
    // TS_ROPE_LLAMA3: wavelengths above original_positions / low_freq_factor positions are long,
    // those below original_positions / high_freq_factor short.
    double factor, low_freq_factor, high_freq_factor;
    uint32_t original_positions;
} ts_rope_config;

// Whether a config.json's rope_type is one of the kinds.
bool ts_rope_kind_find(const char *name, ts_rope_kind *out);

// The frequency that TS_ROPE_DEFAULT gives pair i of a head, divided by that of this kind: the
// factors that a GGUF file holds.
float ts_rope_divisor(const ts_rope_config *config, uint32_t head_dim, uint32_t i);

// Fills table[positions, head_dim / 2, 2] with cosines and sines. The frequencies are first rounded
// to `dtype`, as a model that was converted to that type has them.
void ts_rope_fill(const ts_rope_config *config, uint32_t head_dim, uint32_t positions,
                  ts_dtype dtype, float *table);

#endif
