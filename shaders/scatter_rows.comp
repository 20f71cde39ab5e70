// y[index[t]] = x[t]: one workgroup for each row. No index occurs twice.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "row.glsl"

layout(binding = 0) readonly buffer X1 { float x1[]; }; // [rows, cols]
layout(binding = 0) readonly buffer X4 { vec4 x4[]; };
layout(binding = 1) readonly buffer Index { uint index[]; }; // [rows]
layout(binding = 2) buffer Y1 { float y1[]; }; // [target_rows, cols]
layout(binding = 2) buffer Y4 { vec4 y4[]; };
layout(push_constant) uniform Scalars { uint rows, cols, target_rows; };

void main()
{
    const uint row = workgroup_index();
    if (FOLDED != 0 && row >= rows) {
        return; // the whole workgroup leaves together
    }
    const uint from = row * COLS, to = index[row] * COLS;
    FOR_QUADS(j, c) {
        LOAD_QUAD(value, x, from + c, COLS - c)
        STORE_QUAD(y, to + c, COLS - c, value)
    }
}
