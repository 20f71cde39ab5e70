#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require

// db[out, r] += scale dy^T t and da[r, in] += dt^T x: the gradients of a LoRA pair, each the product of a
// wide matrix (dy, x) and a thin one (t, dt) over their rows. The time is that of reading the wide ones.
//
// The workgroups are shared out: first those of db, then those of da. Each takes WIDE neighbouring
// columns of the wide matrix and THIN of the thin one. ACROSS neighbouring invocations hold a quad of
// the wide columns each, times the THIN; the workgroup's LINES of them take turns along the rows,
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

layout(constant_id = 1) const uint QUADS = 0;             // 1: out_size and in_size are multiples of 4
layout(constant_id = 2) const uint RANK_QUADS = 0;        // 1: rank is
ACT_READ(0, dy)                                           // [rows, out_size]
layout(binding = 1) readonly buffer T1 { float t1[]; };   // [rows, rank]
layout(binding = 1) readonly buffer T4 { vec4 t4[]; };
layout(binding = 2) buffer Db { float db[]; };            // [out_size, rank]
ACT_READ(3, x)                                            // [rows, in_size]
layout(binding = 4) readonly buffer Dt1 { float dt1[]; }; // [rows, rank]
layout(binding = 4) readonly buffer Dt4 { vec4 dt4[]; };
layout(binding = 5) buffer Da { float da[]; };            // [rank, in_size]
layout(push_constant) uniform Scalars { uint rows, out_size, in_size, rank; float scale; };

const uint THREADS = 128;
const uint WIDE = 32;
const uint THIN = 8;
const uint ACROSS = WIDE / 4;
const uint LINES = THREADS / ACROSS;
const uint UNROLLED = 4;
const uint AT_ONCE = THREADS / WIDE; // thin columns whose sums are added up together

shared float sums[AT_ONCE * LINES * WIDE];

// Four columns of a wide row from `column` on: of dy or of x. Zero beyond the matrix.
vec4 wide_quad(bool of_db, uint row, uint column)
{
    const uint width = of_db ? out_size : in_size;
    if (row >= rows || column >= width)
        return vec4(0.0);
    if (of_db)
        return dy_load(QUADS != 0, row * width + column, width - column);
    return x_load(QUADS != 0, row * width + column, width - column);
}

// Four columns of t's row, or of dt's.
vec4 thin_quad(bool of_db, uint row, uint column)
{
    vec4 quad = vec4(0.0);
    if (row < rows && column < rank) {
        const uint at = row * rank + column;
        if (RANK_QUADS != 0)
            return of_db ? t4[at / 4] : dt4[at / 4];
        [[unroll]] for (uint e = 0; e < 4; e++)
            if (column + e < rank)
                quad[e] = of_db ? t1[at + e] : dt1[at + e];
    }
    return quad;
}

void main()
{
    const uint me = gl_LocalInvocationID.x, line = me / ACROSS;
    const uint of_dbs = (out_size + WIDE - 1) / WIDE;
    const bool of_db = gl_WorkGroupID.x < of_dbs;
    const uint wide0 = (of_db ? gl_WorkGroupID.x : gl_WorkGroupID.x - of_dbs) * WIDE;
    const uint thin0 = gl_WorkGroupID.y * THIN;
    const uint column = wide0 + me % ACROSS * 4;

    vec4 acc[THIN];
    [[unroll]] for (uint i = 0; i < THIN; i++)
        acc[i] = vec4(0.0);

    [[dont_unroll]] for (uint row0 = line; row0 < rows; row0 += LINES * UNROLLED) {
        vec4 wide[UNROLLED], thin[UNROLLED][THIN / 4];
        [[unroll]] for (uint u = 0; u < UNROLLED; u++) {
            wide[u] = wide_quad(of_db, row0 + u * LINES, column);
            [[unroll]] for (uint q = 0; q < THIN / 4; q++)
                thin[u][q] = thin_quad(of_db, row0 + u * LINES, thin0 + 4 * q);
        }
        [[unroll]] for (uint u = 0; u < UNROLLED; u++)
            [[unroll]] for (uint i = 0; i < THIN; i++)
                acc[i] = fma(wide[u], vec4(thin[u][i / 4][i % 4]), acc[i]);
    }

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
        if (r < rank && of_db && c < out_size)
            db[c * rank + r] += scale * sum;
        if (r < rank && !of_db && c < in_size)
            da[r * in_size + c] += sum;
        barrier();
    }
}
