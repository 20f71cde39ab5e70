#version 450
#extension GL_GOOGLE_include_directive : require
#include "attention_rounded.glsl"
// delta and dq of attention_backward_q.comp with operands in 16 bits. The own tile is of queries and their
// gradients, numbered as in attention.comp. It walks along tiles of keys and values:
//     p = exp(scale q.k - lse);  dq += scale p (dout.v - delta) k
// In f16 dout is multiplied by a power of two (scale_of), and so are the gradients of scores: these by
// that of the first tile until a tile has so much larger values that they might become infinite; then
// the loop is left, the tile measured, and the sums are multiplied too.
// One source, four shaders: attention_backward_q_cm_f16, _cm_bf16 (OPERANDS_BF16),
// attention_backward_q_dot (DOTS) and attention_backward_q_half (WIDEN).

ACT_READ(0, q)                                                 // [rows, heads, dim]
ACT_READ(1, k)                                                 // [rows, kv_heads, dim]
ACT_READ(2, v)                                                 // [rows, kv_heads, dim]
ACT_READ(3, dout)                                              // [rows, heads, dim]
layout(binding = 4) readonly buffer Lse { float lse[]; };      // [rows, heads]
ACT_READ(5, o)                                                 // [rows, heads, dim]
layout(binding = 6) readonly buffer First { uint first[]; };   // [rows]
ACT_WRITE(7, dq)                                               // [rows, heads, dim]
layout(binding = 8) writeonly buffer Delta { float delta[]; }; // [rows, heads]
layout(push_constant) uniform Scalars { uint rows, heads, kv_heads; float scale; };
OPERANDS_OF(q)
OPERANDS_OF(k)
OPERANDS_OF(v)

const uint KEYS_AT = HELD != 0 ? 0 : 2 * OWN_TILE; // queries are at 0, dout behind them
const uint VALUES_AT = KEYS_AT + STREAM_ROWS;
const uint COLUMNS_AT = VALUES_AT + STREAM_ROWS; // of the keys
const uint SCORES_AT = COLUMNS_AT + STREAM_COLUMNS;
const uint LOOP = SCORES_AT + SCORES_TILE;
shared uvec4 arena[ROOM(LOOP, 2 * OWN_TILE)];
shared float lses[OWN], deltas[OWN]; // of rows, as the loop needs them
// Bits of the largest element of a tile's values, of the own dout's largest element and row (the sum of
// its sizes), and of the largest delta.
shared uint largest[4];
// [0]: bits of what a tile's values may not exceed for the gradients' scale, [1]: 1 if they do (two: see
// ROOM).
shared uint limit[4];
shared uint from, to, all_from, all_to; // keys that some row sees, and that all see

// What the own dout is multiplied by.
float own_factor()
{
    const float factor = scale_of(largest[1]);
    return factor == 0.0 ? 1.0 : factor;
}

