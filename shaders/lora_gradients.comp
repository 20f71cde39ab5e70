#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

// The gradients of up to three LoRA pairs whose layers read one input x: for each db[out, r] += scale dy^T t and
// da[r, in] += dt^T x, each the product of a wide matrix (dy, x) and a thin one (t, dt) over their rows. The
// time is that of reading the wide ones. With NORMED, x is what a norm read, and its result is computed here.
//
// The workgroups are shared out: for each pair first those of db, then those of da. Each takes WIDE
// neighbouring columns of the wide matrix and THIN of the thin one. ACROSS neighbouring invocations hold a quad
// of the wide columns each, times the THIN; the workgroup's LINES of them take turns along the rows,
// UNROLLED at a time, whose loads are in flight together:
//
//              wide: ACROSS quads            thin
//   line 0   +----+----+-- ... --+----+   +---------+
//   line 1   |  . |    |         |    |   | . . . . |   sums += wide^T thin
//   ...      |    |    |         |    |   |         |
//   line 0   |  . |    |         |    |   | . . . . |
//
// At the end the lines' sums are added up in shared memory in the order of the lines: the same input
// gives the same bits.
layout(local_size_x = 128) in;
#include "act.glsl"
#include "pairs.glsl"

layout(constant_id = 1) const uint NORMED = 0;
layout(constant_id = 2) const uint QUADS = 0;      // 1: rows of x and dy begin and end at a multiple of 4 elements
layout(constant_id = 3) const uint RANK_QUADS = 0; // 1: rows of t and dt do
ACT_READ(0, dy)                                    // of each pair [rows, out_size]
layout(binding = 1) readonly buffer T1 { float t1[]; }; // of each pair [rows, rank]
layout(binding = 1) readonly buffer T4 { vec4 t4[]; };
ACT_READ(2, x) // [rows, in_size]
#define WEIGHT_BINDING 3 // [in_size]
#define WEIGHT_COUNT in_size
layout(binding = 4) readonly buffer Rstd { float rstd[]; }; // [rows]
layout(binding = 5) readonly buffer Dt1 { float dt1[]; };   // of each pair [rows, rank]
layout(binding = 5) readonly buffer Dt4 { vec4 dt4[]; };
layout(binding = 6) buffer Gradients { float gradients[]; }; // of each pair da[rank, in_size], db[out_size, rank]
layout(push_constant) uniform Scalars
{
    uint rows, in_size;
    PAIRS(uint, out_size)
    PAIRS(uint, rank)
    PAIRS(uint, dy_at)
    PAIRS(uint, t_at)
    PAIRS(uint, dt_at)
    PAIRS(uint, da_at)
    PAIRS(uint, db_at)
    PAIRS(float, scale)
};
#include "weight.glsl"

const uint THREADS = 128;
const uint WIDE = 32;
const uint THIN = 8;
const uint ACROSS = WIDE / 4;
const uint LINES = THREADS / ACROSS;
const uint UNROLLED = 4;
const uint AT_ONCE = THREADS / WIDE; // thin columns whose sums are added up together

shared float sums[AT_ONCE * LINES * WIDE];

// The workgroup's product: its matrices' widths and first elements.
uint width, rank, wide_at, thin_at;

// How many workgroups work for a pair, along x.
uint across(uint size)
{
    return (size + WIDE - 1) / WIDE;
}

uint workgroups(uint pair_rank, uint out_size)
{
    return pair_rank > 0 ? across(out_size) + across(in_size) : 0;
}

// Loads know no branch, which they would wait for: beyond the matrix they read what is there, and thin rows
// become zero. Columns beyond are summed in vain, and not stored.

// Four columns of a wide row from `column` on: of dy or of x, times its norm's weights.
vec4 wide_quad(bool of_db, uint row, uint column, vec4 weights)
{
    const uint there = min(row, rows - 1), start = min(column, width - (QUADS != 0 ? 4 : 1));
    const uint at = wide_at + there * width + start;
    if (of_db)
        return dy_load(QUADS != 0, at, width - start);
    const vec4 quad = x_load(QUADS != 0, at, width - start);
    return NORMED != 0 ? quad * (rstd[there] * weights) : quad;
}

