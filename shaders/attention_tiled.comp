#version 450
#extension GL_GOOGLE_include_directive : require
#define PRODUCTS 2
#include "attention_tiles.glsl"
// attention.comp by tiles, for devices without matrix units. The own tile is of queries, numbered as
// there: row * group + head within the group of heads that share a key. It walks along tiles of keys
// and values.

ACT_READ(0, q)                                               // [rows, heads, dim]
ACT_READ(1, k)                                               // [kv_rows, kv_heads, dim]
ACT_READ(2, v)                                               // [kv_rows, kv_heads, dim]
layout(binding = 3) readonly buffer First { uint first[]; }; // [rows]
layout(binding = 4) readonly buffer Last { uint last[]; };   // [rows]
ACT_WRITE(5, o)                                              // [rows, heads, dim]
layout(binding = 6) writeonly buffer Lse { float lse[]; };   // [rows, heads]
layout(push_constant) uniform Scalars { uint rows, kv_rows, heads, kv_heads; float scale; };

shared vec4 arena[STREAM_TILE + SCORES_TILE];
shared float factors[OWN];              // of rows: what their sums are to be multiplied by
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
    const uint my_index = min(begin + MY_ROW, count - 1);
    const uint my_first = first[my_index / GROUP], my_last = last[my_index / GROUP];
    if (PLACE == 0) {
        from = all_from = my_first;
        to = all_to = my_last;
    }
    barrier();
    ATOMIC_MIN(from, my_first);
    ATOMIC_MAX(all_from, my_first);
    ATOMIC_MAX(to, my_last);
    ATOMIC_MIN(all_to, my_last);
    barrier();

    uint places[PER_LANE]; // of the lane's rows: row * heads + head
    vec4 sums[PER_LANE * QUADS];
    [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
        const uint index = min(begin + OWN_ROW(r), count - 1); // past the end: the last again
        places[r] = index / GROUP * heads + kv_head * GROUP + index % GROUP;
        [[unroll]] for (uint n = 0; n < QUADS; n++)
            sums[r * QUADS + n] = vec4(0.0);
    }
    const float bits = scale * LOG2E;     // of exp's argument that a score of 1 is worth
    float reference = -1e20, total = 0.0; // of row MY_ROW, and of this lane's part of it
    const uint start = from, end = to, inner_start = all_from, inner_end = all_to;

    for (uint key0 = start; key0 <= end; key0 += STREAM) {
#define QUAD_OF(row, quad) ((min(key0 + (row), kv_rows - 1) * kv_heads + kv_head) * (DIM / 4) + (quad))
#define READ_KEY(row, quad) k_nth(QUAD_OF(row, quad))
#define READ_VALUE(row, quad) v_nth(QUAD_OF(row, quad))
#define READ_QUERY(r, quad) q_nth(places[r] * (DIM / 4) + quad)
        barrier(); // nobody reads the values any more
        STAGE(0, READ_KEY)
        barrier();
        vec4 scores[PER_LANE];
        [[unroll]] for (uint r = 0; r < PER_LANE; r++)
            scores[r] = vec4(0.0);
        MULTIPLY_ROWS(scores, 0, READ_QUERY)
        [[unroll]] for (uint r = 0; r < PER_LANE; r++)
            arena[STREAM_TILE + OWN_ROW(r) * SCORE + ACROSS] = scores[r];
        barrier(); // scores are whole, and nobody reads the keys any more

        STAGE(0, READ_VALUE)
        const uint mine = STREAM_TILE + MY_ROW * SCORE + MY_PART;
        vec4 weights[PER_LANE], largest = vec4(-1e30), sum = vec4(0.0);
        [[unroll]] for (uint i = 0; i < PER_LANE; i++)
            weights[i] = arena[mine + i * LPR];
        if (key0 < inner_start || key0 + STREAM - 1 > inner_end) {
            [[unroll]] for (uint i = 0; i < PER_LANE; i++) {
                const uvec4 key = key0 + 4 * (i * LPR + MY_PART) + uvec4(0, 1, 2, 3);
                weights[i] = mix(vec4(-1e30), weights[i],
                                 lessThanEqual(key - my_first, uvec4(my_last - my_first)));
            }
        }
        [[unroll]] for (uint i = 0; i < PER_LANE; i++)
            largest = max(largest, weights[i]);
        const float before = reference;
        reference = max(reference, bits * row_largest(max(max(largest.x, largest.y),
                                                          max(largest.z, largest.w))));
        const float factor = exp2(before - reference);
        [[unroll]] for (uint i = 0; i < PER_LANE; i++) {
            weights[i] = exp2(weights[i] * bits - reference);
            sum += weights[i];
            arena[mine + i * LPR] = weights[i];
        }
        total = total * factor + (sum.x + sum.y + sum.z + sum.w);
        if (MY_PART == 0)
            factors[MY_ROW] = factor;
        barrier();
        [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
            const float shrink = factors[OWN_ROW(r)];
            [[unroll]] for (uint n = 0; n < QUADS; n++)
                sums[r * QUADS + n] *= shrink;
        }
        MULTIPLY_SCORES(sums, STREAM_TILE, 0)
    }

    total = row_sum(total);
    barrier(); // nobody reads `factors` any more
    if (MY_PART == 0) {
        factors[MY_ROW] = 1.0 / total;
        if (begin + MY_ROW < count)
            lse[my_index / GROUP * heads + kv_head * GROUP + my_index % GROUP] =
                (reference + log2(total)) / LOG2E;
    }
    barrier();
    [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
        if (begin + OWN_ROW(r) < count) {
            [[unroll]] for (uint n = 0; n < QUADS; n++)
                if (HOLDS(n))
                    o_put(places[r] * (DIM / 4) + PART(n), factors[OWN_ROW(r)] * sums[r * QUADS + n]);
        }
    }
}
