#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

// The thin products of up to three LoRA pairs: c[rows, rank] = scale A B for each, whose A, B and c begin at an
// element of their own in one buffer each.
//
//   NT: A[rows, k] B[rank, k], t = x A^T      NN: A[rows, k] B[k, rank], dt = scale dy B
//
// rank is small. A tile of 32 or 64 columns would be almost empty, and too few to occupy a GPU. So the work is
// divided along k: a workgroup computes ROWS rows and COLUMNS columns of one c, and its invocations
// take turns along k, a quad each, so that neighbours read neighbours:
//
//     k      invocation 0   1   2   ...   63   0   1   ...
//          +--------------+---+---+-----+----+---+---+---
//     row  |       4      | 4 | 4 |     | 4  | 4 | 4 |         of A, and of B in NT
//
// In NN an invocation reads COLUMNS columns of four rows of B. ROWS + COLUMNS loads are in flight at once. At the
// end one invocation for each element of c adds up the parts of its sum in shared memory, in the order of the
// invocations: the same input gives the same bits.
layout(local_size_x = 64) in;
#include "act.glsl"
#include "pairs.glsl"

layout(constant_id = 1) const uint LAYOUT = 0;
layout(constant_id = 2) const uint QUADS = 0;   // 1: rows of every A begin and end at a multiple of 4 elements
layout(constant_id = 3) const uint B_QUADS = 0; // 1: rows of every B do
ACT_READ(0, a)
layout(binding = 1) readonly buffer B1 { float b1[]; };
layout(binding = 1) readonly buffer B4 { vec4 b4[]; };
layout(binding = 2) buffer C { float c[]; };
layout(push_constant) uniform Scalars
{
    uint rows;
    PAIRS(uint, rank)
    PAIRS(uint, k)
    PAIRS(uint, a_at)
    PAIRS(uint, b_at)
    PAIRS(uint, c_at)
    PAIRS(float, scale)
};

const uint NT = 0;
const uint INVOCATIONS = gl_WorkGroupSize.x;
const uint ROWS = 8;
const uint COLUMNS = 4;
const uint SUMS = ROWS * COLUMNS;
const uint STRIDE = INVOCATIONS + 1; // of the sums in shared memory, each in a bank of its own

shared float sums[SUMS * STRIDE];

// The workgroup's product.
uint rank, k_size, a_begin, b_begin;

// Loads know no branch, which they would wait for: rows and columns beyond a matrix read what is there, are summed
// in vain, and are not stored. Beyond the end of k the elements of A are zero.

// Four elements of a row of A from k on.
vec4 a_quad(uint row, uint k)
{
    return a_load(QUADS != 0, a_begin + min(row, rows - 1) * k_size + k, k_size - k);
}

// Four elements of a row of B, which has `size`, from `start` on.
vec4 b_quad(uint row, uint size, uint start)
{
    const uint begin = b_begin + row * size;
    if (B_QUADS != 0)
        return b4[(begin + start) / 4];
    vec4 quad;
    [[unroll]] for (uint e = 0; e < 4; e++)
        quad[e] = b1[begin + min(start + e, size - 1)];
    return quad;
}

// Four elements, from k on, of each of COLUMNS columns of the product's B.
void load_columns(uint column0, uint k, out vec4 columns[COLUMNS])
{
    if (LAYOUT == NT)
        [[unroll]] for (uint j = 0; j < COLUMNS; j++)
            columns[j] = b_quad(min(column0 + j, rank - 1), k_size, k);
    else
        [[unroll]] for (uint e = 0; e < 4; e++) {
            const vec4 row = b_quad(min(k + e, k_size - 1), rank, column0);
            [[unroll]] for (uint j = 0; j < COLUMNS; j++)
                columns[j][e] = row[j];
        }
}

void main()
{
    const uint me = gl_LocalInvocationID.x, index = gl_WorkGroupID.x;
    const uint of_0 = (rank_0 + COLUMNS - 1) / COLUMNS, of_1 = (rank_1 + COLUMNS - 1) / COLUMNS;
    const uint pair = PAIR_OF_WORKGROUP(index, of_0, of_1);
    const uint row0 = gl_WorkGroupID.y * ROWS;
    const uint column0 = (index - FIRST_OF_PAIR(pair, of_0, of_1)) * COLUMNS;
    rank = OF_PAIR(pair, rank);
    k_size = OF_PAIR(pair, k);
    a_begin = OF_PAIR(pair, a_at);
    b_begin = OF_PAIR(pair, b_at);

    float acc[SUMS];
    [[unroll]] for (uint i = 0; i < SUMS; i++)
        acc[i] = 0.0;

    [[dont_unroll]] for (uint k = 4 * me; k < k_size; k += 4 * INVOCATIONS) {
        vec4 columns[COLUMNS], lines[ROWS];
        load_columns(column0, k, columns);
        [[unroll]] for (uint i = 0; i < ROWS; i++)
            lines[i] = a_quad(row0 + i, k);
        [[unroll]] for (uint i = 0; i < SUMS; i++)
            [[unroll]] for (uint e = 0; e < 4; e++)
                acc[i] = fma(lines[i / COLUMNS][e], columns[i % COLUMNS][e], acc[i]);
    }

    [[unroll]] for (uint i = 0; i < SUMS; i++)
        sums[i * STRIDE + me] = acc[i];
    barrier();
    const uint row = row0 + me / COLUMNS, column = column0 + me % COLUMNS;
    if (me < SUMS && row < rows && column < rank) {
        float sum = 0.0;
        for (uint i = 0; i < INVOCATIONS; i++)
            sum += sums[me * STRIDE + i];
        c[OF_PAIR(pair, c_at) + row * rank + column] = OF_PAIR(pair, scale) * sum;
    }
}
