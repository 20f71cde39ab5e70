// y += x: one invocation for each quad (four neighbouring elements).
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"
#include "quad.glsl"

layout(constant_id = 1) const uint QUADS = 0;  // 1: count is a multiple of 4
layout(binding = 0) buffer Y1 { float y1[]; }; // [count]
layout(binding = 0) buffer Y4 { vec4 y4[]; };
layout(binding = 1) readonly buffer X1 { float x1[]; }; // [count]
layout(binding = 1) readonly buffer X4 { vec4 x4[]; };
layout(push_constant) uniform Scalars { uint count; };

void main()
{
    const uint at = 4 * invocation_index(), left = count - at;
    if (at >= count) {
        return;
    }
    LOAD_QUAD(sum, y, at, left)
    LOAD_QUAD(value, x, at, left)
    sum += value;
    STORE_QUAD(y, at, left, sum)
}
