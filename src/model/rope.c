#include "model/rope.h"

#include <math.h>
#include <string.h>

// The frequency of pair i of a head's head_dim / 2 pairs, in radians a position, by the same steps
// as in transformers, each rounded to float. That is up to 5e-7 off, which late in a sequence is
// more than all other rounding in f32, so an exact frequency would not match.
typedef float (*frequency_of)(const ts_rope_config *config, uint32_t head_dim, uint32_t i);

static float default_frequency(const ts_rope_config *config, uint32_t head_dim, uint32_t i)
{
    float exponent = 2.0f * (float)i / (float)head_dim;
    return 1 / (float)pow((float)config->theta, exponent);
}

// Llama 3.1's. Between short and long wavelengths the two frequencies are mixed.
static float llama3_frequency(const ts_rope_config *config, uint32_t head_dim, uint32_t i)
{
    const float frequency = default_frequency(config, head_dim, i);
    const float low = (float)config->low_freq_factor, high = (float)config->high_freq_factor;
    const double original = config->original_positions;
    const float factor = (float)config->factor, wavelength = 1 / frequency * 6.28318530717958648f;
    if (wavelength < (float)(original / config->high_freq_factor)) {
        return frequency;
    }
    if (wavelength > (float)(original / config->low_freq_factor)) {
        return frequency / factor;
    }
    const float smooth = (1 / wavelength * (float)original - low) / (high - low);
    const float slow = (1 - smooth) * frequency / factor, fast = smooth * frequency;
    return slow + fast;
}

// Each kind has its name in config.json and its frequencies.
static const struct {
    const char *name;
    frequency_of frequency;
} kinds[TS_ROPE_KIND_COUNT] = {
    [TS_ROPE_DEFAULT] = {"default", default_frequency},
    [TS_ROPE_LLAMA3] = {"llama3", llama3_frequency},
};

bool ts_rope_kind_find(const char *name, ts_rope_kind *out)
{
    for (ts_rope_kind kind = 0; kind < TS_ROPE_KIND_COUNT; kind++) {
        if (strcmp(kinds[kind].name, name) == 0) {
            *out = kind;
            return true;
        }
    }
    return false;
}

float ts_rope_divisor(const ts_rope_config *config, uint32_t head_dim, uint32_t i)
{
    return default_frequency(config, head_dim, i) /
           kinds[config->kind].frequency(config, head_dim, i);
}

static float round_to(ts_dtype dtype, float value)
{
    return dtype == TS_BF16  ? ts_bf16_to_f32(ts_f32_to_bf16(value))
           : dtype == TS_F16 ? ts_f16_to_f32(ts_f32_to_f16(value))
                             : value;
}

// An angle is position * frequency in float, as in transformers. The host computes cosine and sine,
// because Vulkan promises little precision for them.
void ts_rope_fill(const ts_rope_config *config, uint32_t head_dim, uint32_t positions,
                  ts_dtype dtype, float *table)
{
    uint32_t pairs = head_dim / 2;
    for (uint32_t i = 0; i < pairs; i++) {
        float frequency = round_to(dtype, kinds[config->kind].frequency(config, head_dim, i));
        for (uint32_t p = 0; p < positions; p++) {
            float angle = (float)p * frequency;
            table[((size_t)p * pairs + i) * 2] = (float)cos(angle);
            table[((size_t)p * pairs + i) * 2 + 1] = (float)sin(angle);
        }
    }
}
