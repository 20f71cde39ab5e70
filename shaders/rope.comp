// Rotates the pair (x[i], x[i + dim/2]) of every head of queries and keys by its row's position.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#define POSITION_BINDING 2
#define TABLE_BINDING 3
#include "rope.glsl"

ACT_UPDATE(0, q) // [rows, heads, dim]
ACT_UPDATE(1, k) // [rows, kv_heads, dim]
layout(push_constant) uniform Scalars { uint rows, heads, kv_heads, dim, positions; };

#define ROTATE(x, count)                                                                           \
    for (uint head = me / ACROSS; head < count; head += HEADS) {                                   \
        const uint low = (row * count + head) * 2 * HALF + pair;                                   \
        const vec4 a = x##_load(QUADS != 0, low, left);                                            \
        const vec4 b = x##_load(QUADS != 0, low + HALF, left);                                     \
        const vec4 turned_a = a * c - b * s, turned_b = b * c + a * s;                             \
        x##_store(QUADS != 0, low, left, turned_a);                                                \
        x##_store(QUADS != 0, low + HALF, left, turned_b);                                         \
    }

void main()
{
    const uint row = workgroup_index(), me = gl_LocalInvocationID.x;
    if (FOLDED != 0 && row >= rows) {
        return;
    }
    if (HEADS * ACROSS < THREADS && me >= HEADS * ACROSS) {
        return;
    }
    for (uint pair = 4 * (me % ACROSS); pair < HALF; pair += 4 * ACROSS) {
        const uint left = HALF - pair;
        vec4 c, s;
        load_angles(row, pair, c, s);
        ROTATE(q, heads)
        ROTATE(k, kv_heads)
    }
}
