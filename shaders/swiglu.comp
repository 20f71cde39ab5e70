// y = silu(gate) * up, silu(x) = x / (1 + exp(-x)): one invocation an element.
#version 450
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"

layout(binding = 0) readonly buffer Gate { float gate[]; };
layout(binding = 1) readonly buffer Up { float up[]; };
layout(binding = 2) writeonly buffer Y { float y[]; };
layout(push_constant) uniform Scalars { uint count; };

void main()
{
    const uint i = invocation_index();
    if (i < count) {
        y[i] = gate[i] / (1.0 + exp(-gate[i])) * up[i];
    }
}
