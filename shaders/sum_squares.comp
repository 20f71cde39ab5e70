// partial[g] = sum of x^2 over the g-th of 256 equal pieces: one workgroup a piece. 256 pieces
// whatever the device, so that the sum's order is the same everywhere.
#version 450
#extension GL_GOOGLE_include_directive : require
#define WORKERS 128
layout(local_size_x = WORKERS) in;
#include "grid.glsl"
#include "reduce.glsl"

layout(binding = 0) readonly buffer X { float x[]; };              // [count]
layout(binding = 1) writeonly buffer Partial { float partial[]; }; // [256]
layout(push_constant) uniform Scalars { uint count; };

void main()
{
    const uint piece = workgroup_index(), me = gl_LocalInvocationID.x;
    const uint width = (count + 255) / 256;
    const uint end = min((piece + 1) * width, count);
    float squares = 0;
    for (uint i = piece * width + me; i < end; i += WORKERS) {
        squares += x[i] * x[i];
    }
    const float sum = workgroup_sum(squares);
    if (me == 0) {
        partial[piece] = sum;
    }
}
