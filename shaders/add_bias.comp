// y += bias: one workgroup for each row.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "row.glsl"
#include "act.glsl"

ACT_UPDATE(0, y) // [rows, cols]
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
    FOR_QUADS(j, c) {
        const vec4 value = y_load(QUADS != 0, begin + c, COLS - c);
        const vec4 bias = weight_row_quad(QUADS != 0, c, COLS - c);
        y_store(QUADS != 0, begin + c, COLS - c, value + bias);
    }
}
