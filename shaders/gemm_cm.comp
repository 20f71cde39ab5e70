#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#ifdef OPERANDS_BF16
#extension GL_EXT_bfloat16 : require
#endif

// C[m, n] = alpha * (opA(A) opB(B) + E) + (accumulate ? C : 0) on matrix units (cooperative
// matrices): A and B rounded to 16 bits, sums in f32.
//
//   NT: A[m, k] B[n, k]      NN: A[m, k] B[k, n]      TN: A[k, m] B[k, n]
//
// One source, two shaders: gemm_cm_f16, and gemm_cm_bf16 with OPERANDS_BF16 defined.
//
// A workgroup owns TILE_M x TILE_N elements of C; its subgroups, ROWS of them down and the rest
// across, share the tile out among them, and each holds its part as matrices of MATRIX_M x MATRIX_N
// sums. For K_STEP values of k at a time both operands are rounded to 16 bits and staged in shared
// memory:
//
//                          TILE_N
//                     +--------------+
//                     |    tile_b    | K_STEP
//        K_STEP       +--------------+
//       +------+      +------+-------+
//       |tile_a|      | sub- | sub-  |  each subgroup: its rows of tile_a times its columns of
//       |      |      |group0| group1|  tile_b, by matrices of MATRIX_M x MATRIX_K and
//       |      |      +------+-------+  MATRIX_K x MATRIX_N
//       |      |      |  2   |   3   |
//       +------+      +------+-------+ TILE_M
//
// Staging moves eight consecutive elements of a row at a time, whatever the layout: a tile lies in
// shared memory as it lies in its buffer, and only the layout with which a matrix is loaded from
// there differs. Rows are padded by 16 bytes, so that the rows of a matrix fall into different
// banks. The next step's loads are issued before this step's arithmetic and wait in registers.
//
// f16 knows nothing beyond 65504 and next to nothing below 6e-8, while a gradient may be of any
// size. So an operand in f32 whose bit in SCALED is set (1: A, 2: B) is multiplied by the power of
// two that takes its largest element to 2^14 .. 2^15, and the sums are multiplied back. The largest
// elements of 256 parts come from `absmax`. bf16 has the range of f32 and needs none of it.
//
// With EXTRA (NT and NN), E = extra_scale * extra_a extra_b of extra_k columns and rows, dense, f32,
// laid out as A and B are: a LoRA pair's. It is not rounded, and so not for the matrix units: when the
// tiles have served, they take EXTRA_STEP columns of extra_a and rows of extra_b at a time, a row or
// column of C a line, as quads along k; each invocation multiplies lines for its elements of a
// matrix, and the matrix is added to the sums by way of shared memory.
//
// ALIGNED promises that lda, the rows of A, ldb and the rows of B are multiples of 8 elements. A
// row is k long for A[m, k] and B[n, k], m long for A[k, m], n long for B[k, n].
// Every subgroup must be full and of SUBGROUP_SIZE. TILE_M is a multiple of 8 and of ROWS *
// MATRIX_M, and so on; K_STEP of 8 and of MATRIX_K, at least 24 with EXTRA.
// The sum over k runs in one fixed order: the same input gives the same bits.

layout(local_size_x_id = 3) in;
layout(constant_id = 1) const uint LAYOUT = 0;
layout(constant_id = 2) const uint ALIGNED = 0;
layout(constant_id = 4) const uint TILE_M = 64;
layout(constant_id = 5) const uint TILE_N = 64;
layout(constant_id = 6) const uint K_STEP = 32;
layout(constant_id = 7) const uint ROWS = 2;
layout(constant_id = 8) const uint MATRIX_M = 16;
layout(constant_id = 9) const uint MATRIX_N = 16;
layout(constant_id = 10) const uint MATRIX_K = 16;
layout(constant_id = 11) const uint SUBGROUP_SIZE = 32;
layout(constant_id = 12) const uint SCALED = 0;
layout(constant_id = 13) const uint EXTRA = 0;

const uint NT = 0;
const uint NN = 1;
const uint TN = 2;

#ifdef OPERANDS_BF16
#define OPERAND bfloat16_t
#else
#define OPERAND float16_t
#endif

