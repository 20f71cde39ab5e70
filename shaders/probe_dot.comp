#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

// The peak of this device's dot products of f16, added to f32 sums (include/dots.glsl). It is probe_fma.comp,
// which explains the method, with a dot product for each of its multiply-adds. Each adds to its sum what no
// compiler can compute in advance, at most 1/8.

layout(local_size_x = 64) in;
#include "dots.glsl"

layout(push_constant) uniform Push {
    uint iterations;
} push;

layout(std430, set = 0, binding = 0) writeonly buffer Out {
    float result[];
};

void main()
{
    const float seed = float(gl_GlobalInvocationID.x & 1023u) * 0.0001220703125;
    const uint left = packHalf2x16(vec2(seed, 0.25 * seed)), right = packHalf2x16(vec2(0.5, seed));
    float sums[12];
    [[unroll]] for (uint i = 0; i < 12; i++)
        sums[i] = seed + float(i);
    for (uint i = 0; i < push.iterations; i++)
        [[unroll]] for (uint u = 0; u < 16; u++)
            [[unroll]] for (uint s = 0; s < 12; s++)
                sums[s] = add_dot(left, right, sums[s]);
    float sum = 0.0;
    [[unroll]] for (uint s = 0; s < 12; s++)
        sum += sums[s];
    result[gl_GlobalInvocationID.x] = sum;
}
