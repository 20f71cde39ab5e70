// y[t, c] *= factor[c]: one workgroup for each row.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "row.glsl"
#include "act.glsl"

ACT_UPDATE(0, y) // [rows, cols]
layout(binding = 1) readonly buffer Factor1 { float factor1[]; }; // [cols]
layout(binding = 1) readonly buffer Factor4 { vec4 factor4[]; };
layout(push_constant) uniform Scalars { uint rows, cols; };

void main()
{
    const uint row = workgroup_index(), begin = row * COLS;
    if (FOLDED != 0 && row >= rows) {
        return; // the whole workgroup leaves together
    }
    FOR_QUADS(j, c) {
        LOAD_QUAD(scale, factor, c, COLS - c)
        const vec4 value = y_load(QUADS != 0, begin + c, COLS - c);
        y_store(QUADS != 0, begin + c, COLS - c, value * scale);
    }
}
