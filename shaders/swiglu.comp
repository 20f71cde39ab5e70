// y = silu(gate) * up, silu(x) = x / (1 + exp(-x)): one invocation for each quad.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"
#include "quad.glsl"

layout(constant_id = 1) const uint QUADS = 0;  // 1: count is a multiple of 4
layout(binding = 0) readonly buffer Gate1 { float gate1[]; }; // [count]
layout(binding = 0) readonly buffer Gate4 { vec4 gate4[]; };
layout(binding = 1) readonly buffer Up1 { float up1[]; }; // [count]
layout(binding = 1) readonly buffer Up4 { vec4 up4[]; };
layout(binding = 2) writeonly buffer Y1 { float y1[]; }; // [count]
layout(binding = 2) writeonly buffer Y4 { vec4 y4[]; };
layout(push_constant) uniform Scalars { uint count; };

void main()
{
    const uint at = 4 * invocation_index(), left = count - at;
    if (at >= count) {
        return;
    }
    LOAD_QUAD(g, gate, at, left)
    LOAD_QUAD(u, up, at, left)
    const vec4 value = g / (1.0 + exp(-g)) * u;
    STORE_QUAD(y, at, left, value)
}
