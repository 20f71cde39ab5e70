#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#ifdef WIDE // gemm_simd_wide, for drivers with 64-bit integers
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#endif

// C[m, n] = alpha * (opA(A) opB(B) + E) + (accumulate ? C : 0), in f32, for drivers that run
// shaders on the CPU (llvmpipe, SwiftShader).
//
//   NT: A[m, k] B[n, k]      NN: A[m, k] B[k, n]      TN: A[k, m] B[k, n]
//
// On such a driver an invocation is one lane of a SIMD register. Arithmetic is as fast as the
// CPU's, but a load becomes a loop over the lanes. It takes some 35 instructions a lane for up to
// four words of 32 or 64 bits, even if all lanes read one address. So this shader has few loads,
// WIDE ones if the driver has 64-bit integers (5 to 10 % less time). No address is read twice: the
// lanes pass values to each other by shuffles, which are one or two instructions.
//
// A workgroup is one subgroup. It computes TILE_M rows and LANES * COLUMNS columns of C; each lane
// keeps TILE_M x COLUMNS sums. For K_STEP values of k at a time every lane loads, four or eight
// elements at once, its own share of A and the weights of its own columns:
//
//                                 lane 0       lane 1       lane 2     ...
//                             +------------+------------+------------+
//                         b   |  COLUMNS   |            |            | K_STEP
//                             +------------+------------+------------+
//          K_STEP
//     row +------+            +------------+------------+------------+
//      0  |lane 0| --shuffle->| sums of    |            |            |
//      1  |lane 1| --shuffle->|            |            |            | TILE_M
//      2  |lane 2| --shuffle->|            |            |            |
//      .  |  .   |
//
// then each element of A, broadcast from the lane that has it, is multiplied with each column once.
// The sums stay in registers and on the stack; with eight lanes the defaults do 4096 vector
// multiply-adds for 24 loads of a whole vec4. Larger tiles gain little more (the unrolled loop
// outgrows the instruction cache) and cost seconds of compilation.
//
// Beyond the edges of C addresses are clamped, and the results are not stored. Beyond the end of k
// they are clamped as well, and the elements of A are set to zero.
//
// B[k, n] is read at a stride of whole pages, which no hardware prefetcher follows. So there each
// lane touches one word in every cache line of one row of the next step. All these lines are
// fetched at once and are in the cache when they are needed (1.5 times as fast on a 2048 x 5632
// weight).
//
// With EXTRA (NT and NN), E = extra_scale * extra_a extra_b, with extra_k in place of k: dense,
// f32, laid out as A and B are. E is a LoRA pair's contribution. Its few k are added to the sums
// one at a time, by code an eighth as long as that of a step.
//
// The sums are stored four rows at a time. These are always the first four; then the others move
// up. That looks wasteful but is not: if each sum is stored from its own place, a driver takes ten
// seconds to compile.
//
// ALIGNED promises that lda and the rows of A are multiples of 4 elements, ldb and the rows of B
// multiples of WEIGHT_STEP. A row is k long for A[m, k] and B[n, k], m long for A[k, m], n long for
// B[k, n]. QUADS promises that ldc and n are multiples of 4. It is a specialisation constant and
// not a condition on the push constants, because such a driver runs both branches of a condition.
// The local size must be the subgroup size, COLUMNS and K_STEP multiples of 8, and for TN TILE_M a
// multiple of 4. Any other TILE_M is allowed: 1 suits decoding. The sum over k runs in one fixed
// order: the same input gives the same bits.

layout(local_size_x_id = 3) in;
layout(constant_id = 1) const uint LAYOUT = 0;
layout(constant_id = 2) const uint ALIGNED = 0;
layout(constant_id = 4) const uint TILE_M = 32;
layout(constant_id = 5) const uint COLUMNS = 16;
layout(constant_id = 6) const uint K_STEP = 8;
layout(constant_id = 10) const uint EXTRA = 0;
layout(constant_id = 11) const uint QUADS = 0;

const uint NT = 0;
const uint NN = 1;
const uint TN = 2;

