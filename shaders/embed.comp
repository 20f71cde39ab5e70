// y[T, H] = scale * table[ids[T] - first_id]: one workgroup for each row. With PARTIAL, rows whose
// id the table lacks keep what they hold.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "row.glsl"

layout(constant_id = 4) const uint PARTIAL = 0; // 1: the table may lack rows

layout(binding = 0) readonly buffer Ids { uint ids[]; }; // [rows]
layout(binding = 2) buffer Y1 { float y1[]; }; // [rows, cols]
layout(binding = 2) buffer Y4 { vec4 y4[]; };
layout(push_constant) uniform Scalars { uint rows, cols, vocab; float scale; uint first_id; };
#define WEIGHT_BINDING 1 // [vocab, cols]
#define WEIGHT_COUNT (vocab * COLS)
#include "weight.glsl"

void main()
{
    const uint row = workgroup_index();
    if (FOLDED != 0 && row >= rows) {
        return; // the whole workgroup leaves together
    }
    const uint id = ids[row] - first_id; // an id below first_id wraps round to a large number
    if (PARTIAL != 0 && id >= vocab) {
        return;
    }
    const uint from = id * COLS, to = row * COLS;
    FOR_QUADS(j, c) {
        const vec4 value = scale * weight_row_quad(QUADS != 0, from + c, COLS - c);
        STORE_QUAD(y, to + c, COLS - c, value)
    }
}
