// delta[t, head] = sum over dim of dout * o: one invocation a row and head.
#version 450
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 64) in;
#include "grid.glsl"

layout(binding = 0) readonly buffer O { float o[]; };           // [rows, heads, dim]
layout(binding = 1) readonly buffer Dout { float dout[]; };     // [rows, heads, dim]
layout(binding = 2) writeonly buffer Delta { float delta[]; };  // [rows, heads]
layout(push_constant) uniform Scalars { uint rows, heads, dim; };

void main()
{
    const uint i = invocation_index();
    if (i >= rows * heads) {
        return;
    }
    float sum = 0;
    for (uint d = 0; d < dim; d++) {
        sum += o[i * dim + d] * dout[i * dim + d];
    }
    delta[i] = sum;
}
