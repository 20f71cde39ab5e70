// Random numbers that need no state: value = f(seed, stream, index), so that a resumed run, the
// host and a shader all see the same ones. Philox 4x32-10 (Salmon et al., "Parallel random
// numbers: as easy as 1, 2, 3", SC 2011); shaders/include/philox.glsl computes the same.
#ifndef TS_BASE_RNG_H
#define TS_BASE_RNG_H

#include <stdint.h>

// One block of four 32-bit values for a 128-bit counter and a 64-bit key.
void ts_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

// Uniform in [0, 1) with 24 bits: value number `index` of stream `stream` of `seed`.
float ts_random_uniform(uint64_t seed, uint32_t stream, uint64_t index);

// Normal with mean 0 and deviation 1, by Box and Muller (1958): value number `index` of a stream.
// It takes the uniform values 2 index and 2 index + 1.
float ts_random_normal(uint64_t seed, uint32_t stream, uint64_t index);

// Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), for one purpose: PyTorch's order of
// the training data (ts_torch_randperm).
typedef struct ts_mt19937 {
    uint32_t state[624];
    uint32_t next;
} ts_mt19937;
void ts_mt19937_seed(ts_mt19937 *rng, uint32_t seed);
uint32_t ts_mt19937_next(ts_mt19937 *rng);

// The permutation that torch.randperm(n) gives with a CPU generator of this seed; n < 2^32 / 20.
void ts_torch_randperm(uint64_t seed, uint32_t n, uint32_t *out);

#endif
