#version 450
#extension GL_GOOGLE_include_directive : require
#include "attention_rounded.glsl"
// Causal attention with operands in 16 bits with an online softmax (Milakov, Gimelshein 2018; Dao et al.
// 2022). The own tile is of queries, numbered as in attention.comp: row * group + head within the
// group of heads that share a key. It walks along tiles of keys and values.
//
// Sums are of 2^(score - reference). A row's reference is its largest score so far, but is left as it
// is until a score exceeds it by 8 bits: then sums must be multiplied, which needs shared memory, and
// that is after the first tiles rare. One source, four shaders: attention_cm_f16, _cm_bf16 (OPERANDS_BF16),
// attention_dot (DOTS) and attention_half (WIDEN).

ACT_READ(0, q)                                               // [rows, heads, dim]
ACT_READ(1, k)                                               // [kv_rows, kv_heads, dim]
ACT_READ(2, v)                                               // [kv_rows, kv_heads, dim]
layout(binding = 3) readonly buffer First { uint first[]; }; // [rows]
layout(binding = 4) readonly buffer Last { uint last[]; };   // [rows]
ACT_WRITE(5, o)                                              // [rows, heads, dim]
layout(binding = 6) writeonly buffer Lse { float lse[]; };   // [rows, heads]
layout(push_constant) uniform Scalars { uint rows, kv_rows, heads, kv_heads; float scale; };
OPERANDS_OF(q)
OPERANDS_OF(k)
OPERANDS_OF(v)

