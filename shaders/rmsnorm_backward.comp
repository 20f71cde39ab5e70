// dx += rstd * (g - xhat mean(g xhat)), g = weight dy, xhat = x rstd: one workgroup a row.
// Adding to dx joins the norm's branch to the residual one.
#version 450
#extension GL_GOOGLE_include_directive : require
#define WORKERS 128
layout(local_size_x = WORKERS) in;
#include "grid.glsl"
#include "reduce.glsl"
#include "weight.glsl"

layout(constant_id = 0) const uint STORED = 0; // the type of the weights
layout(binding = 0) readonly buffer X { float x[]; };          // [rows, cols]
layout(binding = 1) readonly buffer Weight { uint weight[]; }; // [cols], stored
layout(binding = 2) readonly buffer Rstd { float rstd[]; };    // [rows]
layout(binding = 3) readonly buffer Dy { float dy[]; };        // [rows, cols]
layout(binding = 4) buffer Dx { float dx[]; };                 // [rows, cols]
layout(push_constant) uniform Scalars { uint rows, cols; };

void main()
{
    const uint row = workgroup_index(), me = gl_LocalInvocationID.x;
    if (row >= rows) {
        return;
    }
    const float r = rstd[row];
    float products = 0;
    for (uint c = me; c < cols; c += WORKERS) {
        const uint i = row * cols + c;
        products += weight_value(STORED, weight[weight_word(STORED, c)], c) * dy[i] * x[i];
    }
    const float mean = workgroup_sum(products) * r / float(cols);
    for (uint c = me; c < cols; c += WORKERS) {
        const uint i = row * cols + c;
        const float g = weight_value(STORED, weight[weight_word(STORED, c)], c) * dy[i];
        dx[i] += r * (g - x[i] * r * mean);
    }
}
