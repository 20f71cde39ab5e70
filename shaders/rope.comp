// Rotates the pair (x[i], x[i + dim/2]) of every head of queries and keys by its row's position:
// one invocation a pair, the queries' first. The angles come as a table of cosines and sines made on
// the host in double, because Vulkan promises only 2^-11 for its own sin and cos. sign = -1 turns
// back.
#version 450
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"

layout(binding = 0) buffer Q { float q[]; };                        // [rows, heads, dim]
layout(binding = 1) buffer K { float k[]; };                        // [rows, kv_heads, dim]
layout(binding = 2) readonly buffer Position { uint position[]; };  // [rows]
layout(binding = 3) readonly buffer Table { float table[]; };       // [positions, dim/2, 2]
layout(push_constant) uniform Scalars { uint rows, heads, kv_heads, dim, positions; float sign; };

void main()
{
    const uint pairs = dim / 2, queries = rows * heads * pairs;
    uint i = invocation_index();
    if (i >= queries + rows * kv_heads * pairs) {
        return;
    }
    const bool is_query = i < queries;
    i -= is_query ? 0 : queries;
    const uint pair = i % pairs, row = i / ((is_query ? heads : kv_heads) * pairs);
    const uint angle = (position[row] * pairs + pair) * 2;
    const float c = table[angle], s = sign * table[angle + 1];
    const uint low = i / pairs * dim + pair, high = low + pairs;
    if (is_query) {
        const float a = q[low], b = q[high];
        q[low] = a * c - b * s;
        q[high] = b * c + a * s;
    } else {
        const float a = k[low], b = k[high];
        k[low] = a * c - b * s;
        k[high] = b * c + a * s;
    }
}
