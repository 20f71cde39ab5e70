// y += x: one invocation an element.
#version 450
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"

layout(binding = 0) buffer Y { float y[]; };
layout(binding = 1) readonly buffer X { float x[]; };
layout(push_constant) uniform Scalars { uint count; };

void main()
{
    const uint i = invocation_index();
    if (i < count) {
        y[i] += x[i];
    }
}
