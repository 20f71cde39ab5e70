#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require

// A product on matrix units (cooperative matrices), whose operands are rounded to 16 bits:
// include/gemm_tiles.glsl has its arguments and draws how a workgroup divides it. Sums are in f32.
//
// One source, two shaders: gemm_cm_f16, and gemm_cm_bf16 with OPERANDS_BF16 defined.
//
// Tiles lie in shared memory as lines along k, so what an invocation holds of a matrix are neighbours
// there, and compilers load words of them, not element by element. Which elements an invocation holds
// nobody knows: so E comes to the sums by way of shared memory, a matrix for each subgroup, `edge`, and what
// is not stored as whole matrices of f32 leaves that way too.
//
// Every subgroup must be full and of SUBGROUP_SIZE.

#define EDGE (MATRIX_M * MATRIX_N / 4) // quads of a matrix of sums
#define AFTER (SUBGROUPS * EDGE)
#define PARTIAL float
#define SCOPED
#include "gemm_tiles.glsl"

const uint EDGE_AT = AFTER_AT;

// A subgroup's matrix of E, as far as the staged lines go, into its part of `edge`.
void multiply_extra(uint lane, uint row, uint column)
{
    const uint mine = EDGE_AT + gl_SubgroupID * EDGE;
    [[dont_unroll]] for (uint e = lane; e < MATRIX_M * MATRIX_N; e += SUBGROUP_SIZE) {
        const uint left = (row + e / MATRIX_N) * EXTRA_STRIDE;
        const uint right = EXTRA_B_AT + (column + e % MATRIX_N) * EXTRA_STRIDE;
        float sum = 0.0;
        [[unroll]] for (uint q = 0; q < EXTRA_STEP / 4; q++)
            sum += dot(uintBitsToFloat(arena[left + q]), uintBitsToFloat(arena[right + q]));
        arena[mine + e / 4][e % 4] = floatBitsToUint(sum);
    }
}

// Elements that are stored at a time: one, or four if C is stored in 16 bits, and with EPILOGUE.
const uint EACH = (c_type ^ WEIGHT_F32 | EPILOGUE % 3) == 0 ? 1 : 4; // (as for A_KEPT)

// Takes EACH elements of `edge`, from element `from` of the arena on, to C's elements from `at` on.
void store(uint at, uint from)
{
    if (EACH == 1) {
        c1[at] = uintBitsToFloat(arena[from / 4][from % 4]) +
                 (EPILOGUE == 3 ? gate1[at] : push.accumulate != 0 ? c1[at] : 0.0);
        return;
    }
    vec4 quad = uintBitsToFloat(arena[from / 4]);
    if (EPILOGUE != 0) {
        store_gated(at, quad);
        return;
    }
    if (push.accumulate != 0)
        quad += c_quad(at);
    c_store(true, at, 4, quad);
}

#define MATRIX_SUM coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>

