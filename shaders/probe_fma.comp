#version 450
#extension GL_EXT_control_flow_attributes : require

// The arithmetic peak of this device as a shader can reach it. The speed of a matrix product is a
// fraction of it.
//
//   out[invocation] = a sum that no compiler can compute in advance
//
// Three independent chains of vec4 multiply-adds, so that the latency of one chain is hidden by the
// other two, unrolled sixteen-fold, so that the loop costs nothing. Nothing is loaded in the loop.
//
// Flops an invocation does: iterations * 16 steps * 3 chains * 4 components * 2 = 384 * iterations.
// Keep iterations at or below 65,535: llvmpipe leaves a shader's loops after that many rounds.
// Each step is x = x * scale + step with a scale under one, so the chains converge: they neither
// overflow nor become denormal. The scale is not a constant, so that no compiler folds the steps.

layout(local_size_x = 64) in;

layout(push_constant) uniform Push {
    uint iterations;
} push;

layout(std430, set = 0, binding = 0) writeonly buffer Out {
    float result[];
};

void main()
{
    const float seed = 1.0 + float(gl_GlobalInvocationID.x & 1023u) * 0.0009765625;
    const vec4 scale = vec4(0.999, 0.998, 0.997, 0.996) / seed;
    const vec4 step = vec4(seed * 0.001);
    vec4 x = vec4(seed);
    vec4 y = vec4(seed + 1.0);
    vec4 z = vec4(seed + 2.0);
    for (uint i = 0; i < push.iterations; i++) {
        [[unroll]] for (uint u = 0; u < 16; u++) {
            x = fma(x, scale, step);
            y = fma(y, scale, step);
            z = fma(z, scale, step);
        }
    }
    const vec4 sum = x + y + z;
    result[gl_GlobalInvocationID.x] = sum.x + sum.y + sum.z + sum.w;
}