const uint LANES = gl_WorkGroupSize.x;
const uint K_QUADS = K_STEP / 4;
const uint M_BLOCKS = (TILE_M + LANES - 1) / LANES;          // of A[m, k]: a lane has one row each
const uint M_SPANS = (TILE_M + 4 * LANES - 1) / (4 * LANES); // of A[k, m]: a lane has four each
const uint TILE_N = LANES * COLUMNS;
const uint LEAVING = TILE_M % 4 == 0 ? 4 : 1; // rows that are stored at once
const uint A_QUADS = LAYOUT == TN ? K_STEP * M_SPANS : M_BLOCKS * K_QUADS;

layout(push_constant) uniform Push {
    uint m, n, k;
    uint lda, ldb, ldc; // elements from one row to the next
    float alpha;
    uint accumulate;
    uint extra_k;
    float extra_scale;
} push;

#define WEIGHT_BINDING 1
#define WEIGHT_COUNT ((LAYOUT == NT ? push.n : push.k) * push.ldb)
#include "weight.glsl"
#include "act.glsl"

const bool B_ALIGNED = ALIGNED != 0 || WEIGHT_BLOCK > 1; // rows of blocks are whole octets

ACT_READ(0, a)
ACT_UPDATE(2, c)
layout(std430, set = 0, binding = 3) readonly buffer ExtraA { float extra_a[]; };
layout(std430, set = 0, binding = 4) readonly buffer ExtraB { float extra_b[]; };

// Four elements of a row of A, clamped to its `columns`.
vec4 load_a(uint row, uint column, uint columns)
{
    const uint start = row * push.lda;
    if (ALIGNED != 0 || a_type != WEIGHT_F32)
        return a_quad(start + min(column, columns - 4));
    vec4 quad;
    [[unroll]] for (uint i = 0; i < 4; i++)
        quad[i] = a1[start + min(column + i, columns - 1)];
    return quad;
}

// Eight elements of a row of B, clamped to its `columns`.
void load_b(uint row, uint column, uint columns, out vec4 low, out vec4 high)
{
    const uint start = row * push.ldb;
    const uint last = columns - WEIGHT_STEP;
    Octet octet = NO_OCTET;
    if (B_ALIGNED)
        octet = weight_fetch(start + min(column, last), start + min(column + 4, last));
    else
        [[unroll]] for (uint i = 0; i < 8; i++)
            weight_put(octet, i, start + min(column + i, columns - 1));
    weight_decode(octet, low, high);
}

void store(uint row, uint column, vec4 sum)
{
    const uint at = row * push.ldc + column;
    sum *= push.alpha;
    if (QUADS != 0) {
        if (column < push.n) {
            if (push.accumulate != 0)
                sum += c_quad(at);
            c_store(true, at, 4, sum);
        }
    } else {
        [[unroll]] for (uint i = 0; i < 4; i++)
            if (column + i < push.n)
                c1[at + i] = sum[i] + (push.accumulate != 0 ? c1[at + i] : 0.0);
    }
}

