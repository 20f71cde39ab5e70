// y += bias: one workgroup for each row.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "row.glsl"

layout(binding = 0) buffer Y1 { float y1[]; }; // [rows, cols]
layout(binding = 0) buffer Y4 { vec4 y4[]; };
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
        LOAD_QUAD(value, y, begin + c, COLS - c)
        value += weight_row_quad(QUADS != 0, c, COLS - c);
        STORE_QUAD(y, begin + c, COLS - c, value)
    }
}