void main()
{
    const uint self = gl_LocalInvocationIndex;
    const uint lane = gl_SubgroupInvocationID; // asked here, it is not asked again in each step
    const uint down = (push.m + TILE_M - 1) / TILE_M, across = (push.n + TILE_N - 1) / TILE_N;
    const uint part = SPLIT > 1 ? gl_WorkGroupID.y / down : 0; // of k
    const uint tile_row = gl_WorkGroupID.y - part * down;
    const uint row0 = tile_row * TILE_M;
    const uint column0 = gl_WorkGroupID.x * TILE_N;
    const uint part_row = gl_SubgroupID / COLUMNS * PART_M;
    const uint part_column = gl_SubgroupID % COLUMNS * PART_N;

    float scale_a, scale_b;
    find_scales(scale_a, scale_b);

    MATRIX_SUM sums[DOWN * ACROSS];
    [[unroll]] for (uint i = 0; i < DOWN * ACROSS; i++)
        sums[i] = MATRIX_SUM(0.0);
    const uint from = part * (push.k / SPLIT), to = SPLIT > 1 ? from + push.k / SPLIT : push.k;

    fetch_first(row0, column0, from);
    uint tiles = 0; // where the step's tiles lie
    for (uint k0 = from; k0 < to; k0 += K_STEP) {
        if (BUFFERS == 1)
            barrier(); // nobody reads the tiles any more
        stage_step(tiles, scale_a, scale_b);
        barrier(); // the tiles are whole; of two buffers, nobody reads the other any more

        if (k0 + K_STEP < to)
            fetch_next(row0, column0, k0 + K_STEP);
        [[unroll]] for (uint k = 0; k < K_STEP; k += MATRIX_K) {
            coopmat<OPERAND, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA> x[DOWN];
            [[unroll]] for (uint i = 0; i < DOWN; i++)
                coopMatLoad(x[i], arena, tiles + (part_row + i * MATRIX_M) * STRIDE8 + k / 8, STRIDE8,
                            gl_CooperativeMatrixLayoutRowMajor);
            [[unroll]] for (uint j = 0; j < ACROSS; j++) {
                coopmat<OPERAND, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB> y;
                coopMatLoad(y, arena, tiles + TILE_B_AT + (part_column + j * MATRIX_N) * STRIDE8 + k / 8,
                            STRIDE8, gl_CooperativeMatrixLayoutColumnMajor);
                [[unroll]] for (uint i = 0; i < DOWN; i++)
                    sums[i * ACROSS + j] = coopMatMulAdd(x[i], y, sums[i * ACROSS + j]);
            }
        }
        if (BUFFERS == 2)
            tiles = TILES - tiles;
    }

    if (SPLIT > 1) {
        const uint tile = tile_row * across + gl_WorkGroupID.x, all = TILE_M * TILE_N;
        const uint first = COUNTERS + tile * SPLIT * all +
                           gl_SubgroupID * DOWN * ACROSS * MATRIX_M * MATRIX_N;
        [[unroll]] for (uint i = 0; i < DOWN * ACROSS; i++)
            coopMatStore(sums[i], partials, first + part * all + i * MATRIX_M * MATRIX_N, MATRIX_N,
                         gl_CooperativeMatrixLayoutRowMajor);
        if (!arrives_last(tile, SPLIT))
            return; // the whole workgroup leaves together
        [[unroll]] for (uint i = 0; i < DOWN * ACROSS; i++)
            sums[i] = MATRIX_SUM(0.0);
        [[dont_unroll]] for (uint p = 0; p < SPLIT; p++)
            [[unroll]] for (uint i = 0; i < DOWN * ACROSS; i++) { // innermost: see below on loops within
                MATRIX_SUM other;
                coopMatLoad(other, partials, first + p * all + i * MATRIX_M * MATRIX_N, MATRIX_N,
                            gl_CooperativeMatrixLayoutRowMajor);
                sums[i] += other;
            }
    }

    // Two factors one after the other: their product may lie beyond f32.
    const float back_a = inverse(scale_a), back_b = inverse(scale_b);
    [[unroll]] for (uint i = 0; i < DOWN * ACROSS; i++)
        sums[i] = sums[i] * back_a * back_b;

    // A loop over a subgroup's matrices that has a loop within is not unrolled: each matrix is picked by
    // comparing, for compilers keep an array with a computed index in memory.
    const uint mine = EDGE_AT + gl_SubgroupID * EDGE;
    for (uint term = 0; term < (EXTRA != 0 ? 1 + ADDED : 0); term++) {
        const ExtraPair pair = EXTRA_PAIR_OF(term);
        for (uint k0 = 0; k0 < pair.k; k0 += EXTRA_STEP) {
            barrier(); // nobody reads the tiles any more
            for (uint line = self; line < TILE_M; line += INVOCATIONS)
                stage_extra_a(pair, line, row0 + line, k0);
            for (uint line = self; line < TILE_N; line += INVOCATIONS)
                stage_extra_b(pair, line, column0 + line, k0);
            barrier(); // the lines are whole
            [[dont_unroll]] for (uint at = 0; at < DOWN * ACROSS; at++) {
                multiply_extra(lane, part_row + at / ACROSS * MATRIX_M, part_column + at % ACROSS * MATRIX_N);
                barrier();
                MATRIX_SUM e;
                coopMatLoad(e, arena, mine, MATRIX_N / 4, gl_CooperativeMatrixLayoutRowMajor);
                [[unroll]] for (uint i = 0; i < DOWN * ACROSS; i++)
                    if (i == at)
                        sums[i] += e;
                barrier();
            }
        }
    }

    [[unroll]] for (uint i = 0; i < DOWN * ACROSS; i++)
        sums[i] = sums[i] * push.alpha;
    const bool whole =
        WHOLE != 0 || (row0 + TILE_M <= push.m && column0 + TILE_N <= push.n);
    if (EACH == 1 && whole && push.ldc % 4 == 0) {
        [[unroll]] for (uint i = 0; i < DOWN * ACROSS; i++) {
            const uint at = (row0 + part_row + i / ACROSS * MATRIX_M) * push.ldc + column0 +
                            part_column + i % ACROSS * MATRIX_N;
            if (EPILOGUE == 3 || push.accumulate != 0) {
                MATRIX_SUM c;
                if (EPILOGUE == 3)
                    coopMatLoad(c, gate1, at, push.ldc, gl_CooperativeMatrixLayoutRowMajor);
                else
                    coopMatLoad(c, c1, at, push.ldc, gl_CooperativeMatrixLayoutRowMajor);
                sums[i] += c;
            }
            coopMatStore(sums[i], c1, at, push.ldc, gl_CooperativeMatrixLayoutRowMajor);
        }
        return;
    }
    // The tile reaches over C's edge, or EACH is 4: matrix by matrix by way of shared memory, from there
    // element by element, or quad by quad.
    barrier(); // nobody reads the tiles any more
    [[dont_unroll]] for (uint at = 0; at < DOWN * ACROSS; at++) {
        [[unroll]] for (uint i = 0; i < DOWN * ACROSS; i++)
            if (i == at)
                coopMatStore(sums[i], arena, mine, MATRIX_N / 4, gl_CooperativeMatrixLayoutRowMajor);
        barrier();
        const uint row = row0 + part_row + at / ACROSS * MATRIX_M;
        const uint column = column0 + part_column + at % ACROSS * MATRIX_N;
        [[dont_unroll]] for (uint e = EACH * lane; e < MATRIX_M * MATRIX_N;
             e += EACH * SUBGROUP_SIZE) {
            const uint r = row + e / MATRIX_N, c = column + e % MATRIX_N;
            if (whole || (r < push.m && c < push.n))
                store(r * push.ldc + c, 4 * mine + e);
        }
        barrier();
    }
    if (FINDS_LARGEST != 0)
        keep_peak(tile_row * across + gl_WorkGroupID.x);
}
