// y = (accumulate ? y : 0) + x * mask * scale, the mask from Philox: one invocation four elements,
// which share one block of random words.
#version 450
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"
#include "philox.glsl"

layout(binding = 0) readonly buffer X { float x[]; };
layout(binding = 1) buffer Y { float y[]; };
layout(push_constant) uniform Scalars
{
    uint count, seed_low, seed_high, stream, drop;
    float scale;
    uint accumulate;
};

void main()
{
    const uint block = invocation_index();
    const uvec4 words = philox(uvec4(block, 0, stream, 0), uvec2(seed_low, seed_high));
    for (uint j = 0; j < 4; j++) {
        const uint i = block * 4 + j;
        if (i < count) {
            const float kept = words[j] >= drop ? x[i] * scale : 0.0;
            y[i] = accumulate != 0 ? y[i] + kept : kept;
        }
    }
}
