#version 450
#extension GL_GOOGLE_include_directive : require
#define PRODUCTS 3
#include "attention_tiles.glsl"
// delta and dq of attention_backward_q.comp by tiles, for devices without matrix units. The own tile is
// of queries and their gradients, numbered as in attention.comp. It walks along tiles of keys and
// values:
//     p = exp(scale q.k - lse);  dq += scale p (dout.v - delta) k

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

shared vec4 arena[STREAM_TILE + SCORES_TILE];
shared float lses[OWN], deltas[OWN];    // of rows, as the loop needs them
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
    const uint my_index = min(begin + MY_ROW, count - 1), my_row = my_index / GROUP;
    const uint my_place = my_row * heads + kv_head * GROUP + my_index % GROUP;
    const uint my_first = first[my_row];
    if (PLACE == 0) {
        from = all_from = my_first;
        to = all_to = my_row;
    }
    barrier();
    ATOMIC_MIN(from, my_first);
    ATOMIC_MAX(all_from, my_first);
    ATOMIC_MAX(to, my_row);
    ATOMIC_MIN(all_to, my_row);
    vec4 products = vec4(0.0);
    for (uint d = MY_PART; d < DIM / 4; d += LPR)
        products += dout_nth(my_place * (DIM / 4) + d) * o_nth(my_place * (DIM / 4) + d);
    const float my_delta = row_sum(products.x + products.y + products.z + products.w);
    if (MY_PART == 0) {
        lses[MY_ROW] = lse[my_place] * LOG2E;
        deltas[MY_ROW] = my_delta;
        if (begin + MY_ROW < count)
            delta[my_place] = my_delta;
    }
    barrier();

    uint places[PER_LANE]; // of the lane's rows: row * heads + head
    vec4 sums[PER_LANE * QUADS];
    [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
        const uint index = min(begin + OWN_ROW(r), count - 1); // past the end: the last again
        places[r] = index / GROUP * heads + kv_head * GROUP + index % GROUP;
        [[unroll]] for (uint n = 0; n < QUADS; n++)
            sums[r * QUADS + n] = vec4(0.0);
    }
    const float bits = scale * LOG2E; // of exp's argument that a score of 1 is worth
    const uint start = from, end = to, inner_start = all_from, inner_end = all_to;

    for (uint key0 = start; key0 <= end; key0 += STREAM) {
#define QUAD_OF(row, quad) ((min(key0 + (row), rows - 1) * kv_heads + kv_head) * (DIM / 4) + (quad))
#define READ_KEY(row, quad) k_nth(QUAD_OF(row, quad))
#define READ_VALUE(row, quad) v_nth(QUAD_OF(row, quad))
#define READ_QUERY(r, quad) q_nth(places[r] * (DIM / 4) + again + quad)
#define READ_GRAD(r, quad) dout_nth(places[r] * (DIM / 4) + quad)
        vec4 scores[PER_LANE];
        [[unroll]] for (uint r = 0; r < PER_LANE; r++)
            scores[r] = vec4(0.0);
        barrier(); // nobody reads the keys any more
        STAGE(0, READ_VALUE)
        barrier();
        MULTIPLY_ROWS(scores, 0, READ_GRAD)
        // In a lane's place of the scores, so that no registers hold it during the next product.
        [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
            arena[STREAM_TILE + OWN_ROW(r) * SCORE + ACROSS] = scores[r] - deltas[OWN_ROW(r)];
            scores[r] = vec4(0.0);
        }
        barrier(); // nobody reads the values any more
        STAGE(0, READ_KEY)
        barrier();
        // 0 in a way that compilers do not see through: else they keep the addresses of the product
        // above, in memory where they have no registers left.
        const uint again = key0 >> 31;
        MULTIPLY_ROWS(scores, again, READ_QUERY)
        [[unroll]] for (uint r = 0; r < PER_LANE; r++)
            scores[r] = exp2(scores[r] * bits - lses[OWN_ROW(r)]) *
                        arena[STREAM_TILE + OWN_ROW(r) * SCORE + ACROSS];
        if (key0 < inner_start || key0 + STREAM - 1 > inner_end) {
            const uvec4 key = key0 + 4 * ACROSS + uvec4(0, 1, 2, 3);
            [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
                const uint row = min(begin + OWN_ROW(r), count - 1) / GROUP, row_first = first[row];
                scores[r] = mix(vec4(0.0), scores[r],
                                lessThanEqual(key - row_first, uvec4(row - row_first)));
            }
        }
        [[unroll]] for (uint r = 0; r < PER_LANE; r++)
            arena[STREAM_TILE + OWN_ROW(r) * SCORE + ACROSS] = scores[r];
        barrier();
        MULTIPLY_SCORES(sums, STREAM_TILE, 0)
    }

    [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
        if (begin + OWN_ROW(r) < count) {
            [[unroll]] for (uint n = 0; n < QUADS; n++)
                if (HOLDS(n))
                    dq_put(places[r] * (DIM / 4) + PART(n), scale * sums[r * QUADS + n]);
        }
    }
}
