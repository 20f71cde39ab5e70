#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#ifdef ASKING
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#endif

// C[m, n] = alpha * (opA(A) opB(B) + E) + (accumulate ? C : 0) in f32, for any GPU.
//
//   NT: A[m, k] B[n, k]      NN: A[m, k] B[k, n]      TN: A[k, m] B[k, n]
//
// The classic tiling. A workgroup computes TILE_M x TILE_N elements of C and walks along k. It
// copies K_STEP columns of A and B at a time to shared memory, where each element is used TILE_N or
// TILE_M times. An invocation keeps ROWS x COLUMNS sums in registers:
//
//                        TILE_N
//                   +--------------+
//                   |  tile_b      | K_STEP        for each k of the step:
//                   +--------------+                   x = tile_a[k][its ROWS]
//      K_STEP       +--------------+                   y = tile_b[k][its COLUMNS]
//     +------+      | .    .    .  |                   acc += x y^T
//     |      |      |   [4x4] of   |
//     |tile_a|      |   one invo-  | TILE_M
//     |      |      |   cation     |
//     +------+      +--------------+
//
// Both tiles lie k-major in shared memory whatever the layout in the buffers, so the inner loop
// reads whole quads. Operands whose rows run along k are transposed when they are copied there;
// rows are padded by one quad so that those scattered writes fall into different banks. The next
// step's loads are issued before this step's arithmetic and go to registers, so that the arithmetic
// hides the memory's latency. A quad of four consecutive elements is the unit of every load: one
// vector load if ALIGNED, four guarded ones if not. Elements outside of A and B read as zero, but if
// ALIGNED a row or a column beyond C is the last one again: what it gives is not stored.
//
// With ASKING defined, the lanes of a subgroup, which have the same ROWS, load tile_a's rows once among
// them and ask each other: where a lane's register may be any instruction's operand for all lanes, as
// on Intel's GPUs, that costs nothing, and shared memory is read half as often. Every subgroup must be
// full and of SUBGROUP_SIZE, which divides TILE_N / COLUMNS, K_STEP a multiple of 8. The sums have the
// same bits.
//
// With EXTRA (NT and NN), E = extra_scale * extra_a extra_b, with extra_k in place of k: dense,
// f32, laid out as A and B are. E is a LoRA pair's contribution, whose k is a hundredth of the
// layer's. Its steps, of EXTRA_STEP, follow those of k, in f32.
//
// With EPILOGUE, n and ldc are multiples of 4, and nothing is accumulated. 1: C is the half `up` of a gated
// MLP, and gated = act(gate) C. 2: the sums are the gradient of that, and C and `gated` become those of gate
// and up, where they may lie. 3: `gate` is added to C. (The same as in gemm_cm.)
//
// With ADDED (NN, ALIGNED), so many products are added to the first (terms.glsl).
//
// ALIGNED promises that lda and the rows of A, ldb and the rows of B are multiples of 4 elements. A
// row is k long for A[m, k] and B[n, k], m long for A[k, m], n long for B[k, n]. QUADS promises
// that ldc and n are multiples of 4.
// The local size must be (TILE_M / ROWS) * (TILE_N / COLUMNS), ROWS and COLUMNS multiples of 4.
// The sum over k runs in one fixed order: the same input gives the same bits.

layout(local_size_x_id = 3) in;
layout(constant_id = 1) const uint LAYOUT = 0;
layout(constant_id = 2) const uint ALIGNED = 0;
layout(constant_id = 4) const uint TILE_M = 64;
layout(constant_id = 5) const uint TILE_N = 64;
layout(constant_id = 6) const uint K_STEP = 16;
layout(constant_id = 7) const uint ROWS = 4;
layout(constant_id = 8) const uint COLUMNS = 4;
layout(constant_id = 10) const uint EXTRA = 0;
layout(constant_id = 11) const uint QUADS = 0;
layout(constant_id = 12) const uint SUBGROUP_SIZE = 8; // with ASKING
layout(constant_id = 13) const uint ADDED = 0;
layout(constant_id = 14) const uint EPILOGUE = 0;
layout(constant_id = 15) const uint GELU = 0;
layout(constant_id = 16) const uint SPLIT = 1;

const uint NT = 0;
const uint NN = 1;
const uint TN = 2;