void main()
{
    const uint kv_head = workgroup_index() % kv_heads;
    const uint count = rows * GROUP, tiles = (count + OWN - 1) / OWN;
    const uint tile = workgroup_index() / kv_heads;
    if (tile >= tiles)
        return; // the whole workgroup leaves together
    // The last rows see the most keys, so they go first.
    const uint begin = (tiles - 1 - tile) * OWN;
    const uint self = gl_LocalInvocationIndex;
    const uint my_index = min(begin + MY_ROW, count - 1), my_row = my_index / GROUP;
    const uint my_place = my_row * heads + kv_head * GROUP + my_index % GROUP;
    const uint my_first = first[my_row];
    if (self == 0) {
        from = all_from = my_first;
        to = all_to = my_row;
        largest[0] = largest[1] = largest[2] = largest[3] = limit[1] = 0;
    }
    barrier();
    ATOMIC_MIN(from, my_first);
    ATOMIC_MAX(all_from, my_first);
    ATOMIC_MAX(to, my_row);
    ATOMIC_MIN(all_to, my_row);
    // Each lane's part of its row of dout: its largest element, their sizes, and its product with o.
    uint top = 0;
    vec4 products = vec4(0.0), sizes = vec4(0.0);
    for (uint d = 4 * MY_PART; d < DIM; d += 4 * LPR) {
        const vec4 quad = dout_quad(my_place * DIM + d);
        top = max(top, largest_bits(quad));
        products += quad * o_quad(my_place * DIM + d);
        sizes += abs(quad);
    }
    const float my_delta = row_sum(sum_of(products)), my_size = row_sum(sum_of(sizes));
    ATOMIC_MAX(largest[1], top);
#ifndef OPERANDS_BF16
    ATOMIC_MAX(largest[2], floatBitsToUint(my_size));
    ATOMIC_MAX(largest[3], floatBitsToUint(abs(my_delta)));
#endif
    barrier();
    const float factor = own_factor();
    if (MY_PART == 0) {
        lses[MY_ROW] = lse[my_place] * LOG2E;
        deltas[MY_ROW] = my_delta * factor;
        if (begin + MY_ROW < count)
            delta[my_place] = my_delta;
    }
    for (uint item = self; item < OWN * DIM / 8; item += INVOCATIONS) {
        const uint index = min(begin + item / (DIM / 8), count - 1);
        const uint place = index / GROUP * heads + kv_head * GROUP + index % GROUP;
        const uint quad = place * (DIM / 4) + item % (DIM / 8) * 2;
        const uint to_row = item / (DIM / 8) * ROW + item % (DIM / 8);
        arena[to_row] = q_operands(quad);
        arena[OWN_TILE + to_row] = round8(factor * dout_nth(quad), factor * dout_nth(quad + 1));
    }
    barrier();
    MATRIX_A queries[DOWN * DIM_STEPS], grads[DOWN * DIM_STEPS];
    if (HELD != 0) {
        HOLD_ROWS(queries, 0)
        HOLD_ROWS(grads, OWN_TILE)
    }
    MATRIX_SUM sums[DOWN * SUMS];
    CLEAR(sums, DOWN * SUMS)
    const float bits = scale * LOG2E; // of exp's argument that a score of 1 is worth
    const uint start = from, end = to, inner_start = all_from, inner_end = all_to;

    float slope_scale = slope_scale_of(0.0, 0.0); // all so far is zero
    uint key0 = start;
    while (key0 <= end) { // once more each time that the scale changes, which is rare
#ifndef OPERANDS_BF16
        uint measured = 0;
        for (uint item = self; item < STREAM * DIM / 8; item += INVOCATIONS) {
            const uint row = min(key0 + item / (DIM / 8), rows - 1);
            const uvec4 values =
                v_operands((row * kv_heads + kv_head) * (DIM / 4) + item % (DIM / 8) * 2);
            measured = max(measured, largest_operand_bits(values));
        }
        ATOMIC_MAX(largest[0], measured);
        barrier();
        measured = largest[0];
        // From shared memory, where they take no registers in the loop.
        const float row_size = own_factor() * uintBitsToFloat(largest[2]);
        const float largest_delta = own_factor() * uintBitsToFloat(largest[3]);
        const float before = slope_scale;
        slope_scale = slope_scale_of(row_size * uintBitsToFloat(measured) + largest_delta, before);
        if (slope_scale != before && before != 0.0) {
            [[unroll]] for (uint i = 0; i < DOWN * SUMS; i++)
                sums[i] = sums[i] * (slope_scale / before);
        }
        // What no value may exceed, or the tile is measured. At least what it has, or this never ends.
        const float most = (32768.0 / slope_scale - largest_delta) / row_size;
        if (self == 0)
            limit[0] = slope_scale != 0.0 ? max(measured, floatBitsToUint(most))
                       : row_size != 0.0  ? 0
                                          : ~0;
#endif
        for (; key0 <= end; key0 += STREAM) {
            barrier(); // nobody reads the tiles any more
            const uint stride = kv_heads * (DIM / 4), head_at = kv_head * (DIM / 4); // of keys, in quads
            const uint last_at = (rows - 1) * stride;
            top = 0;
            for (uint item = self; item < STREAM / 2 * (DIM / 8); item += INVOCATIONS) {
                const uint pair = item % (STREAM / 2), octet = item / (STREAM / 2);
                const uint ahead = (key0 + 2 * pair) * stride, at = head_at + 2 * octet;
                const uint a = at + min(ahead, last_at), b = at + min(ahead + stride, last_at);
                const uvec4 value_a = v_operands(a), value_b = v_operands(b);
                PUT_ROWS(VALUES_AT, pair, octet, value_a, value_b)
                top = max(top, max(largest_operand_bits(value_a), largest_operand_bits(value_b)));
                const uvec4 key_a = k_operands(a), key_b = k_operands(b);
                PUT_ROWS(KEYS_AT, pair, octet, key_a, key_b)
                PUT_COLUMNS(COLUMNS_AT, pair, octet, key_a, key_b)
            }
#ifndef OPERANDS_BF16
            if (top > limit[0])
                ATOMIC_MAX(limit[1], 1);
#endif
            barrier(); // the tiles are whole
#ifndef OPERANDS_BF16
            if (limit[1] != 0)
                break;
#endif

            [[unroll]] for (uint j0 = 0; j0 < SCORES; j0 += AT_ONCE) {
                MATRIX_SUM scores[DOWN * AT_ONCE], slopes[DOWN * AT_ONCE];
                CLEAR(scores, DOWN * AT_ONCE)
                CLEAR(slopes, DOWN * AT_ONCE)
                MULTIPLY_ROWS(scores, j0, queries, 0, KEYS_AT)
                MULTIPLY_ROWS(slopes, j0, grads, OWN_TILE, VALUES_AT)
                [[unroll]] for (uint i = 0; i < DOWN; i++) {
                    MATRIX_SUM row_lses, row_deltas;
                    LOAD_ROWS_ALIKE(row_lses, lses, FIRST_ROW + i * MATRIX_M);
                    LOAD_ROWS_ALIKE(row_deltas, deltas, FIRST_ROW + i * MATRIX_M);
                    [[unroll]] for (uint j = i * AT_ONCE; j < (i + 1) * AT_ONCE; j++)
                        [[unroll]] for (uint e = 0; e < row_lses.length(); e++)
                            scores[j][e] = exp2(fma(scores[j][e], bits, -row_lses[e])) *
                                           (slopes[j][e] - row_deltas[e]);
                }
                STORE_SCORES(scores, j0, SCORES_AT)
            }
            barrier();

            const uint mine = SCORES_AT + MY_ROW * SCORE;
            vec4 part[MINE / 4];
            if (key0 < inner_start || key0 + STREAM - 1 > inner_end) {
                [[dont_unroll]] for (uint i = 0; i < MINE; i++) // few tiles come here
                    if (key0 + MY_PART * MINE - my_first + i > my_row - my_first) // or before the first
                        arena[mine + MY_PART * MINE / 4 + i / 4][i % 4] = 0;
            }
            [[unroll]] for (uint i = 0; i < MINE / 4; i++)
                part[i] = uintBitsToFloat(arena[mine + MY_PART * MINE / 4 + i]);
            subgroupBarrier(); // the row's other lanes have read what is written now
            [[unroll]] for (uint i = 0; i < MINE / 8; i++)
                arena[mine + MY_PART * MINE / 8 + i] = round8(within(slope_scale * part[2 * i]),
                                                              within(slope_scale * part[2 * i + 1]));
            barrier();
            MULTIPLY_COLUMNS(sums, SCORES_AT, COLUMNS_AT)
        }
#ifndef OPERANDS_BF16
        barrier(); // all have left the loop
        if (self == 0)
            largest[0] = limit[1] = 0;
        barrier();
#endif
    }

    barrier();
    STORE_SUMS(sums)
    barrier();
    for (uint item = self; item < OWN * DIM / 4; item += INVOCATIONS) {
        const uint row = item / (DIM / 4), quad = item % (DIM / 4), index = begin + row;
        if (index < count) {
            const uint place = index / GROUP * heads + kv_head * GROUP + index % GROUP;
            dq_store(true, place * DIM + 4 * quad, 4,
                     inverse(own_factor()) * inverse(slope_scale) * scale *
                         uintBitsToFloat(arena[row * RESULT + quad]));
        }
    }
}
