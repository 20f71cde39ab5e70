// y = x * rstd * weight from a rstd that the forward pass kept: one invocation an element.
#version 450
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"
#include "weight.glsl"

layout(constant_id = 0) const uint STORED = 0; // the type of the weights
layout(binding = 0) readonly buffer X { float x[]; };          // [rows, cols]
layout(binding = 1) readonly buffer Weight { uint weight[]; }; // [cols], stored
layout(binding = 2) readonly buffer Rstd { float rstd[]; };    // [rows]
layout(binding = 3) writeonly buffer Y { float y[]; };         // [rows, cols]
layout(push_constant) uniform Scalars { uint rows, cols; };

void main()
{
    const uint i = invocation_index();
    if (i < rows * cols) {
        const uint c = i % cols;
        y[i] = x[i] * rstd[i / cols] * weight_value(STORED, weight[weight_word(STORED, c)], c);
    }
}
