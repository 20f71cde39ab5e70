// What the attention shaders share whose operands are rounded to 16 bits; sums are in f32. They multiply on
// matrix units (attention_units.glsl) or, with DOTS or WIDEN defined, each invocation for itself, by dot products
// or without: then what is said of subgroups is true of invocations (attention_lanes.glsl).
//
// A workgroup has a tile of OWN rows and walks along tiles of STREAM rows. Of both it makes scores,
// OWN x STREAM, and with these it sums into OWN x DIM:
//
//                       STREAM                     DIM
//                     +---------+              +---------+
//                DIM  |  rows   |      STREAM  | columns |
//          DIM        +---------+              +---------+
//       +---------+   +----+----+   16 bits    +----+----+
//       | rows of |   |scor|    |              |sums|    |   subgroups, BANDS of them down and the
//  OWN  | the own |   +----+----+  ----------> +----+----+   rest across, share both out alike
//       |  tile   |   |    |    |              |    |    |
//       +---------+   +----+----+              +----+----+
//
// Nobody knows which element of a matrix an invocation holds. So scores go through shared memory in
// f32: there LPR lanes take a row, do what needs its place, and leave it in 16 bits. A matrix is read
// fastest where its elements lie together along the products' sum, so the tile of a stream is staged
// by rows for the scores, and by columns for the sums. Rows of shared memory are an odd number of
// octets long, for the banks.
//
// With HELD the own tile's matrices stay in registers, and its shared memory is used again.
// Every subgroup must be full and of SUBGROUP_SIZE; OWN a multiple of BANDS * MATRIX_M, STREAM and DIM
// of COLUMNS * MATRIX_N and of MATRIX_K; LPR a power of two, MINE and DIM multiples of 8.
#if defined(DOTS) || defined(WIDEN)
#define LANES
#include "dots.glsl"
#endif
#extension GL_EXT_control_flow_attributes : require
#ifndef LANES
#extension GL_KHR_cooperative_matrix : require
#endif
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

layout(local_size_x_id = 3) in;
layout(constant_id = 1) const uint DIM = 64;
layout(constant_id = 2) const uint SUBGROUP_SIZE = 32;
layout(constant_id = 4) const uint OWN = 64;
layout(constant_id = 5) const uint STREAM = 32;
layout(constant_id = 6) const uint BANDS = 4;
layout(constant_id = 7) const uint MATRIX_M = 16;
layout(constant_id = 8) const uint MATRIX_N = 16;
layout(constant_id = 9) const uint MATRIX_K = 16;
layout(constant_id = 10) const uint HELD = 1;
layout(constant_id = 11) const uint GROUP = 1; // heads that share a key head
#include "grid.glsl"
#include "operand.glsl"

const uint INVOCATIONS = gl_WorkGroupSize.x;
#ifdef LANES
const uint COLUMNS = INVOCATIONS / BANDS;
#else
const uint COLUMNS = INVOCATIONS / SUBGROUP_SIZE / BANDS;
#endif
const uint PART_M = OWN / BANDS; // rows of a subgroup
const uint DOWN = PART_M / MATRIX_M;
const uint SCORES_N = STREAM / COLUMNS; // a subgroup's columns of the scores
const uint SCORES = SCORES_N / MATRIX_N;
// How many of these are computed at a time: one where the own tile's matrices are in registers.
const uint AT_ONCE = HELD != 0 ? 1 : SCORES;
const uint SUMS_N = DIM / COLUMNS; // and of the sums
const uint SUMS = SUMS_N / MATRIX_N;
const uint DIM_STEPS = DIM / MATRIX_K;
const uint STREAM_STEPS = STREAM / MATRIX_K;
const uint LPR = INVOCATIONS / OWN;
const uint MINE = STREAM / LPR; // a lane's scores of its row

// Shared memory, in octets of 16-bit elements or quads of f32: 16 bytes.
const uint ROW = DIM / 8 + 1;           // from one row to the next of a tile by rows
const uint COLUMN = STREAM / 8 + 1;     // of a tile by columns
const uint SCORE = STREAM / 4 + 1;      // of the scores
const uint RESULT = DIM / 4 + 1;        // of the sums on their way out
const uint OWN_TILE = OWN * ROW;        // what a tile takes
const uint STREAM_ROWS = STREAM * ROW;
const uint STREAM_COLUMNS = DIM * COLUMN;
const uint SCORES_TILE = OWN * SCORE;
const uint RESULT_TILE = OWN * RESULT;
// The size of `arena`. Compilers may lay it behind other variables, and promise it no alignment: what
// else is shared must be whole octets, or each octet of it is loaded in two pieces (RADV does).
#define LARGER(a, b) ((a) > (b) ? (a) : (b))
#define ROOM(loop, own) LARGER(loop, LARGER(own, RESULT_TILE))

