// y = x * rstd * weight from a rstd that the forward pass kept: one invocation a quad of a row.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"
#include "quad.glsl"
#include "weight.glsl"

layout(constant_id = 0) const uint STORED = 0; // the type of the weights
layout(constant_id = 1) const uint QUADS = 0;  // 1: cols is a multiple of 4
layout(binding = 0) readonly buffer X1 { float x1[]; }; // [rows, cols]
layout(binding = 0) readonly buffer X4 { vec4 x4[]; };
layout(binding = 1) readonly buffer Weight1 { uint weight1[]; }; // [cols], stored
layout(binding = 1) readonly buffer Weight2 { uvec2 weight2[]; };
layout(binding = 2) readonly buffer Rstd { float rstd[]; }; // [rows]
layout(binding = 3) writeonly buffer Y1 { float y1[]; }; // [rows, cols]
layout(binding = 3) writeonly buffer Y4 { vec4 y4[]; };
layout(push_constant) uniform Scalars { uint rows, cols; };
#include "norm_weight.glsl"

void main()
{
    const uint i = invocation_index(), quads = (cols + 3) / 4;
    const uint row = i / quads, c = i % quads * 4;
    const uint at = row * cols + c, left = cols - c;
    if (row >= rows) {
        return;
    }
    LOAD_QUAD(value, x, at, left)
    value *= rstd[row] * norm_weights(c, cols);
    STORE_QUAD(y, at, left, value)
}
