#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

// C[m, n] = alpha * (A[m, k] B[n, k]^T + E) + (accumulate ? C : 0) for few rows, such as the single
// row of a token. Its time is the time that reading B takes. For drivers that run shaders on the
// CPU; gemv.comp is the same for GPUs.
//
// A workgroup is one subgroup. It computes TILE_M rows and COLUMNS columns of C, and its lanes take
// turns along k, eight elements each:
//
//     k        lane 0   lane 1   lane 2  ...  lane 0  ...
//            +--------+--------+--------+---+--------+
//     b row  |   8    |   8    |   8    |   |   8    |    COLUMNS of them, each read in order
//
// At the end the lanes' sums are added up in the order of the lanes: the same input gives the same
// bits. On llvmpipe the cost of a load depends on the number of its components and not on their
// width, so eight 16-bit weights are loaded as two 64-bit words. Reading one row of B at a time
// leaves a core waiting for memory. Reading eight at a time, far apart, is as fast as its caches
// (Mesa 26: 4.0 GB/s and 7.9 GB/s for each core).
//
// With EXTRA, E[m, n] = extra_scale * extra_a[m, extra_k] extra_b[n, extra_k]^T. extra_k is small,
// so one lane sums over all of it for each element of C.
//
// ALIGNED promises that lda and k are multiples of 4 elements, ldb and k of WEIGHT_STEP.
// The local size must be the subgroup size and COLUMNS a multiple of it.

layout(local_size_x_id = 3) in;
layout(constant_id = 2) const uint ALIGNED = 0;
layout(constant_id = 4) const uint TILE_M = 1;
layout(constant_id = 5) const uint COLUMNS = 8;
layout(constant_id = 10) const uint EXTRA = 0;

const uint LANES = gl_WorkGroupSize.x;

layout(push_constant) uniform Push {
    uint m, n, k;
    uint lda, ldb, ldc; // elements from one row to the next
    float alpha;
    uint accumulate;
    uint extra_k;
    float extra_scale;
} push;

#define WIDE
#define WEIGHT_BINDING 1
#define WEIGHT_COUNT (push.n * push.ldb)
#include "weight.glsl"
#include "act.glsl"

const bool B_ALIGNED = ALIGNED != 0 || WEIGHT_BLOCK > 1; // rows of blocks are whole octets

ACT_READ(0, a)
ACT_UPDATE(2, c)
layout(std430, set = 0, binding = 3) readonly buffer ExtraA { float extra_a[]; };
layout(std430, set = 0, binding = 4) readonly buffer ExtraB { float extra_b[]; };

// Eight elements of a row of A from k0 on, zero beyond its end.
void load_a(uint row, uint k0, out float x[8])
{
    const uint start = row * push.lda;
    [[unroll]] for (uint q = 0; q < 8; q += 4) {
        vec4 quad;
        if (ALIGNED != 0 || a_type != WEIGHT_F32) {
            quad = a_quad(start + min(k0 + q, push.k - 4));
        } else {
            [[unroll]] for (uint e = 0; e < 4; e++)
                quad[e] = a1[start + min(k0 + q + e, push.k - 1)];
        }
        [[unroll]] for (uint e = 0; e < 4; e++)
            x[q + e] = k0 + q + e < push.k ? quad[e] : 0.0;
    }
}

// Eight elements of a row of B. Beyond its end they are any numbers, since A's are zero.
void load_b(uint row, uint k0, out float x[8])
{
    const uint start = row * push.ldb;
    const uint last = push.k - WEIGHT_STEP;
    Octet octet = NO_OCTET;
    vec4 low, high;
    if (B_ALIGNED)
        octet = weight_fetch(start + min(k0, last), start + min(k0 + 4, last));
    else
        [[unroll]] for (uint i = 0; i < 8; i++)
            weight_put(octet, i, start + min(k0 + i, push.k - 1));
    weight_decode(octet, low, high);
    [[unroll]] for (uint e = 0; e < 4; e++) {
        x[e] = low[e];
        x[e + 4] = high[e];
    }
}

// The extra pair's contribution to an element of C.
float extra(uint row, uint column)
{
    float sum = 0.0;
    if (EXTRA != 0)
        for (uint k = 0; k < push.extra_k; k++)
            sum += extra_a[row * push.extra_k + k] * extra_b[column * push.extra_k + k];
    return push.extra_scale * sum;
}

void main()
{
    const uint lane = gl_SubgroupInvocationID;
    const uint row0 = gl_WorkGroupID.y * TILE_M, column0 = gl_WorkGroupID.x * COLUMNS;

    float acc[TILE_M * COLUMNS];
    [[unroll]] for (uint i = 0; i < TILE_M * COLUMNS; i++)
        acc[i] = 0.0;

    for (uint from = 0; from < push.k; from += 8 * LANES) {
        const uint k0 = from + 8 * lane;
        float a[TILE_M][8];
        [[unroll]] for (uint i = 0; i < TILE_M; i++)
            load_a(min(row0 + i, push.m - 1), k0, a[i]);
        [[unroll]] for (uint j = 0; j < COLUMNS; j++) {
            float b[8];
            load_b(min(column0 + j, push.n - 1), k0, b);
            [[unroll]] for (uint i = 0; i < TILE_M; i++)
                [[unroll]] for (uint e = 0; e < 8; e++)
                    acc[i * COLUMNS + j] = fma(a[i][e], b[e], acc[i * COLUMNS + j]);
        }
    }

    // Each lane keeps every LANES-th column.
    [[unroll]] for (uint i = 0; i < TILE_M; i++)
        [[unroll]] for (uint j0 = 0; j0 < COLUMNS; j0 += LANES) {
            float sum = 0.0;
            [[unroll]] for (uint j = 0; j < LANES; j++) {
                float total = 0.0;
                [[unroll]] for (uint l = 0; l < LANES; l++)
                    total += subgroupShuffle(acc[i * COLUMNS + j0 + j], l);
                sum = lane == j ? total : sum;
            }
            const uint row = row0 + i, column = column0 + j0 + lane;
            if (row < push.m && column < push.n) {
                sum += extra(row, column);
                const uint at = row * push.ldc + column;
                sum = push.alpha * sum + (push.accumulate != 0 ? c_at(at) : 0.0);
            }
            if (row < push.m) {
                const uint start = row * push.ldc;
                ACT_STORE_LANES(c, LANES, lane, start + column0 + j0, start + push.n, sum)
            }
        }
}
