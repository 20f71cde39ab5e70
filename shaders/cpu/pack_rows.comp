// y[tile][c][r] = x[16 tile + r, c], zero beyond x's rows: one invocation writes one column of a
// tile. Neighbouring invocations take neighbouring columns, so that they read neighbouring
// addresses too.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "act.glsl"
#include "grid.glsl"

ACT_READ(0, x)                                          // [rows, cols]
layout(binding = 1) writeonly buffer Y4 { vec4 y4[]; }; // [ceil(rows / 16), cols, 16 / 4]
layout(push_constant) uniform Scalars { uint rows, cols; };

void main()
{
    const uint index = invocation_index(), column = index % cols, tile = index / cols;
    if (tile >= (rows + 15) / 16) {
        return;
    }
    [[unroll]] for (uint quad = 0; quad < 4; quad++) {
        vec4 value;
        [[unroll]] for (uint e = 0; e < 4; e++) {
            const uint row = 16 * tile + 4 * quad + e;
            value[e] = row < rows ? x_at(min(row, rows - 1) * cols + column) : 0.0;
        }
        y4[4 * index + quad] = value;
    }
}
