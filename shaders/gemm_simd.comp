#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

#include "weight.glsl"

// C[m, n] = alpha * opA(A) opB(B) + (accumulate ? C : 0), for drivers that run shaders on the CPU.

layout(local_size_x_id = 3) in;
layout(constant_id = 0) const uint B_TYPE = 0;
layout(constant_id = 1) const uint LAYOUT = 0;
layout(constant_id = 2) const uint ALIGNED = 1;
layout(constant_id = 4) const uint TILE_M = 32;
layout(constant_id = 5) const uint COLUMNS = 4;
layout(constant_id = 6) const uint K_STEP = 8;
layout(constant_id = 7) const uint ROWS_AT_ONCE = 2;

const uint NT = 0;
const uint NN = 1;
const uint TN = 2;

const uint LANES = gl_WorkGroupSize.x;
const uint TILE_N = COLUMNS * LANES;
const uint ROW_BLOCKS = (TILE_M + LANES - 1) / LANES;
const uint K4 = K_STEP / 4;
const uint COLUMNS4 = COLUMNS / 4;

layout(push_constant) uniform Push {
    uint m, n, k;
    uint lda, ldb, ldc;
    float alpha;
    uint accumulate;
} push;

layout(std430, set = 0, binding = 0) readonly buffer A1 { float a1[]; };
layout(std430, set = 0, binding = 0) readonly buffer A4 { vec4 a4[]; };
layout(std430, set = 0, binding = 1) readonly buffer B1 { uint b1[]; };
layout(std430, set = 0, binding = 1) readonly buffer B2 { uvec2 b2[]; };
layout(std430, set = 0, binding = 1) readonly buffer B4 { uvec4 b4[]; };
layout(std430, set = 0, binding = 2) buffer C1 { float c1[]; };
layout(std430, set = 0, binding = 2) buffer C4 { vec4 c4[]; };

float weight1(uint index)
{
    return B_TYPE == WEIGHT_F32 ? uintBitsToFloat(b1[index])
                                : weight_unpack1(B_TYPE, b1[index >> 1], index);
}

