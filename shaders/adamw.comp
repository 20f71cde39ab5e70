// One AdamW step on a flat array of parameters, in PyTorch's order of operations: one invocation
// a parameter. norm[1] is the clipping factor. rest = 1 - beta comes from the host: in f32 the
// subtraction here would lose four digits of 1 - 0.999.
#version 450
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"

layout(binding = 0) buffer P { float p[]; };
layout(binding = 1) buffer M { float m[]; };
layout(binding = 2) buffer V { float v[]; };
layout(binding = 3) readonly buffer G { float g[]; };
layout(binding = 4) readonly buffer Norm { float norm[]; };
layout(push_constant) uniform Scalars
{
    uint count;
    float step, decay, beta1, rest1, beta2, rest2, eps, root_correction;
};

void main()
{
    const uint i = invocation_index();
    if (i >= count) {
        return;
    }
    const float gradient = g[i] * norm[1];
    m[i] = beta1 * m[i] + rest1 * gradient;
    v[i] = beta2 * v[i] + rest2 * gradient * gradient;
    p[i] = p[i] * (1.0 - decay) - step * m[i] / (sqrt(v[i]) * root_correction + eps);
}
