// y = x * rstd * weight with rstd = 1 / sqrt(mean(x^2) + eps): one workgroup a row.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 2) in;
#define WORKERS gl_WorkGroupSize.x
#include "grid.glsl"
#include "reduce.glsl"
#include "quad.glsl"
#include "weight.glsl"

layout(constant_id = 0) const uint STORED = 0; // the type of the weights
layout(constant_id = 1) const uint QUADS = 0;  // 1: cols is a multiple of 4
layout(binding = 0) readonly buffer X1 { float x1[]; }; // [rows, cols]
layout(binding = 0) readonly buffer X4 { vec4 x4[]; };
layout(binding = 1) readonly buffer Weight1 { uint weight1[]; }; // [cols], stored
layout(binding = 1) readonly buffer Weight2 { uvec2 weight2[]; };
layout(binding = 2) writeonly buffer Y1 { float y1[]; }; // [rows, cols]
layout(binding = 2) writeonly buffer Y4 { vec4 y4[]; };
layout(binding = 3) writeonly buffer Rstd { float rstd[]; }; // [rows]
layout(push_constant) uniform Scalars { uint rows, cols; float eps; };
#include "norm_weight.glsl"

void main()
{
    const uint row = workgroup_index(), me = gl_LocalInvocationID.x;
    if (row >= rows) {
        return; // the whole workgroup leaves together
    }
    float squares = 0;
    for (uint c = 4 * me; c < cols; c += 4 * WORKERS) {
        const uint at = row * cols + c, left = cols - c;
        LOAD_QUAD(value, x, at, left)
        squares += dot(value, value);
    }
    const float r = 1.0 / sqrt(workgroup_sum(squares) / float(cols) + eps);
    for (uint c = 4 * me; c < cols; c += 4 * WORKERS) {
        const uint at = row * cols + c, left = cols - c;
        LOAD_QUAD(value, x, at, left)
        value *= r * norm_weights(c, cols);
        STORE_QUAD(y, at, left, value)
    }
    if (me == 0) {
        rstd[row] = r;
    }
}