const uint INVOCATIONS = gl_WorkGroupSize.x;
const uint SUBGROUPS = INVOCATIONS / SUBGROUP_SIZE;
const uint COLUMNS = SUBGROUPS / ROWS;
const uint PART_M = TILE_M / ROWS; // of a subgroup
const uint PART_N = TILE_N / COLUMNS;
const uint DOWN = PART_M / MATRIX_M;
const uint ACROSS = PART_N / MATRIX_N;

// Tiles in octets, eight 16-bit elements each: how long a row is, how far apart rows lie.
const uint A_ROW8 = (LAYOUT == TN ? TILE_M : K_STEP) / 8;
const uint B_ROW8 = (LAYOUT == NT ? K_STEP : TILE_N) / 8;
const uint A_STRIDE8 = A_ROW8 + 1;
const uint B_STRIDE8 = B_ROW8 + 1;
const uint A_ROWS = LAYOUT == TN ? K_STEP : TILE_M;
const uint B_ROWS = LAYOUT == NT ? TILE_N : K_STEP;
const uint A_OCTETS = TILE_M * K_STEP / 8;
const uint B_OCTETS = TILE_N * K_STEP / 8;
const uint A_FETCHES = (A_OCTETS + INVOCATIONS - 1) / INVOCATIONS;
const uint B_FETCHES = (B_OCTETS + INVOCATIONS - 1) / INVOCATIONS;

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

// The operands' type: what is stored so needs no rounding.
#ifdef OPERANDS_BF16
const uint ROUNDED = WEIGHT_BF16;
#else
const uint ROUNDED = WEIGHT_F16;
#endif

ACT_READ(0, a)
ACT_UPDATE(4, c)
layout(std430, set = 0, binding = 2) readonly buffer MaxA { float max_a[]; }; // [256] if scaled
layout(std430, set = 0, binding = 3) readonly buffer MaxB { float max_b[]; };
layout(std430, set = 0, binding = 5) readonly buffer ExtraA { float extra_a[]; };
layout(std430, set = 0, binding = 6) readonly buffer ExtraB { float extra_b[]; };

shared uvec4 tile_a[A_ROWS * A_STRIDE8];
shared uvec4 tile_b[B_ROWS * B_STRIDE8];
shared float edge[SUBGROUPS * MATRIX_M * MATRIX_N];
shared uint largest[2];

// Eight elements of A on their way: two quads of f32 or, in `low`, two in 16 bits.
Octet fetch_a(uint octet, uint row0, uint k0)
{
    const uint line = octet / A_ROW8, at = octet % A_ROW8 * 8;
    const uint row = (LAYOUT == TN ? k0 : row0) + line;
    const uint column = (LAYOUT == TN ? row0 : k0) + at;
    const uint rows = LAYOUT == TN ? push.k : push.m, columns = LAYOUT == TN ? push.m : push.k;
    Octet result = NO_OCTET;
    if (row < rows) {
        const uint start = row * push.lda + column;
        if (a_type != WEIGHT_F32) { // rows are whole octets
            if (column < columns)
                result.low = uvec4(a2[start / 4], a2[start / 4 + 1]);
        } else if (ALIGNED != 0) {
            if (column < columns) {
                result.low = floatBitsToUint(a4[start / 4]);
                result.high = floatBitsToUint(a4[start / 4 + 1]);
            }
        } else {
            [[unroll]] for (uint i = 0; i < 4; i++) {
                if (column + i < columns)
                    result.low[i] = floatBitsToUint(a1[start + i]);
                if (column + i + 4 < columns)
                    result.high[i] = floatBitsToUint(a1[start + i + 4]);
            }
        }
    }
    return result;
}

Octet fetch_b(uint octet, uint column0, uint k0)
{
    const uint line = octet / B_ROW8, at = octet % B_ROW8 * 8;
    const uint row = (LAYOUT == NT ? column0 : k0) + line;
    const uint column = (LAYOUT == NT ? k0 : column0) + at;
    const uint rows = LAYOUT == NT ? push.n : push.k, columns = LAYOUT == NT ? push.k : push.n;
    Octet result = NO_OCTET;
    if (row < rows) {
        const uint start = row * push.ldb + column;
        if (B_ALIGNED) {
            if (column < columns)
                result = weight_fetch(start, start + 4);
        } else {
            [[unroll]] for (uint i = 0; i < 8; i++)
                if (column + i < columns)
                    weight_put(result, i, start + i);
        }
    }
    return result;
}