// On variables that are shared.
#define ATOMIC_MAX(at, x)                                                                          \
    atomicMax(at, x, gl_ScopeWorkgroup, gl_StorageSemanticsNone, gl_SemanticsRelaxed)
#define ATOMIC_MIN(at, x)                                                                          \
    atomicMin(at, x, gl_ScopeWorkgroup, gl_StorageSemanticsNone, gl_SemanticsRelaxed)

const float LOG2E = 1.44269504;

// An invocation's place by that in its subgroup: Vulkan does not promise that neighbours of the local
// index share one. The row of the scores that it has a part of, and which.
#define PLACE (gl_SubgroupID * SUBGROUP_SIZE + gl_SubgroupInvocationID)
#define MY_ROW (PLACE / LPR)
#define MY_PART (PLACE % LPR)
#include "row_lanes.glsl"

// Eight neighbours of a buffer, from its quad number `quad` on, as operands; where they are stored so, they are
// neither decoded nor rounded.
#define OPERANDS_OF(name)                                                                          \
    uvec4 name##_operands(uint quad)                                                               \
    {                                                                                              \
        if (name##_type == ROUNDED)                                                                \
            return uvec4(name##2[quad], name##2[quad + 1]);                                        \
        return round8(name##_nth(quad), name##_nth(quad + 1));                                     \
    }

float sum_of(vec4 x)
{
    return x.x + x.y + x.z + x.w;
}

float largest_of(vec4 x)
{
    return max(max(x.x, x.y), max(x.z, x.w));
}

// f16 knows next to nothing below 6e-8 and nothing beyond 65504, while a gradient may be of any size.
// So what becomes an operand is multiplied by a power of two: dout by the one that takes the largest
// element of a tile to 2^4 .. 2^5. The gradients of scores, p (dout.v - delta), are then as large as v,
// and have a second one: that takes what they cannot exceed, as p is at most 1, to 2^10 .. 2^11
// (slope_scale_of), and is kept until tiles come that may exceed 2^15. 0: all is zero. bf16 has the
// range of f32.
float power_to(uint top, uint bits)
{
    const uint exponent = bits >> 23;
    if (bits == 0 || exponent == 255)
        return bits == 0 ? 0.0 : 1.0;
    return uintBitsToFloat(clamp(254 + int(top) - int(exponent), 1, 253) << 23);
}

float scale_of(uint bits)
{
#ifdef OPERANDS_BF16
    return 1.0;
#else
    return power_to(4, bits);
#endif
}

// `bound`: what no gradient exceeds, once multiplied by dout's scale. `now` is the scale so far.
float slope_scale_of(float bound, float now)
{
#ifdef OPERANDS_BF16
    return 1.0;
#else
    return now == 0.0 || now * bound > 32768.0 ? power_to(10, floatBitsToUint(bound)) : now;
#endif
}

// What the gradients of scores are held to, lest one become infinite where p was found above 1.
vec4 within(vec4 x)
{
#ifdef OPERANDS_BF16
    return x;
#else
    return clamp(x, -65504.0, 65504.0);
#endif
}

// The inverse of a power of two between 2^-126 and 2^126; of 0, by which nothing was multiplied, 1.
float inverse(float power)
{
    return power == 0.0 ? 1.0 : uintBitsToFloat((254u << 23) - floatBitsToUint(power));
}

uint largest_bits(vec4 x)
{
    return floatBitsToUint(largest_of(abs(x)));
}

// The same of eight operands.
uint largest_operand_bits(uvec4 x)
{
#ifdef OPERANDS_BF16
    return 0; // nobody asks
#elif defined(WORDS_ONLY)
    const uvec4 low = x & 0x7fffu, high = x >> 16 & 0x7fffu; // numbers without signs are in order, and so are bits
    const uvec4 most = max(low, high);
    return floatBitsToUint(unpackHalf2x16(max(max(most.x, most.y), max(most.z, most.w))).x);
#else
    const f16vec2 y = max(max(abs(unpackFloat2x16(x[0])), abs(unpackFloat2x16(x[1]))),
                          max(abs(unpackFloat2x16(x[2])), abs(unpackFloat2x16(x[3]))));
    return floatBitsToUint(float(max(y.x, y.y)));
#endif
}

#ifdef LANES
#include "attention_lanes.glsl"
#else
#include "attention_units.glsl"
#endif

#define CLEAR(matrices, count)                                                                     \
    [[unroll]] for (uint i = 0; i < (count); i++)                                                  \
        matrices[i] = MATRIX_SUM(0.0);
