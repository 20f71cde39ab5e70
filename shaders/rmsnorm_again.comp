// y = x * rstd * weight with the rstd that the forward pass kept: one workgroup for each row.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "row.glsl"
#include "act.glsl"

layout(binding = 0) readonly buffer X1 { float x1[]; }; // [rows, cols]
layout(binding = 0) readonly buffer X4 { vec4 x4[]; };
layout(binding = 2) readonly buffer Rstd { float rstd[]; }; // [rows]
ACT_WRITE(3, y) // [rows, cols]
layout(push_constant) uniform Scalars { uint rows, cols; };
#define WEIGHT_BINDING 1 // [cols]
#define WEIGHT_COUNT COLS
#include "weight.glsl"

void main()
{
    const uint row = workgroup_index(), begin = row * COLS;
    if (FOLDED != 0 && row >= rows) {
        return; // the whole workgroup leaves together
    }
    const float r = rstd[row];
    FOR_QUADS(j, c) {
        LOAD_QUAD(value, x, begin + c, COLS - c)
        const vec4 w = weight_row_quad(QUADS != 0, c, COLS - c);
        y_store(QUADS != 0, begin + c, COLS - c, value * (r * w));
    }
}
