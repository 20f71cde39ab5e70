#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#ifdef OPERANDS_BF16
#extension GL_EXT_bfloat16 : require
#define OPERAND bfloat16_t
#else
#define OPERAND float16_t
#endif

// The peak of this device's matrix units as a shader can reach it: a GEMM's speed is a fraction of
// it. A subgroup adds products of registers to eight sums of its own, nothing is loaded in the loop.
//
// Flops a subgroup does: iterations * 8 * MATRIX_M * MATRIX_N * MATRIX_K * 2.
// The operands are so small that no sum overflows, and known to the device only when it runs.

layout(local_size_x_id = 0) in; // one subgroup
layout(constant_id = 1) const uint MATRIX_M = 16;
layout(constant_id = 2) const uint MATRIX_N = 16;
layout(constant_id = 3) const uint MATRIX_K = 16;

layout(push_constant) uniform Push {
    uint iterations;
} push;

layout(binding = 0) writeonly buffer Out {
    float result[];
};

#define SUMS coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>

void main()
{
    const float small = 1.0 / (256.0 + float(push.iterations));
    coopmat<OPERAND, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA> a =
        coopmat<OPERAND, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA>(OPERAND(small));
    coopmat<OPERAND, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB> b =
        coopmat<OPERAND, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB>(OPERAND(small));
    SUMS sums[8];
    [[unroll]] for (uint s = 0; s < 8; s++) {
        sums[s] = SUMS(float(s));
    }
    for (uint i = 0; i < push.iterations; i++) {
        [[unroll]] for (uint s = 0; s < 8; s++) {
            sums[s] = coopMatMulAdd(a, b, sums[s]);
        }
    }
    [[unroll]] for (uint s = 1; s < 8; s++) {
        sums[0] += sums[s];
    }
    coopMatStore(sums[0], result, gl_WorkGroupID.x * MATRIX_M * MATRIX_N, MATRIX_N,
                 gl_CooperativeMatrixLayoutRowMajor);
}
