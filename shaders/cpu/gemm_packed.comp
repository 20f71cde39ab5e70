#version 450
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

// C[m, n] = alpha * (A B + E) + (accumulate ? C : 0), in f32, NT or NN as in gemm_simd.comp, for
// CPU drivers that load only once if all lanes share an address. Mesa 26's llvmpipe does so, Mesa
// 22.3's does not. Such a load is one instruction, or none if a multiplication takes its operand
// from memory. A load that gathers lane by lane, as in gemm_simd, takes dozens of cycles.
//
// A workgroup is one subgroup, and its sums stay in registers. In NT a lane has two rows of C: it
// loads their elements of A, which lie side by side, and all lanes share the words of B's rows:
//
//                     8 columns              a lane's: row l and row LANES + l of the tile
//                   +-----------+
//                   |    b      |  32 of k: each word has two of them, and all lanes load it
//          32 of k  +-----------+
//         +-------+ +-----------+
//  lane 0 |       | |           |
//  lane 1 |   a   | |   sums    |
//    ...  |       | |           |
//         +-------+ +-----------+
//
// In NN, a row of B has its columns side by side, so it is the other way round: a lane has two
// columns of C, and all lanes share the elements of A:
//
//                     lane 0  lane 1  lane 2 ...
//                   +-------+-------+-------+
//                   |   b   |       |       |  16 of k: a lane's word has its two columns
//          16 of k  +-------+-------+-------+
//         +-------+ +-------+-------+-------+
//      a  |       | |       |       |       |  12 rows
//         +-------+ +-------+-------+-------+
//
// What the driver's machine code says (Mesa 26, LLVM 21, AVX-512's 32 registers of 256 bits):
//   - Loads of neighbours, one for each lane, become one load of a whole register (WORD_OF_LANE).
//   - fma is a multiplication and an addition. Two of each are done in a cycle, as are two loads:
//     unless two registers use an element that all lanes share, loads are what counts.
//   - The sums go through a choice between old and new at the end of every round of the loop, which
//     a longer round makes rarer; but there are no registers for the old ones, so more sums than
//     here are kept in memory.
//   - What is done to a number that all lanes share is done in a scalar register, from where a
//     broadcast is slow. `none` keeps the decoding of B in vector registers.
//   - Of a loop's body without a branch the compiler may order sum after sum, each with all its
//     terms, which keeps all of B in memory. Reading a push constant is a branch, since its bounds
//     are checked: so NN reads ldb within the loop and not before it (38 % faster).
//
// A is packed by pack_rows: tiles of TILE rows, each column after column, so it is read from end to
// end. The rows of an unpacked A may lie whole pages apart, all of them in one set of the cache
// (less than half as fast). Tiles of the same columns follow each other, so that B is read from
// memory once.
//
// After a loop's last round the driver runs its body once more with all lanes off, and still does
// the loads that all lanes share. So the addresses stay within A and B even then. What is left of k
// after the last whole step is read through the bindings, which check their bounds.
//
// Each sum takes its terms in the order of k, as in gemm_simd, so both give the same bits.
//
// The local size must be the subgroup size, 32 or less. TILE is twice that in NT, and 12 in NN. n is
// a multiple of 8 in NT and of 2 LANES in NN; k is 32 or more; B is of a type without blocks, and
// with 16-bit weights ldb is even.

layout(local_size_x_id = 2) in;
layout(constant_id = 1) const uint LAYOUT = 0;
layout(constant_id = 3) const uint TILE = 16; // rows of a packed tile

const uint NT = 0;
const uint NN = 1;
const uint LANES = gl_WorkGroupSize.x;
const uint SHARED = LAYOUT == NT ? 8 : TILE; // columns or rows that all lanes share
const uint COLUMNS = LAYOUT == NT ? SHARED : 2 * LANES;
const uint SUMS = 2 * SHARED;
const uint K_STEP = LAYOUT == NT ? 32 : 16;

layout(push_constant) uniform Push {
    uint m, n, k;
    uint lda, ldb, ldc; // columns of a tile of A; elements from one row to the next
    float alpha;
    uint accumulate;
    uint extra_k;
    float extra_scale;
    uint a_low, a_high, b_low, b_high;
} push;

#define WEIGHT_BINDING 1
#define WEIGHT_COUNT ((LAYOUT == NT ? push.n : push.k) * push.ldb)
#include "weight.glsl"
#include "act.glsl"

