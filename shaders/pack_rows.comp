// y[tile][c][r] = x[16 tile + r, c], zero beyond x's rows: one invocation four rows of a column.
// Neighbours take neighbouring columns, so that what they read lies together.
#version 450
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"

layout(binding = 0) readonly buffer X { float x[]; };   // [rows, cols]
layout(binding = 1) writeonly buffer Y4 { vec4 y4[]; }; // [ceil(rows / 16), cols, 16 / 4]
layout(push_constant) uniform Scalars { uint rows, cols; };

void main()
{
    const uint index = invocation_index(), column = index % cols;
    const uint quad = index / cols, row = 4 * quad; // quad % 4 of its tile
    vec4 value;
    if (quad >= (rows + 15) / 16 * 4) {
        return;
    }
    for (uint e = 0; e < 4; e++)
        value[e] = row + e < rows ? x[min(row + e, rows - 1) * cols + column] : 0.0;
    y4[(quad / 4 * cols + column) * 4 + quad % 4] = value;
}