// Two numbers rounded to the operands' type, to nearest and of two to the even one, in one word.
#ifdef OPERANDS_BF16
// By hand, for GLSL has bits of bfloat16_t in 16-bit integers alone, yet another feature to need.
uint round2(vec2 x)
{
    return act_round_bf16(x.x) >> 16 | act_round_bf16(x.y) & 0xffff0000u;
}
#else
uint round2(vec2 x)
{
    return packFloat2x16(f16vec2(x));
}
#endif

uvec4 round8(vec4 low, vec4 high)
{
    return uvec4(round2(low.xy), round2(low.zw), round2(high.xy), round2(high.zw));
}

void stage_a(uint octet, Octet value, float scale)
{
    const uint at = octet / A_ROW8 * A_STRIDE8 + octet % A_ROW8;
    vec4 low = uintBitsToFloat(value.low), high = uintBitsToFloat(value.high);
    if (a_type != WEIGHT_F32) {
        low = act_decode(a_type, value.low.xy);
        high = act_decode(a_type, value.low.zw);
    }
    if (a_type == ROUNDED && (SCALED & 1) == 0)
        tile_a[at] = value.low;
    else
        tile_a[at] = round8(low * scale, high * scale);
}

void stage_b(uint octet, Octet value, float scale)
{
    const uint at = octet / B_ROW8 * B_STRIDE8 + octet % B_ROW8;
    if (STORED == ROUNDED) {
        tile_b[at] = value.low;
    } else {
        vec4 low, high;
        weight_decode(value, low, high);
        tile_b[at] = round8(low * scale, high * scale);
    }
}

// The power of two that takes `bits`, of an f32, to 2^14 .. 2^15: 2^(14 - exponent), kept where it
// and its inverse are ordinary numbers. Nothing is changed where all is zero, or something is
// infinite or no number: it comes out as f32 would have it.
float scale_of(uint bits)
{
    const uint exponent = bits >> 23;
    if (bits == 0 || exponent == 255)
        return 1.0;
    return uintBitsToFloat(clamp(268 - int(exponent), 1, 253) << 23);
}

void find_scales(out float scale_a, out float scale_b)
{
    const uint self = gl_LocalInvocationIndex;
    scale_a = scale_b = 1.0;
    if (SCALED != 0) {
        if (self < 2)
            largest[self] = 0;
        barrier();
        // Bits of numbers that are not negative keep their order.
        for (uint i = self; i < 256; i += INVOCATIONS) {
            if ((SCALED & 1) != 0)
                atomicMax(largest[0], floatBitsToUint(max_a[i]));
            if ((SCALED & 2) != 0)
                atomicMax(largest[1], floatBitsToUint(max_b[i]));
        }
        barrier();
        if ((SCALED & 1) != 0)
            scale_a = scale_of(largest[0]);
        if ((SCALED & 2) != 0)
            scale_b = scale_of(largest[1]);
    }
}

const uint EXTRA_STEP = 8;
const uint EXTRA_STRIDE = EXTRA_STEP / 4 + 1; // quads from one line to the next: odd, for the banks

// EXTRA_STEP elements of a row of extra_a, from k0 on; zero beyond it.
void stage_extra_a(uint line, uint row, uint k0)
{
    [[unroll]] for (uint q = 0; q < EXTRA_STEP / 4; q++) {
        vec4 quad = vec4(0.0);
        [[unroll]] for (uint i = 0; i < 4; i++)
            if (row < push.m && k0 + 4 * q + i < push.extra_k)
                quad[i] = push.extra_scale * extra_a[row * push.extra_k + k0 + 4 * q + i];
        tile_a[line * EXTRA_STRIDE + q] = floatBitsToUint(quad);
    }
}

// Of what a column of C meets in extra_b.
void stage_extra_b(uint line, uint column, uint k0)
{
    [[unroll]] for (uint q = 0; q < EXTRA_STEP / 4; q++) {
        vec4 quad = vec4(0.0);
        [[unroll]] for (uint i = 0; i < 4; i++) {
            const uint k = k0 + 4 * q + i;
            if (column < push.n && k < push.extra_k)
                quad[i] = extra_b[LAYOUT == NT ? column * push.extra_k + k : k * push.n + column];
        }
        tile_b[line * EXTRA_STRIDE + q] = floatBitsToUint(quad);
    }
}

