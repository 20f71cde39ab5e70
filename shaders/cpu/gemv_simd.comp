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
// A workgroup is one subgroup. It computes TILE_M rows of C and COLUMNS columns for each lane. A
// lane reads its own rows of B in order, K_STEP elements at a time, so that all lanes wait for
// memory together. Of A each lane reads its share of these elements, and the others take them from
// it by shuffles:
//
//                                  lane 0    lane 1    lane 2   ...
//                                +---------+---------+---------+
//     row +--------+--------+    |         |         |         |
//         | lane 0 | lane 1 ...  | COLUMNS |         |         |  K_STEP
//         +--------+--------+    |         |         |         |
//
// On llvmpipe a load is a loop over the lanes. It takes some 20 instructions a lane and 7 for each
// component, and the width of a component does not matter. So weights come as 64-bit words, four in
// a load where type and rows allow (weight_span), and the header of a block is read once for 64
// elements. Each sum is one lane's, over k in order: the same input gives the same bits.
//
// With EXTRA, E[m, n] = extra_scale * extra_a[m, extra_k] extra_b[n, extra_k]^T. extra_k is small,
// so one lane sums over all of it for each element of C.
//
// ALIGNED promises that lda and k are multiples of 4 elements, ldb and k of WEIGHT_STEP. The local
// size must be the subgroup size. K_STEP is 8 or the elements of a span; then k and ldb are
// multiples of it.

layout(local_size_x_id = 3) in;
layout(constant_id = 2) const uint ALIGNED = 0;
layout(constant_id = 4) const uint TILE_M = 1;
layout(constant_id = 5) const uint COLUMNS = 2;
layout(constant_id = 6) const uint K_STEP = 8;
layout(constant_id = 10) const uint EXTRA = 0;

const uint LANES = gl_WorkGroupSize.x;
const uint SHARE = (K_STEP + LANES - 1) / LANES; // of A's elements, a lane's

layout(push_constant) uniform Push
{
    uint m, n, k;
    uint lda, ldb, ldc; // elements from one row to the next
    float alpha;
    uint accumulate;
    uint extra_k;
    float extra_scale;
}
push;

#define WIDE
#define WEIGHT_LANES LANES
#define WEIGHT_BINDING 1
#define WEIGHT_COUNT (push.n * push.ldb)
#include "act.glsl"
#include "weight.glsl"

const bool B_ALIGNED = ALIGNED != 0 || WEIGHT_BLOCK > 1; // rows of blocks are whole octets

const uint LINE = 16 * WEIGHT_PER_WORD; // elements in 64 bytes

ACT_READ(0, a)
ACT_UPDATE(2, c)
layout(std430, set = 0, binding = 3) readonly buffer ExtraA
{
    float extra_a[];
};
layout(std430, set = 0, binding = 4) readonly buffer ExtraB
{
    float extra_b[];
};

// A lane's share of the elements of a row of A from k0 on, zero beyond the row's end.
void load_a(uint row, uint k0, out float x[SHARE])
{
    const uint start = row * push.lda, k = k0 + gl_SubgroupInvocationID * SHARE;
    if (SHARE % 4 == 0 && (ALIGNED != 0 || a_type != WEIGHT_F32)) {
        [[unroll]] for (uint q = 0; q < SHARE; q += 4)
        {
            const vec4 quad = a_quad(start + min(k + q, push.k - 4));
            [[unroll]] for (uint e = 0; e < 4; e++) x[q + e] = k + q < push.k ? quad[e] : 0.0;
        }
    } else {
        [[unroll]] for (uint e = 0; e < SHARE; e++)
        {
            const float element = a_at(start + min(k + e, push.k - 1));
            x[e] = k + e < push.k ? element : 0.0;
        }
    }
}

// Eight elements of a row of B. Beyond its end they are any numbers, since A's are zero.
Octet load_octet(uint row, uint k0)
{
    const uint start = row * push.ldb;
    const uint last = push.k - WEIGHT_STEP;
    if (B_ALIGNED)
        return weight_fetch(start + min(k0, last), start + min(k0 + 4, last));
    Octet octet = NO_OCTET;
    [[unroll]] for (uint i = 0; i < 8; i++)
        weight_put(octet, i, start + min(k0 + i, push.k - 1));
    return octet;
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
    const uint row0 = gl_WorkGroupID.y * TILE_M, column0 = gl_WorkGroupID.x * COLUMNS * LANES;

    float acc[TILE_M * COLUMNS];
    [[unroll]] for (uint i = 0; i < TILE_M * COLUMNS; i++)
        acc[i] = 0.0;

    // Several rows of 4 bits share a page, and no hardware prefetcher follows several streams in
    // one. So first all of the lanes' rows are touched in order, once in each cache line.
    uint touched = 0;
    if (WEIGHT_PER_WORD >= 8) {
        const uint begin = min(column0, push.n) * push.ldb;
        const uint end = min(column0 + COLUMNS * LANES, push.n) * push.ldb;
        for (uint at = begin + lane * LINE; at < end; at += LANES * LINE)
            touched |= weights1[weight_place(at)];
    }

    for (uint k0 = 0; k0 < push.k; k0 += K_STEP) {
        float a[TILE_M][SHARE];
        [[unroll]] for (uint i = 0; i < TILE_M; i++)
            load_a(min(row0 + i, push.m - 1), k0, a[i]);
        [[unroll]] for (uint j = 0; j < COLUMNS; j++) {
            const uint row = min(column0 + j * LANES + lane, push.n - 1);
            Span span;
            if (K_STEP > 8)
                span = weight_span(row * push.ldb + k0);
            [[unroll]] for (uint from = 0; from < K_STEP; from += 8) {
                vec4 low, high;
                weight_decode(K_STEP > 8 ? weight_span_octet(span, from / 8) : load_octet(row, k0),
                              low, high);
                [[unroll]] for (uint i = 0; i < TILE_M; i++)
                    [[unroll]] for (uint e = 0; e < 8; e++) {
                        const float x =
                            subgroupShuffle(a[i][(from + e) % SHARE], (from + e) / SHARE);
                        acc[i * COLUMNS + j] =
                            fma(x, e < 4 ? low[e] : high[e - 4], acc[i * COLUMNS + j]);
                    }
            }
        }
    }

    if (push.k == 0) // never true, but no compiler knows that, so it keeps the loads of `touched`
        acc[0] = float(touched);

    [[unroll]] for (uint i = 0; i < TILE_M; i++)
        [[unroll]] for (uint j = 0; j < COLUMNS; j++) {
            const uint row = row0 + i, column = column0 + j * LANES + lane;
            float sum = acc[i * COLUMNS + j];
            if (row < push.m && column < push.n) {
                sum += extra(row, column);
                const uint at = row * push.ldc + column;
                sum = push.alpha * sum + (push.accumulate != 0 ? c_at(at) : 0.0);
            }
            if (row < push.m) {
                const uint start = row * push.ldc;
                ACT_STORE_LANES(c, LANES, lane, start + column0 + j * LANES, start + push.n, sum)
            }
        }
}
