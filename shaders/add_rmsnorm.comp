// y += x, then norm = y * rstd * weight with rstd = 1 / sqrt(mean(y^2) + eps): one workgroup a row.
// Four neighbours are the unit of every access: one vector load where rows are whole quads, four
// guarded ones where they are not.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#define WORKERS 128
layout(local_size_x = WORKERS) in;
#include "grid.glsl"
#include "reduce.glsl"
#include "weight.glsl"

layout(constant_id = 0) const uint STORED = 0; // the type of the weights
layout(binding = 0) buffer Y1 { float y1[]; };                       // [rows, cols]
layout(binding = 0) buffer Y4 { vec4 y4[]; };
layout(binding = 1) readonly buffer X1 { float x1[]; };              // [rows, cols]
layout(binding = 1) readonly buffer X4 { vec4 x4[]; };
layout(binding = 2) readonly buffer Weight { uint weight[]; };       // [cols], stored
layout(binding = 3) writeonly buffer Norm1 { float norm1[]; };       // [rows, cols]
layout(binding = 3) writeonly buffer Norm4 { vec4 norm4[]; };
layout(binding = 4) writeonly buffer Rstd { float rstd[]; };         // [rows]
layout(push_constant) uniform Scalars { uint rows, cols; float eps; };

// y's quad from column c on after x was added to it; zero beyond the row.
vec4 added(uint row, uint c)
{
    const uint at = row * cols + c;
    vec4 sum = vec4(0.0);
    if (cols % 4 == 0) {
        sum = y4[at / 4] + x4[at / 4];
        y4[at / 4] = sum;
    } else {
        [[unroll]] for (uint i = 0; i < 4; i++)
            if (c + i < cols) {
                sum[i] = y1[at + i] + x1[at + i];
                y1[at + i] = sum[i];
            }
    }
    return sum;
}

void scale(uint row, uint c, float r)
{
    const uint at = row * cols + c;
    vec4 w;
    [[unroll]] for (uint i = 0; i < 4; i++) {
        const uint column = min(c + i, cols - 1);
        w[i] = weight_value(STORED, weight[weight_word(STORED, column)], column);
    }
    if (cols % 4 == 0) {
        norm4[at / 4] = y4[at / 4] * r * w;
    } else {
        [[unroll]] for (uint i = 0; i < 4; i++)
            if (c + i < cols)
                norm1[at + i] = y1[at + i] * r * w[i];
    }
}

void main()
{
    const uint row = workgroup_index(), me = gl_LocalInvocationID.x;
    if (row >= rows) {
        return; // the whole workgroup leaves together
    }
    float squares = 0;
    for (uint c = 4 * me; c < cols; c += 4 * WORKERS) {
        const vec4 sum = added(row, c);
        squares += dot(sum, sum);
    }
    const float r = 1.0 / sqrt(workgroup_sum(squares) / float(cols) + eps);
    for (uint c = 4 * me; c < cols; c += 4 * WORKERS) {
        scale(row, c, r);
    }
    if (me == 0) {
        rstd[row] = r;
    }
}
