// y = silu(gate) * up backwards, in place: gate becomes dgate, up becomes dup.
#version 450
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"

layout(binding = 0) buffer Gate { float gate[]; };
layout(binding = 1) buffer Up { float up[]; };
layout(binding = 2) readonly buffer Dy { float dy[]; };
layout(push_constant) uniform Scalars { uint count; };

void main()
{
    const uint i = invocation_index();
    if (i >= count) {
        return;
    }
    const float g = gate[i], u = up[i], d = dy[i];
    const float sigmoid = 1.0 / (1.0 + exp(-g));
    gate[i] = d * u * sigmoid * (1.0 + g * (1.0 - sigmoid));
    up[i] = d * g * sigmoid;
}
