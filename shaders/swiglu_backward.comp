// The backward pass of y = silu(gate) * up or gelu(gate) * up. It may be in place: dgate where gate
// is, dup where up is. One invocation for each quad.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"
#include "act.glsl"

layout(constant_id = 1) const uint QUADS = 0;  // 1: count is a multiple of 4
layout(constant_id = 2) const uint GELU = 0;   // 1: gelu instead of silu
#include "gate.glsl"

ACT_READ(0, gate)   // [count]
ACT_READ(1, up)     // [count]
ACT_READ(2, dy)     // [count]
ACT_WRITE(3, dgate) // [count]
ACT_WRITE(4, dup)   // [count]
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
    dgate_store(QUADS != 0, at, left,
                d * u * sigmoid * (1.0 + g * (1.0 - sigmoid) * steepness(g)));
    dup_store(QUADS != 0, at, left, d * g * sigmoid);
}
