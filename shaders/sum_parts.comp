// y = the sum over x's parts, in their order: one invocation for each quad (four neighbouring
// elements).
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"
#include "act.glsl"

layout(constant_id = 1) const uint QUADS = 0; // 1: count is a multiple of 4
ACT_READ(0, x)                                // [parts, count]
ACT_WRITE(1, y)                               // [count]
layout(push_constant) uniform Scalars { uint count, parts; };

void main()
{
    const uint at = 4 * invocation_index();
    if (at >= count) {
        return;
    }
    vec4 sum = vec4(0.0);
    for (uint part = 0; part < parts; part++) {
        // Without QUADS a part need not begin with a whole quad.
        const uint from = part * count + at;
        [[unroll]] for (uint e = 0; e < 4; e++)
            if (QUADS == 0 && at + e < count)
                sum[e] += x_at(from + e);
        if (QUADS != 0)
            sum += x_quad(from);
    }
    y_store(QUADS != 0, at, count - at, sum);
}
