#version 450
#extension GL_GOOGLE_include_directive : require
#include "attention_rounded.glsl"
// dk and dv of attention_backward_kv.comp with operands in 16 bits. The own tile is of keys and values. It
// walks along the queries that see them, of all heads that share the key head, numbered as in
// attention.comp: scores are those of attention_backward_q_rounded.comp with rows and columns exchanged.
//     p = exp(scale q.k - lse);  dv += p dout;  dk += scale p (dout.v - delta) q
// With parts > 1 it walks along its part of all queries, and rope_backward adds the parts up.
// In f16 dout is multiplied by a power of two (scale_of), and so are the sums. It is that of the first
// tile that is not zero until a tile has elements 8 bits larger; then the loop is left, the tile
// measured, and the sums are multiplied too. The gradients of scores have a second one
// (slope_scale_of), which the sums of dk bear as well.
// One source, four shaders: attention_backward_kv_cm_f16, _cm_bf16 (OPERANDS_BF16),
// attention_backward_kv_dot (DOTS) and attention_backward_kv_half (WIDEN).

ACT_READ(0, q)                                                // [rows, heads, dim]
ACT_READ(1, k)                                                // [rows, kv_heads, dim]
ACT_READ(2, v)                                                // [rows, kv_heads, dim]
ACT_READ(3, dout)                                             // [rows, heads, dim]
layout(binding = 4) readonly buffer Lse { float lse[]; };     // [rows, heads]
layout(binding = 5) readonly buffer Delta { float delta[]; }; // [rows, heads]
layout(binding = 6) readonly buffer End { uint end[]; };      // [rows], one past the sequence
ACT_WRITE(7, dk)                                              // [parts, rows, kv_heads, dim]
ACT_WRITE(8, dv)                                              // [parts, rows, kv_heads, dim]
layout(push_constant) uniform Scalars { uint rows, heads, kv_heads; float scale; uint parts; };
OPERANDS_OF(q)
OPERANDS_OF(k)
OPERANDS_OF(v)
OPERANDS_OF(dout)

const uint QUERIES_AT = HELD != 0 ? 0 : 2 * OWN_TILE; // keys are at 0, values behind them
const uint GRADS_AT = QUERIES_AT + STREAM_ROWS;
const uint QUERY_COLUMNS_AT = GRADS_AT + STREAM_ROWS;
const uint GRAD_COLUMNS_AT = QUERY_COLUMNS_AT + STREAM_COLUMNS;
const uint WEIGHTS_AT = GRAD_COLUMNS_AT + STREAM_COLUMNS;
const uint SLOPES_AT = WEIGHTS_AT + SCORES_TILE;
const uint LOOP = SLOPES_AT + SCORES_TILE;
shared uvec4 arena[ROOM(LOOP, 2 * OWN_TILE)];
shared float lses[STREAM], deltas[STREAM]; // of queries; -delta, to which dout.v is added
// Bits of the largest element and delta of a tile of dout, and of the own values' largest row (the sum of
// its sizes). Three: see ROOM.
shared uint largest[4];
shared uint exceeded[4];      // [0]: 1 if a tile has larger ones than the scales allow
shared uint to[4], all_to[4]; // [0]: one past the last query that sees some key, and all

const uint PAIRS = STREAM / 2 * (DIM / 8);
const uint FETCHES = (PAIRS + INVOCATIONS - 1) / INVOCATIONS;

// Row and head of the query with a number within the group, as row * heads + head. Past the end it is
// the last again.
uint place_of(uint number, uint count, uint kv_head)
{
    const uint index = min(number, count - 1);
    return index / GROUP * heads + kv_head * GROUP + index % GROUP;
}

// Eight neighbours of dout on their way: as operands in bf16, which needs no factor, and as numbers in f16.
#ifdef OPERANDS_BF16
#define GRAD uvec4
#define grad_at(quad) dout_operands(quad)
#define largest_grad_bits(grad) 0
#define times(factor, grad) grad
#else
struct Grad {
    vec4 low, high;
};
#define GRAD Grad
#define grad_at(quad) Grad(dout_nth(quad), dout_nth((quad) + 1))
#define largest_grad_bits(grad) max(largest_bits(grad.low), largest_bits(grad.high))
#define times(factor, grad) round8(factor * grad.low, factor * grad.high)
#endif

