// y[t] = x[index[t]]: one invocation an element.
#version 450
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"

layout(binding = 0) readonly buffer X { float x[]; };         // [source_rows, cols]
layout(binding = 1) readonly buffer Index { uint index[]; };  // [rows]
layout(binding = 2) writeonly buffer Y { float y[]; };        // [rows, cols]
layout(push_constant) uniform Scalars { uint rows, cols, source_rows; };

void main()
{
    const uint i = invocation_index();
    if (i < rows * cols) {
        y[i] = x[index[i / cols] * cols + i % cols];
    }
}
