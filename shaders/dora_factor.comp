// factor[c] = magnitude[c] / norm and factor[cols + c] = 1 / norm, where norm is the length of row c
// of W + scale B A: one invocation for each row of the weight.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 64) in;
#include "grid.glsl"

layout(binding = 0) readonly buffer Cross { float across[]; };         // [rank, cols]
layout(binding = 1) readonly buffer B { float b[]; };                  // [cols, rank]
layout(binding = 2) readonly buffer Squares { float squares[]; };      // [cols]
layout(binding = 3) readonly buffer Magnitude { float magnitude[]; };  // [cols]
layout(binding = 4) writeonly buffer Factor { float factor[]; };       // [2, cols]
layout(push_constant) uniform Scalars { uint cols, rank; float scale; };

void main()
{
    const uint c = invocation_index();
    if (c >= cols) {
        return;
    }
    float sum = 0;
    for (uint j = 0; j < rank; j++) {
        sum += across[j * cols + c] * b[c * rank + j];
    }
    const float square = squares[c] + 2.0 * scale * sum;
    const float inverse = square > 0.0 ? 1.0 / sqrt(square) : 0.0;
    factor[c] = magnitude[c] * inverse;
    factor[cols + c] = inverse;
}