void main()
{
    const uint lane = gl_SubgroupInvocationID;
    const uint row0 = gl_WorkGroupID.y * TILE_M;
    const uint column0 = (gl_WorkGroupID.x * LANES + lane) * COLUMNS;

    uint touched = 0;
    float acc[TILE_M * COLUMNS];
    [[unroll]] for (uint i = 0; i < TILE_M * COLUMNS; i++)
        acc[i] = 0.0;

    for (uint k0 = 0; k0 < push.k; k0 += K_STEP) {
        if (LAYOUT != NT) {
            const uint row = min(k0 + K_STEP + lane, push.k - 1);
            [[unroll]] for (uint t = 0; t < TILE_N; t += 16 * WEIGHT_PER_WORD) {
                const uint column = gl_WorkGroupID.x * TILE_N + t;
                touched |= weights1[weight_place(row * push.ldb + min(column, push.n - 1))];
            }
        }

        // This lane's share of A, which all lanes will use.
        vec4 a[A_QUADS];
        if (LAYOUT == TN) {
            [[unroll]] for (uint s = 0; s < K_STEP; s++)
                [[unroll]] for (uint q = 0; q < M_SPANS; q++) {
                    const uint column = row0 + (q * LANES + lane) * 4;
                    const vec4 quad = load_a(min(k0 + s, push.k - 1), column, push.m);
                    a[s * M_SPANS + q] = k0 + s < push.k ? quad : vec4(0.0);
                }
        } else {
            [[unroll]] for (uint i = 0; i < M_BLOCKS; i++)
                [[unroll]] for (uint q = 0; q < K_QUADS; q++) {
                    const uint row = min(row0 + i * LANES + lane, push.m - 1);
                    const uvec4 k = uvec4(k0 + 4 * q) + uvec4(0, 1, 2, 3);
                    const vec4 quad = load_a(row, k.x, push.k);
                    a[i * K_QUADS + q] = mix(vec4(0.0), quad, lessThan(k, uvec4(push.k)));
                }
        }

        // The weights of this lane's columns: b[column * K_STEP + k].
        float b[COLUMNS * K_STEP];
        if (LAYOUT == NT) {
            [[unroll]] for (uint j = 0; j < COLUMNS; j++) {
                const uint row = min(column0 + j, push.n - 1);
                [[unroll]] for (uint s = 0; s < K_STEP; s += 8) {
                    vec4 low, high;
                    load_b(row, k0 + s, push.k, low, high);
                    [[unroll]] for (uint e = 0; e < 4; e++) {
                        b[j * K_STEP + s + e] = low[e];
                        b[j * K_STEP + s + e + 4] = high[e];
                    }
                }
            }
        } else {
            [[unroll]] for (uint s = 0; s < K_STEP; s++) {
                const uint row = min(k0 + s, push.k - 1);
                [[unroll]] for (uint j = 0; j < COLUMNS; j += 8) {
                    vec4 low, high;
                    load_b(row, column0 + j, push.n, low, high);
                    [[unroll]] for (uint e = 0; e < 4; e++) {
                        b[(j + e) * K_STEP + s] = low[e];
                        b[(j + e + 4) * K_STEP + s] = high[e];
                    }
                }
            }
        }

        [[unroll]] for (uint i = 0; i < TILE_M; i++)
            [[unroll]] for (uint s = 0; s < K_STEP; s++) {
                float x;
                if (LAYOUT == TN)
                    x = subgroupShuffle(a[s * M_SPANS + i / (4 * LANES)][i % 4], i / 4 % LANES);
                else
                    x = subgroupShuffle(a[i / LANES * K_QUADS + s / 4][s % 4], i % LANES);
                [[unroll]] for (uint j = 0; j < COLUMNS; j++)
                    acc[i * COLUMNS + j] = fma(x, b[j * K_STEP + s], acc[i * COLUMNS + j]);
            }
    }

    if (EXTRA != 0)
        for (uint k = 0; k < push.extra_k; k++) {
            float a[M_BLOCKS];
            float b[COLUMNS];
            [[unroll]] for (uint i = 0; i < M_BLOCKS; i++) {
                const uint row = min(row0 + i * LANES + lane, push.m - 1);
                a[i] = push.extra_scale * extra_a[row * push.extra_k + k];
            }
            [[unroll]] for (uint j = 0; j < COLUMNS; j++) {
                const uint column = min(column0 + j, push.n - 1);
                b[j] = extra_b[LAYOUT == NT ? column * push.extra_k + k : k * push.n + column];
            }
            [[unroll]] for (uint i = 0; i < TILE_M; i++) {
                const float x = subgroupShuffle(a[i / LANES], i % LANES);
                [[unroll]] for (uint j = 0; j < COLUMNS; j++)
                    acc[i * COLUMNS + j] = fma(x, b[j], acc[i * COLUMNS + j]);
            }
        }

    if (push.k == 0) // never true, but no compiler knows that, so it keeps the loads of `touched`
        acc[0] = float(touched);

    const uint rows = min(TILE_M, push.m - row0);
    for (uint i = 0; i < rows; i += LEAVING) {
        [[unroll]] for (uint r = 0; r < LEAVING; r++)
            if (i + r < rows)
                [[unroll]] for (uint j = 0; j < COLUMNS; j += 4) {
                    const uint at = r * COLUMNS + j;
                    store(row0 + i + r, column0 + j,
                          vec4(acc[at], acc[at + 1], acc[at + 2], acc[at + 3]));
                }
        [[unroll]] for (uint next = LEAVING * COLUMNS; next < TILE_M * COLUMNS; next++)
            acc[next - LEAVING * COLUMNS] = acc[next];
    }
}
