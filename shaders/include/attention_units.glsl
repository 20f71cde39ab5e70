// How the attention shaders multiply on matrix units: each subgroup has its part of scores and sums, as
// cooperative matrices. (attention_lanes.glsl does the same without.) Which element of a matrix an invocation
// holds is not known.
#define MATRIX_A coopmat<OPERAND, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA>
#define MATRIX_B coopmat<OPERAND, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB>
#define MATRIX_SUM coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>
#define BY_ROW gl_CooperativeMatrixLayoutRowMajor
#define BY_COLUMN gl_CooperativeMatrixLayoutColumnMajor

// Of this subgroup's part of scores and sums.
#define FIRST_ROW (gl_SubgroupID / COLUMNS * PART_M)
#define FIRST_SCORE (gl_SubgroupID % COLUMNS * SCORES_N)
#define FIRST_SUM (gl_SubgroupID % COLUMNS * SUMS_N)

// A subgroup's scores += the own tile's rows times those at `rows` of a stream, AT_ONCE columns of
// matrices from the j0-th on. `held` is the array of the own tile's matrices, `own` where it lies in
// shared memory.
#define MULTIPLY_ROWS(scores, j0, held, own, rows)                                                 \
    [[unroll]] for (uint k = 0; k < DIM_STEPS; k++) {                                              \
        MATRIX_A x[DOWN];                                                                          \
        [[unroll]] for (uint i = 0; i < DOWN; i++) {                                               \
            if (HELD != 0)                                                                         \
                x[i] = held[i * DIM_STEPS + k];                                                    \
            else                                                                                   \
                coopMatLoad(x[i], arena,                                                           \
                            (own) + (FIRST_ROW + i * MATRIX_M) * ROW + k * MATRIX_K / 8, ROW,      \
                            BY_ROW);                                                               \
        }                                                                                          \
        [[unroll]] for (uint j = 0; j < AT_ONCE; j++) {                                            \
            MATRIX_B y;                                                                            \
            coopMatLoad(y, arena,                                                                  \
                        (rows) + (FIRST_SCORE + ((j0) + j) * MATRIX_N) * ROW + k * MATRIX_K / 8,   \
                        ROW, BY_COLUMN);                                                           \
            [[unroll]] for (uint i = 0; i < DOWN; i++)                                             \
                scores[i * AT_ONCE + j] = coopMatMulAdd(x[i], y, scores[i * AT_ONCE + j]);         \
        }                                                                                          \
    }

// A subgroup's sums += scores in 16 bits times the columns at `columns` of a stream. One matrix of sums
// after the other: compilers then need fewer registers than with all of them a step at a time.
#define MULTIPLY_COLUMNS(sums, scores, columns)                                                    \
    {                                                                                              \
        MATRIX_A x[STREAM_STEPS * DOWN];                                                           \
        [[unroll]] for (uint k = 0; k < STREAM_STEPS; k++)                                         \
            [[unroll]] for (uint i = 0; i < DOWN; i++)                                             \
                coopMatLoad(x[k * DOWN + i], arena,                                                \
                            (scores) + (FIRST_ROW + i * MATRIX_M) * SCORE + k * MATRIX_K / 8,      \
                            SCORE, BY_ROW);                                                        \
        [[unroll]] for (uint j = 0; j < SUMS; j++)                                                 \
            [[unroll]] for (uint k = 0; k < STREAM_STEPS; k++) {                                   \
                MATRIX_B y;                                                                        \
                coopMatLoad(y, arena,                                                              \
                            (columns) + (FIRST_SUM + j * MATRIX_N) * COLUMN + k * MATRIX_K / 8,    \
                            COLUMN, BY_COLUMN);                                                    \
                [[unroll]] for (uint i = 0; i < DOWN; i++)                                         \
                    sums[i * SUMS + j] = coopMatMulAdd(x[k * DOWN + i], y, sums[i * SUMS + j]);    \
            }                                                                                      \
    }

#define HOLD_ROWS(held, own)                                                                       \
    [[unroll]] for (uint i = 0; i < DOWN; i++)                                                     \
        [[unroll]] for (uint k = 0; k < DIM_STEPS; k++)                                            \
            coopMatLoad(held[i * DIM_STEPS + k], arena,                                            \
                        (own) + (FIRST_ROW + i * MATRIX_M) * ROW + k * MATRIX_K / 8, ROW, BY_ROW);

// AT_ONCE columns of a subgroup's scores to the tile of scores at `at`.
#define STORE_SCORES(scores, j0, at)                                                               \
    [[unroll]] for (uint i = 0; i < DOWN; i++)                                                     \
        [[unroll]] for (uint j = 0; j < AT_ONCE; j++)                                              \
            coopMatStore(scores[i * AT_ONCE + j], arena,                                           \
                         (at) + (FIRST_ROW + i * MATRIX_M) * SCORE +                               \
                             (FIRST_SCORE + ((j0) + j) * MATRIX_N) / 4,                            \
                         SCORE, BY_ROW);

// A subgroup's sums to the begin of shared memory.
#define STORE_SUMS(sums)                                                                           \
    [[unroll]] for (uint i = 0; i < DOWN; i++)                                                     \
        [[unroll]] for (uint j = 0; j < SUMS; j++)                                                 \
            coopMatStore(sums[i * SUMS + j], arena,                                                \
                         (FIRST_ROW + i * MATRIX_M) * RESULT + (FIRST_SUM + j * MATRIX_N) / 4,     \
                         RESULT, BY_ROW);

// A matrix whose rows, or columns, are all alike: their values lie in the array `values`.
#define LOAD_ROWS_ALIKE(matrix, values, at) coopMatLoad(matrix, values, at, 0, BY_COLUMN)
#define LOAD_COLUMNS_ALIKE(matrix, values, at) coopMatLoad(matrix, values, at, 0, BY_ROW)

// A pair of a stream's neighbouring rows, a and b, of each eight operands, into the tile by rows or by
// columns.
#define PUT_ROWS(at, pair, octet, a, b)                                                            \
    {                                                                                              \
        const uint place = (at) + 2 * (pair) * ROW + (octet);                                      \
        arena[place] = a;                                                                          \
        arena[place + ROW] = b;                                                                    \
    }
#define PUT_COLUMNS(at, pair, octet, a, b)                                                         \
    {                                                                                              \
        const uint place = (at) + 8 * (octet) * COLUMN + (pair) / 4;                               \
        [[unroll]] for (uint d = 0; d < 8; d++)                                                    \
            arena[place + d * COLUMN][(pair) % 4] = halves_of(d % 2, a[d / 2], b[d / 2]);          \
    }