void main()
{
    const uint lane = gl_SubgroupInvocationID;
    const uint row0 = gl_WorkGroupID.y * TILE_M;
    const uint column0 = gl_WorkGroupID.x * TILE_N + lane * COLUMNS;

    float acc[TILE_M * COLUMNS];
    [[unroll]] for (uint i = 0; i < TILE_M * COLUMNS; i++)
        acc[i] = 0.0;

    uint a_base[ROW_BLOCKS];
    uint b_base[COLUMNS];
    [[unroll]] for (uint i = 0; i < ROW_BLOCKS; i++) {
        const uint row = min(row0 + i * LANES + lane, push.m - 1);
        a_base[i] = LAYOUT == TN ? row : row * push.lda;
    }
    [[unroll]] for (uint j = 0; j < COLUMNS; j++) {
        const uint column = min(column0 + j, push.n - 1);
        b_base[j] = LAYOUT == NT ? column * push.ldb : column;
    }

    uint k0 = 0;
    if (ALIGNED != 0 && LAYOUT != TN) {
        const uint last = push.k / K_STEP * K_STEP;
        for (; k0 < last; k0 += K_STEP) {
            vec4 a[ROW_BLOCKS * K4];
            [[unroll]] for (uint i = 0; i < ROW_BLOCKS; i++)
                [[unroll]] for (uint s = 0; s < K4; s++)
                    a[i * K4 + s] = a4[(a_base[i] + k0) / 4 + s];
            float b[COLUMNS * K_STEP];
            if (LAYOUT == NT) {
                [[unroll]] for (uint j = 0; j < COLUMNS; j++) {
                    const uint at = b_base[j] + k0;
                    if (B_TYPE != WEIGHT_F32 && K_STEP % 8 == 0) {
                        [[unroll]] for (uint s = 0; s < K_STEP / 8; s++) {
                            const uvec4 w = b4[at / 8 + s];
                            const vec4 lo = weight_unpack4(B_TYPE, w.xy);
                            const vec4 hi = weight_unpack4(B_TYPE, w.zw);
                            [[unroll]] for (uint e = 0; e < 4; e++) {
                                b[j * K_STEP + 8 * s + e] = lo[e];
                                b[j * K_STEP + 8 * s + e + 4] = hi[e];
                            }
                        }
                    } else {
                        [[unroll]] for (uint s = 0; s < K4; s++) {
                            const vec4 w = B_TYPE == WEIGHT_F32 ? uintBitsToFloat(b4[at / 4 + s])
                                                                : weight_unpack4(B_TYPE, b2[at / 4 + s]);
                            [[unroll]] for (uint e = 0; e < 4; e++)
                                b[j * K_STEP + 4 * s + e] = w[e];
                        }
                    }
                }
            } else {
                [[unroll]] for (uint s = 0; s < K_STEP; s++) {
                    const uint at = (k0 + s) * push.ldb;
                    if (B_TYPE != WEIGHT_F32 && COLUMNS % 8 == 0) {
                        [[unroll]] for (uint j = 0; j < COLUMNS / 8; j++) {
                            const uvec4 w = b4[(at + min(column0 + 8 * j, push.n - 8)) / 8];
                            const vec4 lo = weight_unpack4(B_TYPE, w.xy);
                            const vec4 hi = weight_unpack4(B_TYPE, w.zw);
                            [[unroll]] for (uint e = 0; e < 4; e++) {
                                b[(8 * j + e) * K_STEP + s] = lo[e];
                                b[(8 * j + e + 4) * K_STEP + s] = hi[e];
                            }
                        }
                    } else {
                        [[unroll]] for (uint j = 0; j < COLUMNS4; j++) {
                            const uint quad = (at + min(column0 + 4 * j, push.n - 4)) / 4;
                            const vec4 w = B_TYPE == WEIGHT_F32 ? uintBitsToFloat(b4[quad])
                                                                : weight_unpack4(B_TYPE, b2[quad]);
                            [[unroll]] for (uint e = 0; e < 4; e++)
                                b[(4 * j + e) * K_STEP + s] = w[e];
                        }
                    }
                }
            }
            [[unroll]] for (uint i0 = 0; i0 < TILE_M; i0 += ROWS_AT_ONCE) {
                float x[ROWS_AT_ONCE * K_STEP];
                [[unroll]] for (uint r = 0; r < ROWS_AT_ONCE; r++)
                    [[unroll]] for (uint s = 0; s < K_STEP; s++)
                        x[r * K_STEP + s] = subgroupShuffle(a[(i0 + r) / LANES * K4 + s / 4][s % 4], (i0 + r) % LANES);
                [[unroll]] for (uint j = 0; j < COLUMNS; j++)
                    [[unroll]] for (uint s = 0; s < K_STEP; s++)
                        [[unroll]] for (uint r = 0; r < ROWS_AT_ONCE; r++)
                            acc[(i0 + r) * COLUMNS + j] = fma(x[r * K_STEP + s], b[j * K_STEP + s], acc[(i0 + r) * COLUMNS + j]);
            }
        }
    }
    for (; k0 < push.k; k0++) {
        float x[ROW_BLOCKS];
        [[unroll]] for (uint i = 0; i < ROW_BLOCKS; i++)
            x[i] = a1[a_base[i] + (LAYOUT == TN ? k0 * push.lda : k0)];
        [[unroll]] for (uint j = 0; j < COLUMNS; j++) {
            const float b = weight1(b_base[j] + (LAYOUT == NT ? k0 : k0 * push.ldb));
            [[unroll]] for (uint i = 0; i < TILE_M; i++)
                acc[i * COLUMNS + j] = fma(subgroupShuffle(x[i / LANES], i % LANES), b, acc[i * COLUMNS + j]);
        }
    }

    [[unroll]] for (uint i = 0; i < TILE_M; i++) {
        if (row0 + i < push.m) {
            [[unroll]] for (uint j = 0; j < COLUMNS; j++) {
                if (column0 + j < push.n) {
                    const uint at = (row0 + i) * push.ldc + column0 + j;
                    const float old = push.accumulate != 0 ? c1[at] : 0.0;
                    c1[at] = push.alpha * acc[i * COLUMNS + j] + old;
                }
            }
        }
    }
}
