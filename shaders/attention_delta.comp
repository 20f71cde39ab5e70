// delta[t, head] = sum over dim of dout * o: one invocation a row and head.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 64) in;
#include "grid.glsl"
#include "quad.glsl"

layout(constant_id = 1) const uint QUADS = 0;           // 1: dim is a multiple of 4
layout(binding = 0) readonly buffer O1 { float o1[]; }; // [rows, heads, dim]
layout(binding = 0) readonly buffer O4 { vec4 o4[]; };
layout(binding = 1) readonly buffer Dout1 { float dout1[]; }; // [rows, heads, dim]
layout(binding = 1) readonly buffer Dout4 { vec4 dout4[]; };
layout(binding = 2) writeonly buffer Delta { float delta[]; }; // [rows, heads]
layout(push_constant) uniform Scalars { uint rows, heads, dim; };

void main()
{
    const uint i = invocation_index();
    if (i >= rows * heads) {
        return;
    }
    float sum = 0;
    for (uint d = 0; d < dim; d += 4) {
        LOAD_QUAD(value, o, i * dim + d, dim - d)
        LOAD_QUAD(gradient, dout, i * dim + d, dim - d)
        sum += dot(value, gradient);
    }
    delta[i] = sum;
}
