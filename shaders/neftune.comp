// y[t] += alpha / sqrt((end[t] - first[t]) COLS) * noise, uniform in [-1, 1): one workgroup for each
// row. Each quad of noise is one block of Philox.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "philox.glsl"
#include "row.glsl"

layout(binding = 0) buffer Y1 { float y1[]; }; // [rows, cols]
layout(binding = 0) buffer Y4 { vec4 y4[]; };
layout(binding = 1) readonly buffer First { uint first[]; }; // [rows]
layout(binding = 2) readonly buffer End { uint end[]; };     // [rows]
layout(push_constant) uniform Scalars { uint rows, cols, seed_low, seed_high, stream; float alpha; };

void main()
{
    const uint row = workgroup_index(), begin = row * COLS;
    if (FOLDED != 0 && row >= rows) {
        return; // the whole workgroup leaves together
    }
    const float most = alpha / sqrt(float(end[row] - first[row]) * float(COLS));
    FOR_QUADS(j, c) {
        const uvec4 words = philox(uvec4(c / 4, row, stream, 0), uvec2(seed_low, seed_high));
        LOAD_QUAD(value, y, begin + c, COLS - c)
        value += most * (vec4(words >> 8) * (1.0 / 8388608.0) - 1.0);
        STORE_QUAD(y, begin + c, COLS - c, value)
    }
}