const uint INVOCATIONS = gl_WorkGroupSize.x;
const uint ACROSS = TILE_N / COLUMNS;
const uint ROWS4 = ROWS / 4;
const uint COLUMNS4 = COLUMNS / 4;
const uint A_STRIDE4 = TILE_M / 4 + 1; // quads from one k to the next
const uint B_STRIDE4 = TILE_N / 4 + 1;
const uint A_QUADS = TILE_M * K_STEP / 4;
const uint B_QUADS = TILE_N * K_STEP / 4;
const uint A_FETCHES = (A_QUADS + INVOCATIONS - 1) / INVOCATIONS;
const uint B_FETCHES = (B_QUADS + INVOCATIONS - 1) / INVOCATIONS;

#include "terms.glsl"

layout(push_constant) uniform Push {
    uint m, n, k;
    uint lda, ldb, ldc; // elements from one row to the next
    float alpha;
    uint accumulate;
    uint extra_k;
    float extra_scale;
    TERMS_SCALARS
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
ACT_READ(5, gate)   // with EPILOGUE
ACT_READ(6, up)     // EPILOGUE == 2
ACT_WRITE(7, gated) // EPILOGUE 1 and 2
#include "epilogue.glsl"
const uint EXTRA_STEP = 4;
shared vec4 tile_a[K_STEP * A_STRIDE4];
shared vec4 tile_b[K_STEP * B_STRIDE4];
shared vec4 extra_tile_a[EXTRA != 0 ? EXTRA_STEP * A_STRIDE4 : 1];
shared vec4 extra_tile_b[EXTRA != 0 ? EXTRA_STEP * B_STRIDE4 : 1];

#define PARTIALS_BINDING 8
#define PARTIAL vec4
#define TOLD tile_a[0].x
#include "partials.glsl"

// Four elements of a row of A from `column` on; zero beyond the matrix.
vec4 a_quad(uint row, uint column, uint rows, uint columns)
{
    vec4 quad = vec4(0.0);
    if (row < rows) {
        const uint at = row * push.lda + column;
        if (column < columns)
            quad = a_load(ALIGNED != 0, at, columns - column);
    }
    return quad;
}

vec4 b_quad(uint row, uint column, uint rows, uint columns)
{
    vec4 quad = vec4(0.0);
    if (row < rows) {
        const uint at = row * push.ldb + column;
        if (B_ALIGNED) {
            if (column < columns)
                quad = weight_quad(at);
        } else {
            Octet octet = NO_OCTET;
            [[unroll]] for (uint i = 0; i < 4; i++)
                if (column + i < columns)
                    weight_put(octet, i, at + i);
            quad = weight_decode_quad(octet, false);
        }
    }
    return quad;
}

// The same of an extra pair.
vec4 extra_a_quad(ExtraPair pair, uint row, uint k)
{
    vec4 quad = vec4(0.0);
    [[unroll]] for (uint i = 0; i < 4; i++)
        if (row < push.m && k + i < pair.k)
            quad[i] = push.extra_scale * extra_a[pair.a + row * pair.k + k + i];
    return quad;
}

vec4 extra_b_quad(ExtraPair pair, uint row, uint column, uint rows, uint columns)
{
    vec4 quad = vec4(0.0);
    [[unroll]] for (uint i = 0; i < 4; i++)
        if (row < rows && column + i < columns)
            quad[i] = extra_b[pair.b + row * columns + column + i];
    return quad;
}

// The place in a tile of the i-th quad that an invocation loads of it: its row and its k, or its
// column and its k. Quads are numbered so that neighbouring invocations read neighbouring addresses:
// along k where rows run along k, along m or n elsewhere. `line` is their number along it; if it
// divides the invocations, the i-th quad lies a known number of lines behind the first.
uvec2 place_of(bool along_k, uint line, uint i)
{
    const uint self = gl_LocalInvocationIndex;
    const uvec2 at = INVOCATIONS % line == 0
                         ? uvec2(self % line * 4, self / line + i * (INVOCATIONS / line))
                         : uvec2((i * INVOCATIONS + self) % line * 4, (i * INVOCATIONS + self) / line);
    return along_k ? at.yx : at;
}

uvec2 place_a(uint i)
{
    return place_of(LAYOUT != TN, (LAYOUT == TN ? TILE_M : K_STEP) / 4, i);
}

uvec2 place_b(uint i)
{
    return place_of(LAYOUT == NT, (LAYOUT == NT ? K_STEP : TILE_N) / 4, i);
}

// Where in the buffer a quad lies in the first step of all, if rows are whole quads; of a later term,
// where it would lie if that had begun with the first step.
uint start_a(Term term, uvec2 place, uint row0)
{
    if (LAYOUT == TN)
        return place.y * push.lda + min(row0 + place.x, push.m - 4);
    return term.a + min(row0 + place.x, push.m - 1) * term.lda + place.y;
}

uint start_b(Term term, uvec2 place, uint column0)
{
    if (LAYOUT == NT)
        return min(column0 + place.x, push.n - 1) * push.ldb + place.y;
    return term.b + place.y * push.ldb + min(column0 + place.x, push.n - 4);
}

vec4 fetch_a(uvec2 place, uint start, uint row0, uint k0)
{
    const uint k = k0 + place.y;
    if (ALIGNED == 0)
        return LAYOUT == TN ? a_quad(k, row0 + place.x, push.k, push.m)
                            : a_quad(row0 + place.x, k, push.m, push.k);
    vec4 quad = vec4(0.0);
    if (k < push.k)
        quad = a_quad(start + k0 * (LAYOUT == TN ? push.lda : 1));
    return quad;
}

vec4 fetch_b(uvec2 place, uint start, uint column0, uint k0)
{
    const uint k = k0 + place.y;
    if (!B_ALIGNED)
        return LAYOUT == NT ? b_quad(column0 + place.x, k, push.n, push.k)
                            : b_quad(k, column0 + place.x, push.k, push.n);
    vec4 quad = vec4(0.0);
    if (k < push.k)
        quad = weight_quad(start + k0 * (LAYOUT == NT ? 1 : push.ldb));
    return quad;
}

void stage_a(uvec2 place, vec4 value)
{
    if (LAYOUT == TN)
        tile_a[place.y * A_STRIDE4 + place.x / 4] = value;
    else
        [[unroll]] for (uint i = 0; i < 4; i++)
            tile_a[(place.y + i) * A_STRIDE4 + place.x / 4][place.x % 4] = value[i];
}

void stage_b(uvec2 place, vec4 value)
{
    if (LAYOUT != NT)
        tile_b[place.y * B_STRIDE4 + place.x / 4] = value;
    else
        [[unroll]] for (uint i = 0; i < 4; i++)
            tile_b[(place.y + i) * B_STRIDE4 + place.x / 4][place.x % 4] = value[i];
}

// The sums of an invocation, and where its part of the tiles begins.
vec4 acc[ROWS * COLUMNS4];
uint my_row4, my_column4;

// The place in the workgroup.
#ifdef ASKING // Vulkan does not promise that neighbours of the local index share a subgroup
#define SELF (gl_SubgroupID * SUBGROUP_SIZE + gl_SubgroupInvocationID)
#else
#define SELF gl_LocalInvocationIndex
#endif

// acc += x y^T, with x of row k of tile_a.
void multiply_row(uint k, vec4 x[ROWS4])
{
    vec4 y[COLUMNS4];
    [[unroll]] for (uint j = 0; j < COLUMNS4; j++)
        y[j] = tile_b[k * B_STRIDE4 + my_column4 + j];
    [[unroll]] for (uint i = 0; i < ROWS; i++)
        [[unroll]] for (uint j = 0; j < COLUMNS4; j++)
            acc[i * COLUMNS4 + j] = fma(vec4(x[i / 4][i % 4]), y[j], acc[i * COLUMNS4 + j]);
}

#ifdef ASKING
// For eight neighbouring k each lane loads some of the ASKED quads that a subgroup needs of tile_a.
const uint ASKED = 8 * ROWS4;
const uint OWN = (ASKED + SUBGROUP_SIZE - 1) / SUBGROUP_SIZE;

void multiply()
{
    [[unroll]] for (uint k0 = 0; k0 < K_STEP; k0 += 8) {
        vec4 own[OWN];
        [[unroll]] for (uint i = 0; i < OWN; i++) {
            const uint quad = i * SUBGROUP_SIZE + gl_SubgroupInvocationID;
            if (ASKED % SUBGROUP_SIZE == 0 || quad < ASKED)
                own[i] = tile_a[(k0 + quad / ROWS4) * A_STRIDE4 + my_row4 + quad % ROWS4];
        }
        [[unroll]] for (uint k = 0; k < 8; k++) {
            vec4 x[ROWS4];
            [[unroll]] for (uint i = 0; i < ROWS4; i++) {
                const uint quad = k * ROWS4 + i; // known when loops are unrolled
                x[i] = subgroupBroadcast(own[quad / SUBGROUP_SIZE], quad % SUBGROUP_SIZE);
            }
            multiply_row(k0 + k, x);
        }
    }
}
#else
void multiply()
{
    [[unroll]] for (uint k = 0; k < K_STEP; k++) {
        vec4 x[ROWS4];
        [[unroll]] for (uint i = 0; i < ROWS4; i++)
            x[i] = tile_a[k * A_STRIDE4 + my_row4 + i];
        multiply_row(k, x);
    }
}
#endif

// EXTRA_STEP columns of extra_a and rows of extra_b, from k0 on, to shared memory.
void stage_extra(ExtraPair pair, uint row0, uint column0, uint k0)
{
    const uint self = gl_LocalInvocationIndex;
    for (uint row = self; row < TILE_M; row += INVOCATIONS) {
        const vec4 quad = extra_a_quad(pair, row0 + row, k0);
        [[unroll]] for (uint i = 0; i < EXTRA_STEP; i++)
            extra_tile_a[i * A_STRIDE4 + row / 4][row % 4] = quad[i];
    }
    for (uint q = self; q < TILE_N; q += INVOCATIONS) { // TILE_N / 4 quads in each of four rows
        const uint i = q / (TILE_N / 4), column = q % (TILE_N / 4) * 4;
        if (LAYOUT == NN) {
            extra_tile_b[i * B_STRIDE4 + column / 4] =
                extra_b_quad(pair, k0 + i, column0 + column, pair.k, push.n);
        } else {
            const vec4 quad = extra_b_quad(pair, column0 + q, k0, push.n, pair.k);
            [[unroll]] for (uint e = 0; e < EXTRA_STEP; e++)
                extra_tile_b[e * B_STRIDE4 + q / 4][q % 4] = quad[e];
        }
    }
}

void add_extra_pair(ExtraPair pair, uint row0, uint column0)
{
    [[dont_unroll]] for (uint k0 = 0; k0 < pair.k; k0 += EXTRA_STEP) {
        barrier(); // all invocations have read the tiles
        stage_extra(pair, row0, column0, k0);
        barrier(); // the tiles are complete
        [[unroll]] for (uint k = 0; k < EXTRA_STEP; k++)
            [[unroll]] for (uint i = 0; i < ROWS; i++) {
                const vec4 x = extra_tile_a[k * A_STRIDE4 + my_row4 + i / 4];
                [[unroll]] for (uint j = 0; j < COLUMNS4; j++)
                    acc[i * COLUMNS4 + j] = fma(vec4(x[i % 4]),
                                                extra_tile_b[k * B_STRIDE4 + my_column4 + j],
                                                acc[i * COLUMNS4 + j]);
            }
    }
}

void add_extra(uint row0, uint column0)
{
    for (uint term = 0; term < (EXTRA != 0 ? 1 + ADDED : 0); term++)
        add_extra_pair(EXTRA_PAIR_OF(term), row0, column0);
}

void store(uint row, uint column, vec4 sum)
{
    const uint at = row * push.ldc + column;
    sum *= push.alpha;
    if (EPILOGUE == 1 || EPILOGUE == 2) {
        store_gated(at, sum);
        return;
    }
    if (EPILOGUE == 3)
        sum += gate_quad(at);
    else if (push.accumulate != 0)
        sum += c_load(QUADS != 0, at, push.n - column);
    c_store(QUADS != 0, at, push.n - column, sum);
}

void store_sums(uint row0, uint column0)
{
    [[unroll]] for (uint i = 0; i < ROWS; i++) {
        const uint row = row0 + my_row4 * 4 + i;
        [[unroll]] for (uint j = 0; j < COLUMNS4; j++) {
            const uint column = column0 + (my_column4 + j) * 4;
            if (row < push.m && column < push.n)
                store(row, column, acc[i * COLUMNS4 + j]);
        }
    }
}

// Takes the sums of all workgroups of a tile together. false: another one does.
bool join_sums(uint tile, uint part)
{
    const uint all = ROWS * COLUMNS4 * INVOCATIONS; // quads of a workgroup
    const uint first = COUNTERS / 4 + tile * SPLIT * all + gl_LocalInvocationIndex;
    [[unroll]] for (uint i = 0; i < ROWS * COLUMNS4; i++)
        partials[first + part * all + i * INVOCATIONS] = acc[i];
    if (!arrives_last(tile, SPLIT))
        return false;
    [[unroll]] for (uint i = 0; i < ROWS * COLUMNS4; i++) {
        acc[i] = vec4(0.0);
        [[dont_unroll]] for (uint p = 0; p < SPLIT; p++)
            acc[i] += partials[first + p * all + i * INVOCATIONS];
    }
    return true;
}

void main()
{
    const uint self = SELF;
    const uint down = (push.m + TILE_M - 1) / TILE_M, across = (push.n + TILE_N - 1) / TILE_N;
    const uint part = SPLIT > 1 ? gl_WorkGroupID.y / down : 0; // of k
    const uint tile_row = SPLIT > 1 ? gl_WorkGroupID.y % down : gl_WorkGroupID.y;
    const uint from = SPLIT > 1 ? part * (push.k / SPLIT) : 0;
    const uint to = SPLIT > 1 ? from + push.k / SPLIT : push.k;
    const uint row0 = tile_row * TILE_M;
    const uint column0 = gl_WorkGroupID.x * TILE_N;
    my_row4 = self / ACROSS * ROWS4;
    my_column4 = self % ACROSS * COLUMNS4;
    [[unroll]] for (uint i = 0; i < ROWS * COLUMNS4; i++)
        acc[i] = vec4(0.0);

    uvec2 to_a[A_FETCHES], to_b[B_FETCHES];
    uint from_a[A_FETCHES], from_b[B_FETCHES];
    vec4 next_a[A_FETCHES], next_b[B_FETCHES];
    [[unroll]] for (uint i = 0; i < A_FETCHES; i++) {
        to_a[i] = place_a(i);
        from_a[i] = start_a(TERM_AT(from), to_a[i], row0);
        next_a[i] = fetch_a(to_a[i], from_a[i], row0, from);
    }
    [[unroll]] for (uint i = 0; i < B_FETCHES; i++) {
        to_b[i] = place_b(i);
        from_b[i] = start_b(TERM_AT(from), to_b[i], column0);
        next_b[i] = fetch_b(to_b[i], from_b[i], column0, from);
    }

    for (uint k0 = from; k0 < to; k0 += K_STEP) {
        barrier(); // all invocations have read the tiles
        [[unroll]] for (uint i = 0; i < A_FETCHES; i++)
            if (A_QUADS % INVOCATIONS == 0 || i * INVOCATIONS + self < A_QUADS)
                stage_a(to_a[i], next_a[i]);
        [[unroll]] for (uint i = 0; i < B_FETCHES; i++)
            if (B_QUADS % INVOCATIONS == 0 || i * INVOCATIONS + self < B_QUADS)
                stage_b(to_b[i], next_b[i]);
        barrier(); // the tiles are complete

        if (BEGINS_TERM(k0 + K_STEP)) {
            const Term term = TERM_AT(k0 + K_STEP);
            [[unroll]] for (uint i = 0; i < A_FETCHES; i++)
                from_a[i] = start_a(term, to_a[i], row0);
            [[unroll]] for (uint i = 0; i < B_FETCHES; i++)
                from_b[i] = start_b(term, to_b[i], column0);
        }
        [[unroll]] for (uint i = 0; i < A_FETCHES; i++)
            next_a[i] = fetch_a(to_a[i], from_a[i], row0, k0 + K_STEP);
        [[unroll]] for (uint i = 0; i < B_FETCHES; i++)
            next_b[i] = fetch_b(to_b[i], from_b[i], column0, k0 + K_STEP);
        multiply();
    }
    if (SPLIT <= 1 || join_sums(tile_row * across + gl_WorkGroupID.x, part)) {
        add_extra(row0, column0);
        store_sums(row0, column0);
    }
}
