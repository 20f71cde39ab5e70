// dx += rstd * (g - xhat mean(g xhat)), g = weight dy, xhat = x rstd: one workgroup a row.
// Adding to dx joins the norm's branch to the residual one.
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
layout(binding = 2) readonly buffer Rstd { float rstd[]; }; // [rows]
layout(binding = 3) readonly buffer Dy1 { float dy1[]; }; // [rows, cols]
layout(binding = 3) readonly buffer Dy4 { vec4 dy4[]; };
layout(binding = 4) buffer Dx1 { float dx1[]; }; // [rows, cols]
layout(binding = 4) buffer Dx4 { vec4 dx4[]; };
layout(push_constant) uniform Scalars { uint rows, cols; };
#include "norm_weight.glsl"

void main()
{
    const uint row = workgroup_index(), me = gl_LocalInvocationID.x;
    if (row >= rows) {
        return; // the whole workgroup leaves together
    }
    const float r = rstd[row];
    float products = 0;
    for (uint c = 4 * me; c < cols; c += 4 * WORKERS) {
        const uint at = row * cols + c, left = cols - c;
        LOAD_QUAD(value, x, at, left)
        LOAD_QUAD(gradient, dy, at, left)
        products += dot(norm_weights(c, cols) * gradient, value);
    }
    const float mean = workgroup_sum(products) * r / float(cols);
    for (uint c = 4 * me; c < cols; c += 4 * WORKERS) {
        const uint at = row * cols + c, left = cols - c;
        LOAD_QUAD(value, x, at, left)
        LOAD_QUAD(gradient, dy, at, left)
        LOAD_QUAD(sum, dx, at, left)
        sum += r * (norm_weights(c, cols) * gradient - value * (r * mean));
        STORE_QUAD(dx, at, left, sum)
    }
}
