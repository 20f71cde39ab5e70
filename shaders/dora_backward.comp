// dmagnitude[c] += sum over t of dy[t, c] u[t, c] factor[cols + c], then u[t, c] = factor[c] dy[t, c].
// A workgroup has 32 columns, as eight quads. Every sixteenth row is an invocation's; their sums are
// added in order.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "act.glsl"
#include "grid.glsl"
#include "quad.glsl"

layout(constant_id = 1) const uint QUADS = 0; // 1: cols is a multiple of 4
ACT_READ(0, dy)                                                   // [rows, cols]
layout(binding = 1) readonly buffer Factor { float factor[]; };   // [2, cols]
layout(binding = 2) buffer U1 { float u1[]; };                    // [rows, cols]
layout(binding = 2) buffer U4 { vec4 u4[]; };
layout(binding = 3) buffer Dmagnitude { float dmagnitude[]; };    // [cols]
layout(push_constant) uniform Scalars { uint rows, cols; };

const uint WIDE_QUADS = 8, STRIPES = 16;
shared vec4 sums[WIDE_QUADS * STRIPES];

void main()
{
    const uint me = gl_LocalInvocationID.x, stripe = me / WIDE_QUADS;
    const uint c = 4 * (workgroup_index() * WIDE_QUADS + me % WIDE_QUADS);
    const uint left = cols - min(c, cols); // 0: there is no such column
    vec4 scale = vec4(0.0), sum = vec4(0.0);
    [[unroll]] for (uint e = 0; e < 4; e++) {
        if (e < left) {
            scale[e] = factor[c + e];
        }
    }
    for (uint t = stripe; t < rows && left > 0; t += STRIPES) {
        const vec4 gradient = dy_load(QUADS != 0, t * cols + c, left);
        LOAD_QUAD(value, u, t * cols + c, left)
        sum += gradient * value;
        STORE_QUAD(u, t * cols + c, left, scale * gradient)
    }
    sums[me] = sum;
    barrier();
    if (stripe != 0) {
        return;
    }
    for (uint s = 1; s < STRIPES; s++) {
        sum += sums[s * WIDE_QUADS + me];
    }
    [[unroll]] for (uint e = 0; e < 4; e++) {
        if (e < left) {
            dmagnitude[c + e] += sum[e] * factor[cols + c + e];
        }
    }
}
