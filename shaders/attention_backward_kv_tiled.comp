#version 450
#extension GL_GOOGLE_include_directive : require
#define PRODUCTS 4
#include "attention_tiles.glsl"
// dk and dv of attention_backward_kv.comp by tiles, for devices without matrix units. The own tile is of
// keys and values. It walks along the queries that see them, of all heads that share the key head,
// numbered as in attention.comp: scores are those of attention_backward_q_tiled.comp with rows and
// columns exchanged.
//     p = exp(scale q.k - lse);  dv += p dout;  dk += scale p (dout.v - delta) q
// With parts > 1 it walks along its part of all queries, and rope_backward adds the parts up.

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

const uint GRADS_AT = STREAM_TILE; // queries are at 0
const uint SCORES_AT = 2 * STREAM_TILE;
shared vec4 arena[SCORES_AT + SCORES_TILE];
shared float lses[STREAM], deltas[STREAM]; // of queries, as the loop needs them
shared uint to[4], all_to[4];              // [0]: one past the last query that sees some key, and all

void main()
{
    const uint kv_head = workgroup_index() % kv_heads;
    const uint part = workgroup_index() / kv_heads % parts, count = rows * GROUP;
    const uint first_key = workgroup_index() / kv_heads / parts * OWN;
    const uint lower = count / parts * part;
    const uint upper = part + 1 < parts ? count / parts * (part + 1) : count;
    if (first_key >= rows)
        return; // the whole workgroup leaves together
    const uint my_end = end[min(first_key + MY_ROW, rows - 1)];
    if (PLACE == 0)
        to[0] = all_to[0] = my_end;
    barrier();
    ATOMIC_MAX(to[0], my_end);
    ATOMIC_MIN(all_to[0], my_end);
    barrier();

    uint places[PER_LANE]; // of the lane's rows: row * kv_heads + kv_head
    vec4 key_sums[PER_LANE * QUADS], value_sums[PER_LANE * QUADS];
    [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
        places[r] = min(first_key + OWN_ROW(r), rows - 1) * kv_heads + kv_head;
        [[unroll]] for (uint n = 0; n < QUADS; n++)
            key_sums[r * QUADS + n] = value_sums[r * QUADS + n] = vec4(0.0);
    }
    const float bits = scale * LOG2E; // of exp's argument that a score of 1 is worth
    const uint behind = min(to[0] * GROUP, upper), inner_behind = min(all_to[0] * GROUP, upper);
    const uint inner_from = min(first_key + OWN - 1, rows - 1) * GROUP;

    for (uint i0 = max(first_key * GROUP, lower); i0 < behind; i0 += STREAM) {
// Row and head of a query as row * heads + head. Past the end it is the last again.
#define INDEX_OF(row) min(i0 + (row), count - 1)
#define PLACE_OF(row) (INDEX_OF(row) / GROUP * heads + kv_head * GROUP + INDEX_OF(row) % GROUP)
#define READ_KEY(r, quad) k_nth(places[r] * (DIM / 4) + quad)
#define READ_VALUE(r, quad) v_nth(places[r] * (DIM / 4) + quad)
        vec4 scores[PER_LANE], slopes[PER_LANE];
        [[unroll]] for (uint r = 0; r < PER_LANE; r++)
            scores[r] = slopes[r] = vec4(0.0);
        barrier(); // nobody reads the tiles any more
        for (uint item = PLACE; item < STREAM * (DIM / 4); item += INVOCATIONS) { // both: their places are alike
            const uint row = item / (DIM / 4), quad = item % (DIM / 4);
            const uint at = PLACE_OF(row) * (DIM / 4) + quad, slot = SLOT(row) * ROW + quad;
            arena[slot] = q_nth(at);
            arena[GRADS_AT + slot] = dout_nth(at);
        }
        for (uint row = PLACE; row < STREAM; row += INVOCATIONS) {
            lses[row] = lse[PLACE_OF(row)] * LOG2E;
            deltas[row] = delta[PLACE_OF(row)];
        }
        barrier(); // the tiles are whole
        MULTIPLY_ROWS(scores, 0, READ_KEY)
        MULTIPLY_ROWS(slopes, GRADS_AT, READ_VALUE)
        const uint column = 4 * ACROSS;
        const vec4 my_lses =
            vec4(lses[column], lses[column + 1], lses[column + 2], lses[column + 3]);
        const vec4 my_deltas =
            vec4(deltas[column], deltas[column + 1], deltas[column + 2], deltas[column + 3]);
        [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
            scores[r] = exp2(scores[r] * bits - my_lses);
            slopes[r] = scores[r] * (slopes[r] - my_deltas);
        }
        if (i0 < inner_from || i0 + STREAM > inner_behind) {
            const uvec4 query = i0 + column + uvec4(0, 1, 2, 3);
            [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
                const uint key = min(first_key + OWN_ROW(r), rows - 1), key_from = key * GROUP;
                const uint key_behind = max(key_from, min(end[key] * GROUP, upper));
                const bvec4 seen = lessThan(query - key_from, uvec4(key_behind - key_from));
                scores[r] = mix(vec4(0.0), scores[r], seen);
                slopes[r] = mix(vec4(0.0), slopes[r], seen);
            }
        }
        [[unroll]] for (uint r = 0; r < PER_LANE; r++)
            arena[SCORES_AT + OWN_ROW(r) * SCORE + ACROSS] = scores[r];
        barrier();
        MULTIPLY_SCORES(value_sums, SCORES_AT, GRADS_AT)
        barrier(); // nobody reads the probabilities any more
        [[unroll]] for (uint r = 0; r < PER_LANE; r++)
            arena[SCORES_AT + OWN_ROW(r) * SCORE + ACROSS] = slopes[r];
        barrier();
        MULTIPLY_SCORES(key_sums, SCORES_AT, 0)
    }

    [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
        if (first_key + OWN_ROW(r) < rows) {
            const uint out_at = (part * rows * kv_heads + places[r]) * (DIM / 4);
            [[unroll]] for (uint n = 0; n < QUADS; n++) {
                if (HOLDS(n)) {
                    dk_put(out_at + PART(n), scale * key_sums[r * QUADS + n]);
                    dv_put(out_at + PART(n), value_sums[r * QUADS + n]);
                }
            }
        }
    }
}