void main()
{
    const uint kv_head = workgroup_index() % kv_heads;
    const uint part = workgroup_index() / kv_heads % parts, count = rows * GROUP;
    const uint first_key = workgroup_index() / kv_heads / parts * OWN;
    const uint lower = count / parts * part;
    const uint upper = part + 1 < parts ? count / parts * (part + 1) : count;
    if (first_key >= rows)
        return; // the whole workgroup leaves together
    const uint self = gl_LocalInvocationIndex;
    const uint my_key = min(first_key + MY_ROW, rows - 1), my_end = end[my_key];
    // Queries that see my key, as far as they are in this part.
    const uint my_first = my_key * GROUP, my_behind = max(my_first, min(my_end * GROUP, upper));
    if (self == 0) {
        to[0] = all_to[0] = my_end;
        largest[0] = largest[1] = largest[2] = exceeded[0] = 0;
    }
    barrier();
    ATOMIC_MAX(to[0], my_end);
    ATOMIC_MIN(all_to[0], my_end);
    for (uint item = self; item < OWN * DIM / 8; item += INVOCATIONS) {
        const uint row = min(first_key + item / (DIM / 8), rows - 1);
        const uint quad = (row * kv_heads + kv_head) * (DIM / 4) + item % (DIM / 8) * 2;
        const uint to_row = item / (DIM / 8) * ROW + item % (DIM / 8);
        arena[to_row] = k_operands(quad);
        arena[OWN_TILE + to_row] = v_operands(quad);
    }
#ifndef OPERANDS_BF16
    vec4 sizes = vec4(0.0);
    for (uint d = 4 * MY_PART; d < DIM; d += 4 * LPR)
        sizes += abs(v_quad((my_key * kv_heads + kv_head) * DIM + d));
    ATOMIC_MAX(largest[2], floatBitsToUint(row_sum(sum_of(sizes))));
#endif
    barrier();
    MATRIX_A keys[DOWN * DIM_STEPS], values[DOWN * DIM_STEPS];
    if (HELD != 0) {
        HOLD_ROWS(keys, 0)
        HOLD_ROWS(values, OWN_TILE)
    }
    MATRIX_SUM key_sums[DOWN * SUMS], value_sums[DOWN * SUMS];
    CLEAR(key_sums, DOWN * SUMS)
    CLEAR(value_sums, DOWN * SUMS)
    const uint behind = min(to[0] * GROUP, upper), inner_behind = min(all_to[0] * GROUP, upper);
    const uint inner_from = min(first_key + OWN - 1, rows - 1) * GROUP;
    const float bits = scale * LOG2E; // of exp's argument that a score of 1 is worth
    float factor = scale_of(0), slope_scale = slope_scale_of(0.0, 0.0); // 0: all so far is zero

    uint i0 = max(first_key * GROUP, lower);
    while (i0 < behind) { // once more each time that a scale changes, which is rare
#ifndef OPERANDS_BF16
        uint measured = 0, steep = 0;
        for (uint item = self; item < STREAM * DIM / 8; item += INVOCATIONS) {
            const uint quad = place_of(i0 + item / (DIM / 8), count, kv_head) * (DIM / 4) +
                              item % (DIM / 8) * 2;
            measured = max(measured, largest_grad_bits(grad_at(quad)));
        }
        for (uint row = self; row < STREAM; row += INVOCATIONS)
            steep = max(steep, floatBitsToUint(abs(delta[place_of(i0 + row, count, kv_head)])));
        ATOMIC_MAX(largest[0], measured);
        ATOMIC_MAX(largest[1], steep);
        barrier();
        measured = largest[0];
        steep = largest[1];
        const float factor_before = factor, slope_before = slope_scale;
        const float found = uintBitsToFloat(measured), row_size = uintBitsToFloat(largest[2]);
        const bool grew = found != 0.0 && (factor == 0.0 || factor * found > 8192.0);
        if (grew)
            factor = scale_of(measured);
        const float bound = factor * found * row_size + factor * uintBitsToFloat(steep);
        if (bound != 0.0)
            slope_scale = slope_scale_of(bound, grew ? 0.0 : slope_scale);
        if (factor_before != 0.0) { // what was multiplied by 0 was zero
            const float change = factor / factor_before;
            const float slope_change = slope_before != 0.0 ? slope_scale / slope_before : 1.0;
            [[unroll]] for (uint i = 0; i < DOWN * SUMS; i++) {
                value_sums[i] = value_sums[i] * change;
                key_sums[i] = key_sums[i] * (change * slope_change);
            }
        }
        // What no element and no delta may exceed, or the tile is measured: half of what slope_scale_of
        // allows for each. At least what it has, or this never ends.
        const float most = 16384.0 / slope_scale / factor;
        const float most_of_dout = min(8192.0 / factor, most / row_size);
        const uint limit = factor != 0.0 ? max(measured, floatBitsToUint(most_of_dout)) : 0;
        const uint delta_limit = slope_scale != 0.0 ? max(steep, floatBitsToUint(most))
                                 : factor != 0.0    ? 0
                                                    : ~0;
#endif
        // The end is looked for behind the loads: were it at the loop's head, Mesa's compilers would move it
        // to the loop's end, and in bf16 Arc's would keep 149 registers instead of 121.
        for (;; i0 += STREAM) {
            // dout waits in registers until its largest element is known, a pair of rows an item.
            GRAD grads[2 * FETCHES];
            uint places[2 * FETCHES], top = 0;
            [[unroll]] for (uint f = 0; f < FETCHES; f++) {
                const uint item = min(f * INVOCATIONS + self, PAIRS - 1);
                [[unroll]] for (uint i = 0; i < 2; i++) {
                    const uint index = i0 + 2 * (item % (STREAM / 2)) + i;
                    const uint quad =
                        place_of(index, count, kv_head) * (DIM / 4) + item / (STREAM / 2) * 2;
                    places[2 * f + i] = quad;
                    grads[2 * f + i] = grad_at(quad);
                    top = max(top, largest_grad_bits(grads[2 * f + i]));
                }
            }
#ifndef OPERANDS_BF16
            bool exceeds = top > limit;
            for (uint row = self; row < STREAM; row += INVOCATIONS)
                exceeds = exceeds || floatBitsToUint(abs(delta[place_of(i0 + row, count, kv_head)])) >
                                         delta_limit;
            if (exceeds)
                ATOMIC_MAX(exceeded[0], 1);
#endif
            barrier(); // nobody reads the tiles any more
            if (i0 >= behind)
                break;
#ifndef OPERANDS_BF16
            if (exceeded[0] != 0)
                break;
#endif
            [[unroll]] for (uint f = 0; f < FETCHES; f++) {
                const uint item = f * INVOCATIONS + self;
                if (PAIRS % INVOCATIONS == 0 || item < PAIRS) {
                    const uint pair = item % (STREAM / 2), octet = item / (STREAM / 2);
                    const uint a = places[2 * f], b = places[2 * f + 1];
                    const uvec4 grad_a = times(factor, grads[2 * f]);
                    const uvec4 grad_b = times(factor, grads[2 * f + 1]);
                    PUT_ROWS(GRADS_AT, pair, octet, grad_a, grad_b)
                    PUT_COLUMNS(GRAD_COLUMNS_AT, pair, octet, grad_a, grad_b)
                    const uvec4 query_a = q_operands(a), query_b = q_operands(b);
                    PUT_ROWS(QUERIES_AT, pair, octet, query_a, query_b)
                    PUT_COLUMNS(QUERY_COLUMNS_AT, pair, octet, query_a, query_b)
                }
            }
            for (uint row = self; row < STREAM; row += INVOCATIONS) {
                const uint place = place_of(i0 + row, count, kv_head);
                lses[row] = lse[place] * LOG2E;
                deltas[row] = -factor * delta[place];
            }
            barrier(); // the tiles are whole

            [[unroll]] for (uint j0 = 0; j0 < SCORES; j0 += AT_ONCE) {
                MATRIX_SUM scores[DOWN * AT_ONCE], slopes[DOWN * AT_ONCE];
                CLEAR(scores, DOWN * AT_ONCE)
                [[unroll]] for (uint j = 0; j < AT_ONCE; j++) {
                    LOAD_COLUMNS_ALIKE(slopes[j], deltas, FIRST_SCORE + (j0 + j) * MATRIX_N);
                    [[unroll]] for (uint i = 1; i < DOWN; i++)
                        slopes[i * AT_ONCE + j] = slopes[j];
                }
                MULTIPLY_ROWS(scores, j0, keys, 0, QUERIES_AT)
                MULTIPLY_ROWS(slopes, j0, values, OWN_TILE, GRADS_AT)
                [[unroll]] for (uint j = 0; j < AT_ONCE; j++) {
                    MATRIX_SUM column_lses;
                    LOAD_COLUMNS_ALIKE(column_lses, lses, FIRST_SCORE + (j0 + j) * MATRIX_N);
                    [[unroll]] for (uint i = j; i < DOWN * AT_ONCE; i += AT_ONCE)
                        [[unroll]] for (uint e = 0; e < column_lses.length(); e++) {
                            const float p = exp2(fma(scores[i][e], bits, -column_lses[e]));
                            scores[i][e] = p;
                            slopes[i][e] = p * slopes[i][e];
                        }
                }
                STORE_SCORES(scores, j0, WEIGHTS_AT)
                STORE_SCORES(slopes, j0, SLOPES_AT)
            }
            barrier();
            const uint mine = MY_ROW * SCORE + MY_PART * MINE / 4;
            vec4 p[MINE / 4], ds[MINE / 4];
            if (i0 < inner_from || i0 + STREAM > inner_behind) {
                [[dont_unroll]] for (uint i = 0; i < MINE; i++) // few tiles come here
                    if (i0 + MY_PART * MINE - my_first + i >= my_behind - my_first) // or before the first
                        arena[WEIGHTS_AT + mine + i / 4][i % 4] =
                            arena[SLOPES_AT + mine + i / 4][i % 4] = 0;
            }
            [[unroll]] for (uint i = 0; i < MINE / 4; i++) {
                p[i] = uintBitsToFloat(arena[WEIGHTS_AT + mine + i]);
                ds[i] = uintBitsToFloat(arena[SLOPES_AT + mine + i]);
            }
            subgroupBarrier(); // the row's other lanes have read what is written now
            const uint place_16 = MY_ROW * SCORE + MY_PART * MINE / 8;
            [[unroll]] for (uint i = 0; i < MINE / 8; i++) {
                arena[WEIGHTS_AT + place_16 + i] = round8(p[2 * i], p[2 * i + 1]);
                arena[SLOPES_AT + place_16 + i] =
                    round8(within(slope_scale * ds[2 * i]), within(slope_scale * ds[2 * i + 1]));
            }
            barrier();
            MULTIPLY_COLUMNS(value_sums, WEIGHTS_AT, GRAD_COLUMNS_AT)
            MULTIPLY_COLUMNS(key_sums, SLOPES_AT, QUERY_COLUMNS_AT)
        }
#ifndef OPERANDS_BF16
        barrier(); // all have left the loop
        if (self == 0)
            largest[0] = largest[1] = exceeded[0] = 0;
        barrier();
#endif
    }

    [[dont_unroll]] for (uint which = 0; which < 2; which++) {
        barrier();
        if (which == 0) {
            STORE_SUMS(key_sums)
        } else {
            STORE_SUMS(value_sums)
        }
        barrier();
        for (uint item = self; item < OWN * DIM / 4; item += INVOCATIONS) {
            const uint row = item / (DIM / 4), quad = item % (DIM / 4);
            if (first_key + row < rows) {
                const uint at =
                    ((part * rows + first_key + row) * kv_heads + kv_head) * DIM + 4 * quad;
                const vec4 sum = inverse(factor) * uintBitsToFloat(arena[row * RESULT + quad]);
                if (which == 0)
                    dk_store(true, at, 4, scale * inverse(slope_scale) * sum);
                else
                    dv_store(true, at, 4, sum);
            }
        }
    }
}
