// y[tile][c][r] = x[TILE tile + r, c], zero beyond x's rows: one invocation writes one column of a
// tile. Neighbouring invocations take neighbouring columns, so that they read neighbouring
// addresses too.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
layout(constant_id = 1) const uint TILE = 16; // a multiple of 4
#include "act.glsl"
#include "grid.glsl"

ACT_READ(0, x)                                          // [rows, cols]
layout(binding = 1) writeonly buffer Y4 { vec4 y4[]; }; // [ceil(rows / TILE), cols, TILE / 4]
layout(push_constant) uniform Scalars { uint rows, cols; };

void main()
{
    const uint index = invocation_index(), column = index % cols, tile = index / cols;
    if (tile >= (rows + TILE - 1) / TILE) {
        return;
    }
    [[unroll]] for (uint quad = 0; quad < TILE / 4; quad++) {
        vec4 value;
        [[unroll]] for (uint e = 0; e < 4; e++) {
            const uint row = TILE * tile + 4 * quad + e;
            value[e] = row < rows ? x_at(min(row, rows - 1) * cols + column) : 0.0;
        }
        y4[TILE / 4 * index + quad] = value;
    }
}
