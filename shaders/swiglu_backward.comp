// The backward pass of y = silu(gate) * up or gelu(gate) * up, in place: gate becomes dgate, up
// becomes dup. One invocation for each quad.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"
#include "act.glsl"

layout(constant_id = 1) const uint QUADS = 0;  // 1: count is a multiple of 4
layout(constant_id = 2) const uint GELU = 0;   // 1: gelu instead of silu
#include "gate.glsl"

ACT_UPDATE(0, gate) // [count]
ACT_UPDATE(1, up)   // [count]
ACT_READ(2, dy)     // [count]
layout(push_constant) uniform Scalars { uint count; };

void main()
{
    const uint at = 4 * invocation_index(), left = count - at;
    if (at >= count) {
        return;
    }
    const vec4 g = gate_load(QUADS != 0, at, left), u = up_load(QUADS != 0, at, left);
    const vec4 d = dy_load(QUADS != 0, at, left);
    const vec4 sigmoid = 1.0 / (1.0 + exp(-slant(g)));
    const vec4 dgate = d * u * sigmoid * (1.0 + g * (1.0 - sigmoid) * steepness(g));
    const vec4 dup = d * g * sigmoid;
    gate_store(QUADS != 0, at, left, dgate);
    up_store(QUADS != 0, at, left, dup);
}
