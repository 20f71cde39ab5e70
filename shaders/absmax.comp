// largest[g] = max |x| over the g-th of 256 equal pieces, 0 of an empty one: one workgroup a piece.
// What an operand of a 16-bit product is scaled by (gemm_cm.comp). NaN may be missed: the product
// will show it.
#version 450
#extension GL_GOOGLE_include_directive : require
#define WORKERS 128
layout(local_size_x = WORKERS) in;
#include "grid.glsl"
#include "reduce.glsl"

layout(binding = 0) readonly buffer X { float x[]; };              // [count]
layout(binding = 1) writeonly buffer Largest { float largest[]; }; // [256]
layout(push_constant) uniform Scalars { uint count; };

void main()
{
    const uint piece = workgroup_index(), me = gl_LocalInvocationID.x;
    const uint width = (count + 255) / 256;
    const uint end = min((piece + 1) * width, count);
    float most = 0;
    for (uint i = piece * width + me; i < end; i += WORKERS) {
        most = max(most, abs(x[i]));
    }
    most = workgroup_max(most);
    if (me == 0) {
        largest[piece] = most;
    }
}
