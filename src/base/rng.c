#include "base/rng.h"

#include <math.h>
#include <stddef.h>

void ts_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

float ts_random_uniform(uint64_t seed, uint32_t stream, uint64_t index)
{
    uint64_t block = index / 4;
    uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), stream, 0}, out[4];
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    ts_philox(counter, key, out);
    return (float)(out[index % 4] >> 8) * 0x1p-24f;
}

float ts_random_normal(uint64_t seed, uint32_t stream, uint64_t index)
{
    double radius = 1 - (double)ts_random_uniform(seed, stream, 2 * index); // above 0, up to 1
    double angle = 2 * M_PI * (double)ts_random_uniform(seed, stream, 2 * index + 1);
    return (float)(sqrt(-2 * log(radius)) * cos(angle));
}

void ts_mt19937_seed(ts_mt19937 *rng, uint32_t seed)
{
    rng->state[0] = seed;
    for (uint32_t i = 1; i < 624; i++) {
        uint32_t last = rng->state[i - 1];
        rng->state[i] = 1812433253u * (last ^ last >> 30) + i;
    }
    rng->next = 624;
}

uint32_t ts_mt19937_next(ts_mt19937 *rng)
{
    uint32_t *s = rng->state;
    if (rng->next == 624) {
        for (uint32_t i = 0; i < 624; i++) {
            uint32_t y = (s[i] & 0x80000000u) | (s[(i + 1) % 624] & 0x7FFFFFFFu);
            s[i] = s[(i + 397) % 624] ^ y >> 1 ^ ((y & 1u) ? 0x9908B0DFu : 0u);
        }
        rng->next = 0;
    }
    uint32_t y = s[rng->next++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9D2C5680u;
    y ^= y << 15 & 0xEFC60000u;
    return y ^ y >> 18;
}

void ts_torch_randperm(uint64_t seed, uint32_t n, uint32_t *out)
{
    ts_mt19937 rng;
    ts_mt19937_seed(&rng, (uint32_t)seed);
    for (uint32_t i = 0; i < n; i++) {
        out[i] = i;
    }
    for (uint32_t i = 0; i + 1 < n; i++) {
        uint32_t j = i + ts_mt19937_next(&rng) % (n - i);
        uint32_t swap = out[i];
        out[i] = out[j];
        out[j] = swap;
    }
}