const uint KEYS_AT = HELD != 0 ? 0 : OWN_TILE;
const uint VALUES_AT = KEYS_AT + STREAM_ROWS;
const uint SCORES_AT = VALUES_AT + STREAM_COLUMNS;
const uint LOOP = SCORES_AT + SCORES_TILE;
shared uvec4 arena[ROOM(LOOP, OWN_TILE)];
shared float factors[OWN]; // of rows: what their sums are to be multiplied by
shared uint moved[4];      // whether a factor is not 1, of a step by turns (two: see ROOM)
shared uint from, to, all_from, all_to; // keys that some row sees, and that all see

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
    const uint my_row = min(begin + MY_ROW, count - 1) / GROUP;
    const uint my_first = first[my_row], my_last = last[my_row];
    if (self == 0) {
        from = all_from = my_first;
        to = all_to = my_last;
        moved[0] = moved[1] = 0;
    }
    barrier();
    ATOMIC_MIN(from, my_first);
    ATOMIC_MAX(all_from, my_first);
    ATOMIC_MAX(to, my_last);
    ATOMIC_MIN(all_to, my_last);

    for (uint item = self; item < OWN * DIM / 8; item += INVOCATIONS) {
        const uint index = min(begin + item / (DIM / 8), count - 1);
        const uint place = index / GROUP * heads + kv_head * GROUP + index % GROUP;
        const uint quad = place * (DIM / 4) + item % (DIM / 8) * 2;
        arena[item / (DIM / 8) * ROW + item % (DIM / 8)] = q_operands(quad);
    }
    barrier();
    MATRIX_A queries[DOWN * DIM_STEPS];
    if (HELD != 0) {
        HOLD_ROWS(queries, 0)
    }
    MATRIX_SUM sums[DOWN * SUMS];
    CLEAR(sums, DOWN * SUMS)
    const float bits = scale * LOG2E;     // of exp's argument that a score of 1 is worth
    float reference = -1e20, total = 0.0; // of this lane's row, and of its part of the row
    const uint start = from, end = to, inner_start = all_from, inner_end = all_to;

    for (uint key0 = start; key0 <= end; key0 += STREAM) {
        const uint turn = key0 / STREAM % 2; // 0 and 1 from one tile to the next
        barrier(); // nobody reads the tiles any more
        const uint stride = kv_heads * (DIM / 4), head_at = kv_head * (DIM / 4); // of keys, in quads
        const uint last_at = (kv_rows - 1) * stride;
        for (uint item = self; item < STREAM / 2 * (DIM / 8); item += INVOCATIONS) {
            const uint pair = item % (STREAM / 2), octet = item / (STREAM / 2);
            const uint ahead = (key0 + 2 * pair) * stride, at = head_at + 2 * octet;
            const uint a = at + min(ahead, last_at), b = at + min(ahead + stride, last_at);
            PUT_ROWS(KEYS_AT, pair, octet, k_operands(a), k_operands(b))
            const uvec4 value_a = v_operands(a), value_b = v_operands(b);
            PUT_COLUMNS(VALUES_AT, pair, octet, value_a, value_b)
        }
        if (self == 0)
            moved[turn ^ 1] = 0;
        barrier(); // the tiles are whole

        [[unroll]] for (uint j0 = 0; j0 < SCORES; j0 += AT_ONCE) {
            MATRIX_SUM scores[DOWN * AT_ONCE];
            CLEAR(scores, DOWN * AT_ONCE)
            MULTIPLY_ROWS(scores, j0, queries, 0, KEYS_AT)
            STORE_SCORES(scores, j0, SCORES_AT)
        }
        barrier();

        // This lane's scores, in f32; rounded they take half the room, from the row's begin on.
        const uint mine = SCORES_AT + MY_ROW * SCORE + MY_PART * MINE / 4;
        vec4 weights[MINE / 4];
        vec4 largest = vec4(-1e30);
        if (key0 < inner_start || key0 + STREAM - 1 > inner_end) { // few tiles: loaded here, not kept
            const uint row = min(begin + MY_ROW, count - 1) / GROUP, row_first = first[row];
            const uint seen = last[row] - row_first;
            [[dont_unroll]] for (uint i = 0; i < MINE; i++)
                if (key0 + MY_PART * MINE - row_first + i > seen) // or before the first
                    arena[mine + i / 4][i % 4] = floatBitsToUint(-1e30);
        }
        [[unroll]] for (uint i = 0; i < MINE / 4; i++)
            weights[i] = uintBitsToFloat(arena[mine + i]);
        [[unroll]] for (uint i = 0; i < MINE / 4; i++)
            largest = max(largest, weights[i]);
        const float raised = bits * row_largest(largest_of(largest));
        const float before = reference;
        reference = raised > reference + 8.0 ? raised : reference;
        const float factor = exp2(before - reference);
        vec4 sum = vec4(0.0);
        [[unroll]] for (uint i = 0; i < MINE / 4; i++) {
            weights[i] = exp2(fma(weights[i], vec4(bits), vec4(-reference)));
            sum += weights[i];
        }
        total = total * factor + sum_of(sum);
        subgroupBarrier(); // the row's other lanes have read what is written now
        [[unroll]] for (uint i = 0; i < MINE / 8; i++)
            arena[mine - MY_PART * MINE / 8 + i] = round8(weights[2 * i], weights[2 * i + 1]);
        if (MY_PART == 0)
            factors[MY_ROW] = factor;
        if (factor != 1.0)
            moved[turn] = 1;
        barrier();

        if (moved[turn] != 0) {
            [[unroll]] for (uint i = 0; i < DOWN; i++) {
                MATRIX_SUM alike;
                LOAD_ROWS_ALIKE(alike, factors, FIRST_ROW + i * MATRIX_M);
                [[unroll]] for (uint j = 0; j < SUMS; j++)
                    sums[i * SUMS + j] = sums[i * SUMS + j] * alike;
            }
        }
        MULTIPLY_COLUMNS(sums, SCORES_AT, VALUES_AT)
    }

    barrier();
    STORE_SUMS(sums)
    total = row_sum(total);
    if (MY_PART == 0) {
        const uint index = begin + MY_ROW;
        factors[MY_ROW] = 1.0 / total;
        if (index < count)
            lse[index / GROUP * heads + kv_head * GROUP + index % GROUP] =
                (reference + log2(total)) / LOG2E;
    }
    barrier();
    for (uint item = self; item < OWN * DIM / 4; item += INVOCATIONS) {
        const uint row = item / (DIM / 4), quad = item % (DIM / 4), index = begin + row;
        if (index < count) {
            const uint place = index / GROUP * heads + kv_head * GROUP + index % GROUP;
            o_store(true, place * DIM + 4 * quad, 4,
                    factors[row] * uintBitsToFloat(arena[row * RESULT + quad]));
        }
    }
}
