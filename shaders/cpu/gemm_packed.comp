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
// A workgroup is one subgroup. Each lane has one column of C and 16 sums:
//
//                         lane 0  lane 1  lane 2 ...
//                       +-------+-------+-------+
//                   b   |       |       |       |  16 of k; each lane picks its own from loads
//                       |       |       |       |  that all lanes share
//         16 of k       +-------+-------+-------+
//       +---------+     +-------+-------+-------+
//    a  | 16 rows |     | sums  |       |       |  16 rows: they stay in registers
//       +---------+     +-------+-------+-------+
//
// A is packed by pack_rows: tiles of 16 rows, each column after column, so it is read from end to
// end. The rows of an unpacked A may lie whole pages apart, all of them in one set of the cache
// (less than half as fast). Tiles of the same columns follow each other, so that B is read from
// memory once. The loop is 5 KB of code, a sixteenth of gemm_simd's.
//
// After a loop's last round the driver runs its body once more with all lanes off, and still does
// the loads that all lanes share. So the addresses stay within A and B even then. What is left of k
// after the last whole 16 is read through the bindings, which check their bounds.
//
// Each sum takes its terms in the order of k, as in gemm_simd, so both give the same bits.
//
// The local size must be the subgroup size and divide n; k is 16 or more; B is of a type without
// blocks, and with 16-bit weights ldb is even.

layout(local_size_x_id = 2) in;
layout(constant_id = 1) const uint LAYOUT = 0;

const uint NT = 0;
const uint LANES = gl_WorkGroupSize.x;
const uint ROWS = 16;
const uint K_STEP = 16;

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

// Gives each lane l its own word: word `index` from the address `place_of` on, both expressions
// that may use l. All lanes load the words of all lanes. The compiler knows which lane takes which
// word, so it only inserts each word in its lane.
#define WORD_OF_LANE(out, place_of, index)                                                         \
    uint out = 0;                                                                                  \
    [[unroll]] for (uint l = 0; l < LANES; l++)                                                    \
    {                                                                                              \
        const uint shared_word = Words(place_of).at[index];                                        \
        out = lane == l ? shared_word : out;                                                       \
    }

void main()
{
    const uint lane = gl_SubgroupInvocationID;
    const uint row0 = gl_WorkGroupID.x * ROWS;
    const uint column0 = gl_WorkGroupID.y * LANES, column = column0 + lane;
    const uint tile = gl_WorkGroupID.x * push.lda * ROWS; // where the tile of A begins
    const uint k_end = push.k - push.k % K_STEP;
    const uint64_t a = pack64(uvec2(push.a_low, push.a_high)) + uint64_t(tile) * 4;
    const uint64_t b_all = pack64(uvec2(push.b_low, push.b_high));

    uint64_t b_row[LANES]; // NT: the row of B for the column of each lane
    if (LAYOUT == NT)
        [[unroll]] for (uint l = 0; l < LANES; l++)
            b_row[l] = b_all + uint64_t(column0 + l) * push.ldb * B_BYTES;

    float acc[ROWS];
    [[unroll]] for (uint i = 0; i < ROWS; i++)
        acc[i] = 0.0;

    for (uint from = 0; from < k_end; from += K_STEP) {
        const uint k0 = min(from, k_end - K_STEP);
        float b[K_STEP];
        if (LAYOUT == NT) {
            [[unroll]] for (uint s = 0; s < K_STEP; s += WEIGHT_PER_WORD) {
                WORD_OF_LANE(word, b_row[l] + uint64_t(k0 * B_BYTES), s / WEIGHT_PER_WORD)
                const vec4 several = weight_from_word(word);
                [[unroll]] for (uint e = 0; e < WEIGHT_PER_WORD; e++)
                    b[s + e] = several[e];
            }
        } else {
            [[unroll]] for (uint s = 0; s < K_STEP; s++) {
                const uint64_t row =
                    b_all + (uint64_t(k0 + s) * push.ldb + uint64_t(column0)) * B_BYTES;
                WORD_OF_LANE(word, row, l / WEIGHT_PER_WORD)
                b[s] = weight_from_word(word)[lane % WEIGHT_PER_WORD];
            }
        }
        [[unroll]] for (uint s = 0; s < K_STEP; s++)
            [[unroll]] for (uint i = 0; i < ROWS; i++) {
                const float x = Floats(a + uint64_t(k0 * ROWS * 4)).at[s * ROWS + i];
                acc[i] = fma(x, b[s], acc[i]);
            }
    }

    for (uint k = k_end; k < push.k; k++) {
        const uint at = LAYOUT == NT ? column * push.ldb + k : k * push.ldb + column;
        Octet octet = NO_OCTET;
        weight_put(octet, 0, at);
        const float b = weight_from_word(octet.low.x).x;
        [[unroll]] for (uint i = 0; i < ROWS; i++)
            acc[i] = fma(a1[tile + k * ROWS + i], b, acc[i]);
    }

    for (uint k = 0; k < push.extra_k; k++) {
        const float b = extra_b[LAYOUT == NT ? column * push.extra_k + k : k * push.n + column];
        [[unroll]] for (uint i = 0; i < ROWS; i++) {
            const uint row = min(row0 + i, push.m - 1);
            acc[i] = fma(push.extra_scale * extra_a[row * push.extra_k + k], b, acc[i]);
        }
    }

    [[unroll]] for (uint i = 0; i < ROWS; i++)
        if (row0 + i < push.m) {
            const uint at = (row0 + i) * push.ldc + column;
            float sum = acc[i] * push.alpha;
            if (push.accumulate != 0)
                sum += c_at(at);
            ACT_STORE_LANES(c, LANES, lane, at - lane, at - lane + LANES, sum)
        }
}
