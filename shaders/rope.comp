// Rotates the pair (x[i], x[i + dim/2]) of every head of queries and keys by its row's position:
// one invocation four pairs, the queries' first. The angles come as a table of cosines and sines made on
// the host in double, because Vulkan promises only 2^-11 for its own sin and cos. sign = -1 turns
// back.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"
#include "quad.glsl"

layout(constant_id = 1) const uint QUADS = 0;  // 1: dim / 2 is a multiple of 4
layout(binding = 0) buffer Q1 { float q1[]; }; // [rows, heads, dim]
layout(binding = 0) buffer Q4 { vec4 q4[]; };
layout(binding = 1) buffer K1 { float k1[]; }; // [rows, kv_heads, dim]
layout(binding = 1) buffer K4 { vec4 k4[]; };
layout(binding = 2) readonly buffer Position { uint position[]; }; // [rows]
layout(binding = 3) readonly buffer Table1 { float table1[]; }; // [positions, dim/2, 2]
layout(binding = 3) readonly buffer Table4 { vec4 table4[]; };
layout(push_constant) uniform Scalars { uint rows, heads, kv_heads, dim, positions; float sign; };

#define ROTATE(x)                                                                                  \
    {                                                                                              \
        LOAD_QUAD(a, x, low, left)                                                                 \
        LOAD_QUAD(b, x, low + pairs, left)                                                         \
        const vec4 turned_a = a * c - b * s, turned_b = b * c + a * s;                             \
        STORE_QUAD(x, low, left, turned_a)                                                         \
        STORE_QUAD(x, low + pairs, left, turned_b)                                                 \
    }

void main()
{
    const uint pairs = dim / 2, quads = (pairs + 3) / 4, queries = rows * heads * quads;
    uint i = invocation_index();
    if (i >= queries + rows * kv_heads * quads) {
        return;
    }
    const bool is_query = i < queries;
    i -= is_query ? 0 : queries;
    const uint pair = i % quads * 4, left = pairs - pair;
    const uint row = i / ((is_query ? heads : kv_heads) * quads);
    const uint angle = (position[row] * pairs + pair) * 2;
    LOAD_QUAD(first, table, angle, 2 * left)
    LOAD_QUAD(second, table, angle + 4, max(2 * left, 4) - 4)
    const vec4 c = vec4(first.xz, second.xz), s = sign * vec4(first.yw, second.yw);
    const uint low = i / quads * dim + pair;
    if (is_query) {
        ROTATE(q)
    } else {
        ROTATE(k)
    }
}