// Four columns of t's row, or of dt's.
vec4 thin_quad(bool of_db, uint row, uint column)
{
    const uint begin = thin_at + min(row, rows - 1) * rank;
    vec4 quad;
    if (RANK_QUADS != 0) {
        const uint nth = (begin + min(column, rank - 4)) / 4;
        quad = of_db ? t4[nth] : dt4[nth];
    } else {
        [[unroll]] for (uint e = 0; e < 4; e++) {
            const uint at = begin + min(column + e, rank - 1);
            quad[e] = of_db ? t1[at] : dt1[at];
        }
    }
    return row < rows ? quad : vec4(0.0);
}

// The sums of the line's rows. Called with a constant, so that a loop reads one pair of matrices.
void sum_rows(bool of_db, uint line, uint column, uint thin0, vec4 weights, out vec4 acc[THIN])
{
    [[unroll]] for (uint i = 0; i < THIN; i++)
        acc[i] = vec4(0.0);
    [[dont_unroll]] for (uint row0 = line; row0 < rows; row0 += LINES * UNROLLED) {
        vec4 wide[UNROLLED], thin[UNROLLED][THIN / 4];
        [[unroll]] for (uint u = 0; u < UNROLLED; u++) {
            wide[u] = wide_quad(of_db, row0 + u * LINES, column, weights);
            [[unroll]] for (uint q = 0; q < THIN / 4; q++)
                thin[u][q] = thin_quad(of_db, row0 + u * LINES, thin0 + 4 * q);
        }
        [[unroll]] for (uint u = 0; u < UNROLLED; u++)
            [[unroll]] for (uint i = 0; i < THIN; i++)
                acc[i] = fma(wide[u], vec4(thin[u][i / 4][i % 4]), acc[i]);
    }
}

void main()
{
    const uint me = gl_LocalInvocationID.x, line = me / ACROSS;
    const uint of_0 = workgroups(rank_0, out_size_0), of_1 = workgroups(rank_1, out_size_1);
    const uint pair = PAIR_OF_WORKGROUP(gl_WorkGroupID.x, of_0, of_1);
    const uint index = gl_WorkGroupID.x - FIRST_OF_PAIR(pair, of_0, of_1);
    const uint out_size = OF_PAIR(pair, out_size), of_dbs = across(out_size);
    const bool of_db = index < of_dbs;
    width = of_db ? out_size : in_size;
    wide_at = of_db ? OF_PAIR(pair, dy_at) : 0;
    thin_at = of_db ? OF_PAIR(pair, t_at) : OF_PAIR(pair, dt_at);
    rank = OF_PAIR(pair, rank);
    const uint thin0 = gl_WorkGroupID.y * THIN;
    if (thin0 >= rank)
        return; // another pair's rank is larger; the whole workgroup leaves together
    const uint wide0 = (of_db ? index : index - of_dbs) * WIDE;
    const uint column = wide0 + me % ACROSS * 4;
    vec4 weights = vec4(0.0);
    if (NORMED != 0 && !of_db && column < in_size)
        weights = weight_row_quad(QUADS != 0, column, in_size - column);

    vec4 acc[THIN];
    if (of_db)
        sum_rows(true, line, column, thin0, weights, acc);
    else
        sum_rows(false, line, column, thin0, weights, acc);

    // AT_ONCE thin columns at a time, one invocation for each of their elements.
    [[unroll]] for (uint first = 0; first < THIN; first += AT_ONCE) {
        [[unroll]] for (uint i = 0; i < AT_ONCE; i++)
            [[unroll]] for (uint e = 0; e < 4; e++)
                sums[(i * LINES + line) * WIDE + me % ACROSS * 4 + e] = acc[first + i][e];
        barrier();
        // Neighbours in memory: along r in db, along the wide columns in da.
        const uint i = of_db ? me % AT_ONCE : me / WIDE, w = of_db ? me / AT_ONCE : me % WIDE;
        const uint r = thin0 + first + i, c = wide0 + w;
        float sum = 0.0;
        for (uint l = 0; l < LINES; l++)
            sum += sums[(i * LINES + l) * WIDE + w];
        if (r < rank && c < width && of_db)
            gradients[OF_PAIR(pair, db_at) + c * rank + r] += OF_PAIR(pair, scale) * sum;
        if (r < rank && c < width && !of_db)
            gradients[OF_PAIR(pair, da_at) + r * in_size + c] += sum;
        barrier();
    }
}