// A subgroup's matrix of E, as far as the staged lines go, into its part of `edge`.
void multiply_extra(uint row, uint column)
{
    const uint mine = gl_SubgroupID * MATRIX_M * MATRIX_N;
    // Not unrolled: it stands in the program once for each of a subgroup's matrices.
    [[dont_unroll]] for (uint e = gl_SubgroupInvocationID; e < MATRIX_M * MATRIX_N; e += SUBGROUP_SIZE) {
        const uint left = (row + e / MATRIX_N) * EXTRA_STRIDE;
        const uint right = (column + e % MATRIX_N) * EXTRA_STRIDE;
        float sum = 0.0;
        [[unroll]] for (uint q = 0; q < EXTRA_STEP / 4; q++)
            sum += dot(uintBitsToFloat(tile_a[left + q]), uintBitsToFloat(tile_b[right + q]));
        edge[mine + e] = sum;
    }
}

// Takes an element of `edge`, or four if C is stored in 16 bits, to C's element `at`.
void store(uint at, uint from)
{
    if (c_type == WEIGHT_F32) {
        c1[at] = edge[from] + (push.accumulate != 0 ? c1[at] : 0.0);
    } else {
        vec4 quad = vec4(edge[from], edge[from + 1], edge[from + 2], edge[from + 3]);
        if (push.accumulate != 0)
            quad += c_quad(at);
        c_store(true, at, 4, quad);
    }
}

// The inverse of a power of two between 2^-126 and 2^126.
float inverse(float power)
{
    return uintBitsToFloat((254u << 23) - floatBitsToUint(power));
}

