// The backward pass of y = silu(gate) * up, in place: gate becomes dgate, up becomes dup. One
// invocation for each quad.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"
#include "quad.glsl"

layout(constant_id = 1) const uint QUADS = 0;  // 1: count is a multiple of 4
layout(binding = 0) buffer Gate1 { float gate1[]; }; // [count]
layout(binding = 0) buffer Gate4 { vec4 gate4[]; };
layout(binding = 1) buffer Up1 { float up1[]; }; // [count]
layout(binding = 1) buffer Up4 { vec4 up4[]; };
layout(binding = 2) readonly buffer Dy1 { float dy1[]; }; // [count]
layout(binding = 2) readonly buffer Dy4 { vec4 dy4[]; };
layout(push_constant) uniform Scalars { uint count; };

void main()
{
    const uint at = 4 * invocation_index(), left = count - at;
    if (at >= count) {
        return;
    }
    LOAD_QUAD(g, gate, at, left)
    LOAD_QUAD(u, up, at, left)
    LOAD_QUAD(d, dy, at, left)
    const vec4 sigmoid = 1.0 / (1.0 + exp(-g));
    const vec4 dgate = d * u * sigmoid * (1.0 + g * (1.0 - sigmoid)), dup = d * g * sigmoid;
    STORE_QUAD(gate, at, left, dgate)
    STORE_QUAD(up, at, left, dup)
}
