// One AdamW step on a flat array of parameters, in PyTorch's order of operations: one invocation
// for each quad. norm[1] is the clipping factor. rest1 and rest2, 1 - beta, come from the host:
// here the subtraction in f32 would lose four digits of 1 - 0.999.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"
#include "quad.glsl"

layout(constant_id = 1) const uint QUADS = 0;  // 1: count is a multiple of 4
layout(binding = 0) buffer P1 { float p1[]; }; // [count], as are the others but norm
layout(binding = 0) buffer P4 { vec4 p4[]; };
layout(binding = 1) buffer M1 { float m1[]; };
layout(binding = 1) buffer M4 { vec4 m4[]; };
layout(binding = 2) buffer V1 { float v1[]; };
layout(binding = 2) buffer V4 { vec4 v4[]; };
layout(binding = 3) readonly buffer G1 { float g1[]; };
layout(binding = 3) readonly buffer G4 { vec4 g4[]; };
layout(binding = 4) readonly buffer Norm { float norm[]; }; // [2]
layout(push_constant) uniform Scalars
{
    uint count;
    float step, decay, beta1, rest1, beta2, rest2, eps, root_correction;
};

void main()
{
    const uint at = 4 * invocation_index(), left = count - at;
    const float factor = norm[1];
    if (at >= count) {
        return;
    }
    LOAD_QUAD(parameter, p, at, left)
    LOAD_QUAD(mean, m, at, left)
    LOAD_QUAD(variance, v, at, left)
    LOAD_QUAD(gradient, g, at, left)
    gradient *= factor;
    mean = beta1 * mean + rest1 * gradient;
    variance = beta2 * variance + rest2 * gradient * gradient;
    parameter = parameter * (1.0 - decay) - step * mean / (sqrt(variance) * root_correction + eps);
    STORE_QUAD(p, at, left, parameter)
    STORE_QUAD(m, at, left, mean)
    STORE_QUAD(v, at, left, variance)
}