void main()
{
    const uint self = gl_LocalInvocationIndex;
    const uint row0 = gl_WorkGroupID.y * TILE_M;
    const uint column0 = gl_WorkGroupID.x * TILE_N;
    const uint part_row = gl_SubgroupID / COLUMNS * PART_M;
    const uint part_column = gl_SubgroupID % COLUMNS * PART_N;

    float scale_a, scale_b;
    find_scales(scale_a, scale_b);

    coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator> sums[DOWN * ACROSS];
    [[unroll]] for (uint i = 0; i < DOWN * ACROSS; i++)
        sums[i] =
            coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>(0.0);

    Octet next_a[A_FETCHES];
    Octet next_b[B_FETCHES];
    [[unroll]] for (uint i = 0; i < A_FETCHES; i++)
        next_a[i] = fetch_a(i * INVOCATIONS + self, row0, 0);
    [[unroll]] for (uint i = 0; i < B_FETCHES; i++)
        next_b[i] = fetch_b(i * INVOCATIONS + self, column0, 0);

    for (uint k0 = 0; k0 < push.k; k0 += K_STEP) {
        barrier(); // nobody reads the tiles any more
        [[unroll]] for (uint i = 0; i < A_FETCHES; i++)
            if (A_OCTETS % INVOCATIONS == 0 || i * INVOCATIONS + self < A_OCTETS)
                stage_a(i * INVOCATIONS + self, next_a[i], scale_a);
        [[unroll]] for (uint i = 0; i < B_FETCHES; i++)
            if (B_OCTETS % INVOCATIONS == 0 || i * INVOCATIONS + self < B_OCTETS)
                stage_b(i * INVOCATIONS + self, next_b[i], scale_b);
        barrier(); // the tiles are whole

        if (k0 + K_STEP < push.k) {
            [[unroll]] for (uint i = 0; i < A_FETCHES; i++)
                next_a[i] = fetch_a(i * INVOCATIONS + self, row0, k0 + K_STEP);
            [[unroll]] for (uint i = 0; i < B_FETCHES; i++)
                next_b[i] = fetch_b(i * INVOCATIONS + self, column0, k0 + K_STEP);
        }

        [[unroll]] for (uint k = 0; k < K_STEP; k += MATRIX_K) {
            coopmat<OPERAND, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA> x[DOWN];
            [[unroll]] for (uint i = 0; i < DOWN; i++) {
                const uint row = part_row + i * MATRIX_M;
                if (LAYOUT == TN)
                    coopMatLoad(x[i], tile_a, k * A_STRIDE8 + row / 8, A_STRIDE8,
                                gl_CooperativeMatrixLayoutColumnMajor);
                else
                    coopMatLoad(x[i], tile_a, row * A_STRIDE8 + k / 8, A_STRIDE8,
                                gl_CooperativeMatrixLayoutRowMajor);
            }
            [[unroll]] for (uint j = 0; j < ACROSS; j++) {
                const uint column = part_column + j * MATRIX_N;
                coopmat<OPERAND, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB> y;
                if (LAYOUT == NT)
                    coopMatLoad(y, tile_b, column * B_STRIDE8 + k / 8, B_STRIDE8,
                                gl_CooperativeMatrixLayoutColumnMajor);
                else
                    coopMatLoad(y, tile_b, k * B_STRIDE8 + column / 8, B_STRIDE8,
                                gl_CooperativeMatrixLayoutRowMajor);
                [[unroll]] for (uint i = 0; i < DOWN; i++)
                    sums[i * ACROSS + j] = coopMatMulAdd(x[i], y, sums[i * ACROSS + j]);
            }
        }
    }

    // Two factors one after the other: their product may lie beyond f32.
    const float back_a = inverse(scale_a), back_b = inverse(scale_b);
    [[unroll]] for (uint i = 0; i < DOWN * ACROSS; i++)
        sums[i] = sums[i] * back_a * back_b;

    if (EXTRA != 0)
        for (uint k0 = 0; k0 < push.extra_k; k0 += EXTRA_STEP) {
            barrier(); // nobody reads the tiles any more
            for (uint line = self; line < TILE_M; line += INVOCATIONS)
                stage_extra_a(line, row0 + line, k0);
            for (uint line = self; line < TILE_N; line += INVOCATIONS)
                stage_extra_b(line, column0 + line, k0);
            barrier(); // the lines are whole
            [[unroll]] for (uint i = 0; i < DOWN; i++)
                [[unroll]] for (uint j = 0; j < ACROSS; j++) {
                    multiply_extra(part_row + i * MATRIX_M, part_column + j * MATRIX_N);
                    barrier();
                    coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator> e;
                    coopMatLoad(e, edge, gl_SubgroupID * MATRIX_M * MATRIX_N, MATRIX_N,
                                gl_CooperativeMatrixLayoutRowMajor);
                    sums[i * ACROSS + j] += e;
                    barrier();
                }
        }

    const bool whole = row0 + TILE_M <= push.m && column0 + TILE_N <= push.n && push.ldc % 4 == 0;
    [[unroll]] for (uint i = 0; i < DOWN; i++)
        [[unroll]] for (uint j = 0; j < ACROSS; j++) {
            const uint row = row0 + part_row + i * MATRIX_M;
            const uint column = column0 + part_column + j * MATRIX_N;
            coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator> sum =
                sums[i * ACROSS + j] * push.alpha;
            if (whole && c_type == WEIGHT_F32) {
                if (push.accumulate != 0) {
                    coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator> c;
                    coopMatLoad(c, c1, row * push.ldc + column, push.ldc,
                                gl_CooperativeMatrixLayoutRowMajor);
                    sum += c;
                }
                coopMatStore(sum, c1, row * push.ldc + column, push.ldc,
                             gl_CooperativeMatrixLayoutRowMajor);
            } else {
                // The tile reaches over C's edge, or C is stored in 16 bits: by way of shared memory,
                // element by element, or quad by quad.
                const uint mine = gl_SubgroupID * MATRIX_M * MATRIX_N;
                coopMatStore(sum, edge, mine, MATRIX_N, gl_CooperativeMatrixLayoutRowMajor);
                barrier();
                const uint each = c_type == WEIGHT_F32 ? 1 : 4;
                [[dont_unroll]] for (uint e = each * gl_SubgroupInvocationID; e < MATRIX_M * MATRIX_N;
                     e += each * SUBGROUP_SIZE) {
                    const uint r = row + e / MATRIX_N, c = column + e % MATRIX_N;
                    if (r < push.m && c < push.n)
                        store(r * push.ldc + c, mine + e);
                }
                barrier();
            }
        }
}
