// y[index[t]] = x[t]: one invocation an element; no index stands twice.
#version 450
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"

layout(binding = 0) readonly buffer X { float x[]; };         // [rows, cols]
layout(binding = 1) readonly buffer Index { uint index[]; };  // [rows]
layout(binding = 2) buffer Y { float y[]; };                  // [target_rows, cols]
layout(push_constant) uniform Scalars { uint rows, cols, target_rows; };

void main()
{
    const uint i = invocation_index();
    if (i < rows * cols) {
        y[index[i / cols] * cols + i % cols] = x[i];
    }
}
