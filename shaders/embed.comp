// y[T, H] = table[ids[T]]: one workgroup a row.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(constant_id = 0) const uint STORED = 0; // the type of the weights
#include "row.glsl"
#include "weight_quad.glsl"

layout(binding = 0) readonly buffer Ids { uint ids[]; };           // [rows]
layout(binding = 1) readonly buffer Table1 { uint table1[]; };     // [vocab, cols], stored
layout(binding = 1) readonly buffer Table2 { uvec2 table2[]; };
layout(binding = 2) writeonly buffer Y1 { float y1[]; }; // [rows, cols]
layout(binding = 2) writeonly buffer Y4 { vec4 y4[]; };
layout(push_constant) uniform Scalars { uint rows, cols, vocab; };

void main()
{
    const uint row = workgroup_index();
    if (FOLDED != 0 && row >= rows) {
        return; // the whole workgroup leaves together
    }
    const uint from = ids[row] * COLS, to = row * COLS;
    FOR_QUADS(j, c) {
        LOAD_WEIGHTS(value, table, from + c, COLS - c)
        STORE_QUAD(y, to + c, COLS - c, value)
    }
}
