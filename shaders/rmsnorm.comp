// y = x * rstd * weight with rstd = 1 / sqrt(mean(x^2) + eps): one workgroup a row.
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
layout(binding = 2) writeonly buffer Y { float y[]; };         // [rows, cols]
layout(binding = 3) writeonly buffer Rstd { float rstd[]; };   // [rows]
layout(push_constant) uniform Scalars { uint rows, cols; float eps; };

void main()
{
    const uint row = workgroup_index(), me = gl_LocalInvocationID.x;
    if (row >= rows) {
        return; // the whole workgroup leaves together
    }
    float squares = 0;
    for (uint c = me; c < cols; c += WORKERS) {
        const float value = x[row * cols + c];
        squares += value * value;
    }
    const float r = 1.0 / sqrt(workgroup_sum(squares) / float(cols) + eps);
    for (uint c = me; c < cols; c += WORKERS) {
        const float w = weight_value(STORED, weight[weight_word(STORED, c)], c);
        y[row * cols + c] = x[row * cols + c] * r * w;
    }
    if (me == 0) {
        rstd[row] = r;
    }
}
