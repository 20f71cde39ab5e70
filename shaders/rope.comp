// Rotates the pair (x[i], x[i + dim/2]) of every head of queries and keys by its row's position:
// one workgroup for each row, in which an invocation takes the same four pairs of several heads.
// The cosines and sines come in a table that the host computed in double, because Vulkan guarantees
// only an error of 2^-11 for its own sin and cos. sign = -1 rotates back.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 1) in;
layout(constant_id = 2) const uint HALF = 4;   // dim / 2
layout(constant_id = 3) const uint FOLDED = 0; // 1: there may be more workgroups than rows
#include "grid.glsl"
#include "quad.glsl"
#include "act.glsl"

ACT_UPDATE(0, q) // [rows, heads, dim]
ACT_UPDATE(1, k) // [rows, kv_heads, dim]
layout(binding = 2) readonly buffer Position { uint position[]; }; // [rows]
layout(binding = 3) readonly buffer Table1 { float table1[]; }; // [positions, dim/2, 2]
layout(binding = 3) readonly buffer Table4 { vec4 table4[]; };
layout(push_constant) uniform Scalars { uint rows, heads, kv_heads, dim, positions; float sign; };

const uint THREADS = gl_WorkGroupSize.x;
const uint QUADS = HALF % 4 == 0 ? 1 : 0;
const uint WANTED = (HALF + 3) / 4;                       // quads of pairs in a head
const uint ACROSS = WANTED < THREADS ? WANTED : THREADS;  // invocations side by side on one head
const uint HEADS = THREADS / ACROSS;                      // heads at once

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
    const uint angles = position[row] * HALF;
    if (HEADS * ACROSS < THREADS && me >= HEADS * ACROSS) {
        return;
    }
    for (uint pair = 4 * (me % ACROSS); pair < HALF; pair += 4 * ACROSS) {
        const uint left = HALF - pair, angle = 2 * (angles + pair);
        LOAD_QUAD(first, table, angle, 2 * left)
        LOAD_QUAD(second, table, angle + 4, max(2 * left, 4) - 4)
        const vec4 c = vec4(first.xz, second.xz), s = sign * vec4(first.yw, second.yw);
        ROTATE(q, heads)
        ROTATE(k, kv_heads)
    }
}