layout(std430, set = 0, binding = 0) readonly buffer A { float a1[]; };
ACT_UPDATE(2, c)
layout(std430, set = 0, binding = 3) readonly buffer ExtraA { float extra_a[]; };
layout(std430, set = 0, binding = 4) readonly buffer ExtraB { float extra_b[]; };

layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Floats { float at[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly buffer Words { uint at[]; };

const uint B_BYTES = 4 / WEIGHT_PER_WORD;

// Gives each lane l its own word: word `first + l` of those at `place`. All lanes load the words of
// all lanes, which the compiler makes one load of a register.
#define WORD_OF_LANE(out, place, first)                                                            \
    uint out = 0;                                                                                  \
    [[unroll]] for (uint l = 0; l < LANES; l++)                                                    \
    {                                                                                              \
        const uint shared_word = Words(place).at[(first) + l];                                     \
        out = lane == l ? shared_word : out;                                                       \
    }

uint lane;
float acc[SUMS]; // [shared][own]

// The sums' terms of an element that all lanes share with two of the lane's own.
void add(uint shared_one, float x, vec2 own)
{
    acc[2 * shared_one] = fma(x, own.x, acc[2 * shared_one]);
    acc[2 * shared_one + 1] = fma(x, own.y, acc[2 * shared_one + 1]);
}

// NT: a step of k, of rows of B that begin at `b_row`, with A's columns from `a` on.
void step_nt(uint64_t a, uint64_t b_row[SHARED], uint64_t b_offset, uint none)
{
    [[unroll]] for (uint s = 0; s < K_STEP; s += WEIGHT_PER_WORD) {
        vec2 own[WEIGHT_PER_WORD];
        [[unroll]] for (uint e = 0; e < WEIGHT_PER_WORD; e++) {
            WORD_OF_LANE(low, a, (s + e) * TILE)
            WORD_OF_LANE(high, a, (s + e) * TILE + LANES)
            own[e] = uintBitsToFloat(uvec2(low, high));
        }
        [[unroll]] for (uint j = 0; j < SHARED; j++) {
            const uint word = Words(b_row[j] + b_offset).at[s / WEIGHT_PER_WORD];
            const vec4 b = weight_from_shared_word(word, none);
            [[unroll]] for (uint e = 0; e < WEIGHT_PER_WORD; e++)
                add(j, b[e], own[e]);
        }
    }
}

// NN: the same, with rows of B from `b` on, two at a time.
void step_nn(uint64_t a, uint64_t b)
{
    const uint64_t stride = uint64_t(push.ldb * B_BYTES);
    [[unroll]] for (uint s = 0; s < K_STEP; s += 2) {
        vec2 own[2];
        [[unroll]] for (uint e = 0; e < 2; e++) {
            WORD_OF_LANE(low, b, 0)
            own[e] = weight_from_word(low).xy;
            if (WEIGHT_PER_WORD == 1) {
                WORD_OF_LANE(high, b, LANES)
                own[e].y = weight_from_word(high).x;
            }
            b += stride;
        }
        [[unroll]] for (uint e = 0; e < 2; e++)
            [[unroll]] for (uint i = 0; i < SHARED; i++)
                add(i, Floats(a).at[(s + e) * TILE + i], own[e]);
    }
}

// Where a lane's own `which`, 0 or 1, is in the tile: its row in NT, its column in NN.
uint place_of(uint of_lane, uint which)
{
    return LAYOUT == NN && WEIGHT_PER_WORD == 2 ? 2 * of_lane + which : which * LANES + of_lane;
}

uint own_place(uint which)
{
    return place_of(lane, which);
}

// One element of B, which checks bounds.
float b_at(uint column, uint k)
{
    Octet octet = NO_OCTET;
    weight_put(octet, 0, LAYOUT == NT ? column * push.ldb + k : k * push.ldb + column);
    return weight_from_word(octet.low.x).x;
}

// A sum as c gets it.
float finished(float sum, uint at)
{
    sum *= push.alpha;
    return push.accumulate != 0 ? sum + c_at(at) : sum;
}

// NT: each lane stores its rows.
void store_nt(uint row0, uint column0)
{
    [[unroll]] for (uint o = 0; o < 2; o++) {
        const uint row = row0 + own_place(o);
        if (row < push.m)
            [[unroll]] for (uint j = 0; j < SHARED; j += 4) {
                const uint at = row * push.ldc + column0 + j;
                vec4 quad;
                [[unroll]] for (uint e = 0; e < 4; e++)
                    quad[e] = finished(acc[2 * (j + e) + o], at + e);
                c_store(false, at, 4, quad);
            }
    }
}

// Element `column` of the tile's row of which each lane has two.
float from_lanes(vec2 own, uint column)
{
    const uint from = LAYOUT == NN && WEIGHT_PER_WORD == 2 ? column / 2 : column;
    const float first = subgroupShuffle(own.x, from % LANES);
    const float second = subgroupShuffle(own.y, from % LANES);
    return column == place_of(from % LANES, 0) ? first : second;
}

// NN: the lanes store each row together.
void store_nn(uint row0, uint column0)
{
    [[unroll]] for (uint i = 0; i < SHARED; i++)
        if (row0 + i < push.m) {
            const uint at = (row0 + i) * push.ldc + column0;
            vec2 own;
            [[unroll]] for (uint o = 0; o < 2; o++)
                own[o] = finished(acc[2 * i + o], at + own_place(o));
            if (c_type == WEIGHT_F32) {
                [[unroll]] for (uint o = 0; o < 2; o++)
                    c1[at + own_place(o)] = own[o];
            } else {
                vec4 quad;
                [[unroll]] for (uint e = 0; e < 4; e++)
                    quad[e] = from_lanes(own, 4 * lane % (2 * LANES) + e);
                if (4 * lane < 2 * LANES)
                    c_store(true, at + 4 * lane, 4, quad);
            }
        }
}

void main()
{
    lane = gl_SubgroupInvocationID;
    const uint row0 = gl_WorkGroupID.x * TILE, column0 = gl_WorkGroupID.y * COLUMNS;
    const uint tile = gl_WorkGroupID.x * push.lda * TILE; // where the tile of A begins
    const uint k_end = push.k - push.k % K_STEP;
    const uint none = lane / push.k; // 0, but no compiler knows that
    const uint64_t a = pack64(uvec2(push.a_low, push.a_high)) + uint64_t(tile) * 4;
    const uint64_t b_all = pack64(uvec2(push.b_low, push.b_high));

    uint64_t b_row[SHARED]; // NT: where the rows of B begin
    if (LAYOUT == NT)
        [[unroll]] for (uint j = 0; j < SHARED; j++)
            b_row[j] = b_all + uint64_t(column0 + j) * push.ldb * B_BYTES;
    [[unroll]] for (uint i = 0; i < SUMS; i++)
        acc[i] = 0.0;

    for (uint from = 0; from < k_end; from += K_STEP) {
        const uint k0 = min(from, k_end - K_STEP);
        const uint64_t a_step = a + uint64_t(k0 * TILE * 4);
        if (LAYOUT == NT)
            step_nt(a_step, b_row, uint64_t(k0 * B_BYTES), none);
        else
            step_nn(a_step, b_all + (uint64_t(k0) * push.ldb + column0) * B_BYTES);
    }

    for (uint k = k_end; k < push.k; k++) {
        vec2 own;
        [[unroll]] for (uint o = 0; o < 2; o++)
            own[o] = LAYOUT == NT ? a1[tile + k * TILE + own_place(o)]
                                  : b_at(column0 + own_place(o), k);
        [[unroll]] for (uint i = 0; i < SHARED; i++)
            add(i, LAYOUT == NT ? b_at(column0 + i, k) : a1[tile + k * TILE + i], own);
    }

    for (uint k = 0; k < push.extra_k; k++) {
        vec2 own;
        [[unroll]] for (uint o = 0; o < 2; o++) {
            const uint row = min(row0 + own_place(o), push.m - 1);
            own[o] = LAYOUT == NT ? push.extra_scale * extra_a[row * push.extra_k + k]
                                  : extra_b[k * push.n + column0 + own_place(o)];
        }
        [[unroll]] for (uint i = 0; i < SHARED; i++) {
            const uint row = min(row0 + i, push.m - 1);
            add(i,
                LAYOUT == NT ? extra_b[(column0 + i) * push.extra_k + k]
                             : push.extra_scale * extra_a[row * push.extra_k + k],
                own);
        }
    }
    if (LAYOUT == NT)
        store_nt(row0, column0);
    else
        store_nn(row0, column0);
}
