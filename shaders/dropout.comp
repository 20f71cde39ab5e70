// y = (accumulate ? y : 0) + x * mask * scale, with a mask from Philox. An invocation takes two
// quads: the first uses the low halves of one block of random words, the second the high halves.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "act.glsl"
#include "grid.glsl"
#include "philox.glsl"

layout(constant_id = 1) const uint QUADS = 0; // 1: count is a multiple of 8
ACT_READ(0, x)   // [count]
ACT_UPDATE(1, y) // [count]
layout(push_constant) uniform Scalars
{
    uint count, seed_low, seed_high, stream, drop;
    float scale;
    uint accumulate;
};

void drop_quad(uvec4 halves, uint at, uint left)
{
    vec4 value = x_load(QUADS != 0, at, left);
    value = mix(vec4(0.0), value * scale, greaterThanEqual(halves, uvec4(drop)));
    if (accumulate != 0) {
        value += y_load(QUADS != 0, at, left);
    }
    y_store(QUADS != 0, at, left, value);
}

void main()
{
    const uint octet = invocation_index(), at = 8 * octet, left = count - at;
    if (at >= count) {
        return;
    }
    const uvec4 words = philox(uvec4(octet, 0, stream, 0), uvec2(seed_low, seed_high));
    drop_quad(words & 0xFFFFu, at, left);
    drop_quad(words >> 16, at + 4, max(left, 4) - 4);
}
