#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require

// The arithmetic peak of this device in 16 bits, with two numbers in a register. It is
// probe_fma.comp, which explains the method, with f16vec4 for vec4. Sums converge to at most 1
// here, so that f16 holds them.

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
    const f16vec4 scale = f16vec4(vec4(0.95, 0.9, 0.85, 0.8) / seed);
    const f16vec4 step = f16vec4(vec4(seed * 0.02));
    f16vec4 x = f16vec4(vec4(seed));
    f16vec4 y = f16vec4(vec4(seed + 1.0));
    f16vec4 z = f16vec4(vec4(seed + 2.0));
    for (uint i = 0; i < push.iterations; i++) {
        [[unroll]] for (uint u = 0; u < 16; u++) {
            x = fma(x, scale, step);
            y = fma(y, scale, step);
            z = fma(z, scale, step);
        }
    }
    const f16vec4 sum = x + y + z;
    result[gl_GlobalInvocationID.x] = float(sum.x + sum.y + sum.z + sum.w);
}
