// How the attention shaders multiply without matrix units, in f16: each invocation has its part of scores and
// sums, BANDS of them down and the rest across, and adds pairs of operands to a sum (dots.glsl). In place of a
// matrix it has one row of four neighbours: MATRIX_M is 1, MATRIX_N 4, MATRIX_K 8, for it loads octets.
// Neighbouring invocations have neighbouring columns, so these lie in such an order that their octets do
// not share banks. HELD is 0: the own tile's rows would need all registers.
#ifndef ATTENTION_LANES_GLSL
#define ATTENTION_LANES_GLSL

#define MATRIX_A uvec4
#define MATRIX_SUM vec4

#define FIRST_ROW (PLACE / COLUMNS * PART_M)
#define FIRST_SCORE (PLACE % COLUMNS * SCORES_N)
#define FIRST_SUM (PLACE % COLUMNS * SUMS_N)

// Where a stream's row lies in the tile by rows, and a column in the tile by columns.
#define ROW_LINE(row) ((row) % SCORES_N * COLUMNS + (row) / SCORES_N)
#define COLUMN_LINE(column) ((column) % SUMS_N * COLUMNS + (column) / SUMS_N)

// sums[i * count + j], the j-th quad of row i, += the row's line at `left` times the quad's four lines at `right`;
// lines are `length` octets long, and lie left_apart and right_apart octets one behind the other.
#define MULTIPLY_LINES(sums, count, length, left, left_apart, right, right_apart)                  \
    [[unroll]] for (uint k = 0; k < (length); k++) {                                               \
        uvec4 x[DOWN];                                                                             \
        [[unroll]] for (uint i = 0; i < DOWN; i++)                                                 \
            x[i] = arena[(left) + i * (left_apart) + k];                                           \
        [[unroll]] for (uint column = 0; column < 4 * (count); column++) {                         \
            const uvec4 y = arena[(right) + column * (right_apart) + k];                           \
            [[unroll]] for (uint pair = 0; pair < 4; pair++)                                       \
                [[unroll]] for (uint i = 0; i < DOWN; i++)                                         \
                    sums[i * (count) + column / 4][column % 4] =                                   \
                        add_dot(x[i][pair], y[pair], sums[i * (count) + column / 4][column % 4]);  \
        }                                                                                          \
    }

// An invocation's scores += the own tile's rows, at `own` in shared memory, times those at `rows` of a stream,
// from the j0-th quad of columns on.
#define MULTIPLY_ROWS(scores, j0, held, own, rows)                                                 \
    MULTIPLY_LINES(scores, AT_ONCE, DIM / 8, (own) + FIRST_ROW * ROW, ROW,                         \
                   (rows) + (4 * (j0) * COLUMNS + PLACE % COLUMNS) * ROW, COLUMNS * ROW)

// Its sums += scores in 16 bits times the columns at `columns` of a stream.
#define MULTIPLY_COLUMNS(sums, scores, columns)                                                    \
    MULTIPLY_LINES(sums, SUMS, STREAM / 8, (scores) + FIRST_ROW * SCORE, SCORE,                    \
                   (columns) + PLACE % COLUMNS * COLUMN, COLUMNS * COLUMN)

#define HOLD_ROWS(held, own)

// Its scores, AT_ONCE quads of each row, to the tile of scores at `at`.
#define STORE_SCORES(scores, j0, at)                                                               \
    [[unroll]] for (uint i = 0; i < DOWN; i++)                                                     \
        [[unroll]] for (uint j = 0; j < AT_ONCE; j++)                                              \
            arena[(at) + (FIRST_ROW + i) * SCORE + FIRST_SCORE / 4 + (j0) + j] =                   \
                floatBitsToUint(scores[i * AT_ONCE + j]);

// Its sums to the begin of shared memory.
#define STORE_SUMS(sums)                                                                           \
    [[unroll]] for (uint i = 0; i < DOWN; i++)                                                     \
        [[unroll]] for (uint j = 0; j < SUMS; j++)                                                 \
            arena[(FIRST_ROW + i) * RESULT + FIRST_SUM / 4 + j] = floatBitsToUint(sums[i * SUMS + j]);

#define LOAD_ROWS_ALIKE(quad, values, at) quad = vec4(values[at])
#define LOAD_COLUMNS_ALIKE(quad, values, at)                                                       \
    quad = vec4(values[at], values[(at) + 1], values[(at) + 2], values[(at) + 3])

// A pair of a stream's neighbouring rows, a and b, of each eight operands, into the tile by rows or by
// columns.
#define PUT_ROWS(at, pair, octet, a, b)                                                            \
    {                                                                                              \
        arena[(at) + ROW_LINE(2 * (pair)) * ROW + (octet)] = a;                                    \
        arena[(at) + ROW_LINE(2 * (pair) + 1) * ROW + (octet)] = b;                                \
    }
#define PUT_COLUMNS(at, pair, octet, a, b)                                                         \
    {                                                                                              \
        [[unroll]] for (uint d = 0; d < 8; d++)                                                    \
            arena[(at) + COLUMN_LINE(8 * (octet) + d) * COLUMN + (pair) / 4][(pair) % 4] =         \
                halves_of(d % 2, a[d / 2], b[d / 2]);                                              \
    }

#endif
