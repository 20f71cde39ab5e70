// partial[g] = sum of x^2 over the g-th of 256 pieces: one workgroup for each piece. There are 256
// on every device, so that they are summed in the same order everywhere.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 2) in;
#define THREADS gl_WorkGroupSize.x
#include "grid.glsl"
#include "quad.glsl"
#include "reduce.glsl"

layout(constant_id = 1) const uint QUADS = 0; // 1: count is a multiple of 4
layout(binding = 0) readonly buffer X1 { float x1[]; }; // [count]
layout(binding = 0) readonly buffer X4 { vec4 x4[]; };
layout(binding = 1) writeonly buffer Partial { float partial[]; }; // [256]
layout(push_constant) uniform Scalars { uint count; };

void main()
{
    const uint piece = workgroup_index(), me = gl_LocalInvocationID.x;
    const uint width = (count + 1023) / 1024 * 4; // whole quads
    const uint end = min((piece + 1) * width, count);
    float mine = 0;
    for (uint i = piece * width + 4 * me; i < end; i += 4 * THREADS) {
        LOAD_QUAD(value, x, i, end - i)
        mine += dot(value, value);
    }
    const float sum = workgroup_sum(mine);
    if (me == 0) {
        partial[piece] = sum;
    }
}
