#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

// C[m, n] = alpha * (A[m, k] B[n, k]^T + E) + (accumulate ? C : 0), NT, on any GPU, where C has few rows, such
// as the single row of a token. A tile would be almost empty. Its time is the time that reading B takes.
//
// A workgroup computes TILE_M rows and COLUMNS columns of C. Its invocations take turns along k,
// eight elements each, so that neighbours read neighbouring 16 bytes of 16-bit weights:
//
//     k        invocation 0   invocation 1   ...   invocation 0   ...
//            +--------------+--------------+-----+--------------+---
//     b row  |      8       |      8       |     |      8       |         COLUMNS of them
//
// COLUMNS loads are in flight at once. At the end one invocation for each element of C adds up the
// parts of its sum in shared memory, in the order of the invocations: the same input gives the same
// bits.
//
// With EXTRA, E = extra_scale * extra_a extra_b, laid out as A and B are. extra_k is small, so one
// invocation sums over all of it for each element of C.
//
// ALIGNED promises that lda and k are multiples of 4 elements, ldb and the rows of B of WEIGHT_STEP.
// TILE_M * COLUMNS is at most the local size.

layout(local_size_x_id = 3) in;
layout(constant_id = 2) const uint ALIGNED = 0;
layout(constant_id = 4) const uint TILE_M = 1;
layout(constant_id = 5) const uint COLUMNS = 4;
layout(constant_id = 10) const uint EXTRA = 0;

const uint INVOCATIONS = gl_WorkGroupSize.x;
const uint SUMS = TILE_M * COLUMNS;
const uint STRIDE = INVOCATIONS + 1; // of the sums in shared memory, each in a bank of its own

layout(push_constant) uniform Push {
    uint m, n, k;
    uint lda, ldb, ldc; // elements from one row to the next
    float alpha;
    uint accumulate;
    uint extra_k;
    float extra_scale;
} push;

#define WEIGHT_BINDING 1
#define WEIGHT_COUNT (push.n * push.ldb)
#include "weight.glsl"
#include "act.glsl"

const bool B_ALIGNED = ALIGNED != 0 || WEIGHT_BLOCK > 1; // rows of blocks are whole octets

ACT_READ(0, a)
ACT_UPDATE(2, c)
layout(std430, set = 0, binding = 3) readonly buffer ExtraA { float extra_a[]; };
layout(std430, set = 0, binding = 4) readonly buffer ExtraB { float extra_b[]; };

shared float sums[SUMS * STRIDE];

// Four elements of a row of A from `at` on, of which `left` are there; the others are zero.
vec4 load_a(uint at, uint left)
{
    return left > 0 ? a_load(ALIGNED != 0, at, left) : vec4(0.0);
}

// Eight elements of a row of B from k on. Beyond its end they are any numbers, since A's are zero.
void load_b(uint row, uint k, out vec4 low, out vec4 high)
{
    const uint start = row * push.ldb;
    Octet octet = NO_OCTET;
    if (B_ALIGNED)
        octet = weight_fetch(start + k, start + min(k + 4, push.k - WEIGHT_STEP));
    else
        [[unroll]] for (uint i = 0; i < 8; i++)
            weight_put(octet, i, start + min(k + i, push.k - 1));
    weight_decode(octet, low, high);
}

// The extra pair's contribution to an element of C.
float extra(uint row, uint column)
{
    float sum = 0.0;
    if (EXTRA != 0)
        for (uint k = 0; k < push.extra_k; k++)
            sum += extra_a[row * push.extra_k + k] *
                   extra_b[column * push.extra_k + k];
    return push.extra_scale * sum;
}

void main()
{
    const uint me = gl_LocalInvocationID.x;
    const uint row0 = gl_WorkGroupID.y * TILE_M, column0 = gl_WorkGroupID.x * COLUMNS;

    float acc[SUMS];
    [[unroll]] for (uint i = 0; i < SUMS; i++)
        acc[i] = 0.0;

    for (uint k = 8 * me; k < push.k; k += 8 * INVOCATIONS) {
        vec4 low[COLUMNS], high[COLUMNS];
        [[unroll]] for (uint j = 0; j < COLUMNS; j++)
            load_b(min(column0 + j, push.n - 1), k, low[j], high[j]);
        [[unroll]] for (uint i = 0; i < TILE_M; i++) {
            const uint at = min(row0 + i, push.m - 1) * push.lda + k;
            const vec4 x = load_a(at, push.k - k);
            const vec4 y = load_a(at + 4, push.k - min(push.k, k + 4));
            [[unroll]] for (uint j = 0; j < COLUMNS; j++)
                acc[i * COLUMNS + j] += dot(x, low[j]) + dot(y, high[j]);
        }
    }

    [[unroll]] for (uint i = 0; i < SUMS; i++)
        sums[i * STRIDE + me] = acc[i];
    barrier();

    const uint row = row0 + me / COLUMNS, column = column0 + me % COLUMNS;
    const uint at = row * push.ldc + column;
    const bool mine = me < SUMS && row < push.m && column < push.n;
    if (mine) {
        float sum = 0.0;
        for (uint i = 0; i < INVOCATIONS; i++)
            sum += sums[me * STRIDE + i];
        sum += extra(row, column);
        sum = push.alpha * sum + (push.accumulate != 0 ? c_at(at) : 0.0);
        if (c_type == WEIGHT_F32)
            c1[at] = sum;
        else
            sums[me * STRIDE] = sum;
    }
    if (c_type != WEIGHT_F32) { // a word holds two sums, so one invocation stores four
        barrier();
        if (mine && me % 4 == 0)
            c_store(true, at, 4,
                    vec4(sums[me * STRIDE], sums[(me + 1) * STRIDE], sums[(me + 2) * STRIDE],
                         sums[(me + 3) * STRIDE]));
    }
}
