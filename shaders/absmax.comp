// largest[g] = max |x| over the g-th of 256 pieces, 0 for an empty one: one workgroup for each
// piece. gemm_cm.comp scales an operand of a 16-bit product by the largest of them. A NaN may be
// missed here; the product will show it.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 2) in;
#define THREADS gl_WorkGroupSize.x
#include "act.glsl"
#include "grid.glsl"
#include "reduce.glsl"

layout(constant_id = 1) const uint QUADS = 0; // 1: count is a multiple of 4
ACT_READ(0, x) // [count]
layout(binding = 1) writeonly buffer Largest { float largest[]; }; // [256]
layout(push_constant) uniform Scalars { uint count; };

void main()
{
    const uint piece = workgroup_index(), me = gl_LocalInvocationID.x;
    const uint width = (count + 1023) / 1024 * 4; // whole quads
    const uint end = min((piece + 1) * width, count);
    float mine = 0;
    for (uint i = piece * width + 4 * me; i < end; i += 4 * THREADS) {
        const vec4 value = abs(x_load(QUADS != 0, i, end - i));
        mine = max(mine, max(max(value.x, value.y), max(value.z, value.w)));
    }
    const float most = workgroup_max(mine);
    if (me == 0) {
        largest[piece] = most;
    }
}
