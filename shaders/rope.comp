// Rotates the pair (x[i], x[i + dim/2]) of every head by its row's position: one invocation a
// pair. The angles come as a table of cosines and sines made on the host in double, because
// Vulkan promises only 2^-11 for its own sin and cos. sign = -1 turns back.
#version 450
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"

layout(binding = 0) buffer X { float x[]; };                        // [rows, heads, dim]
layout(binding = 1) readonly buffer Position { uint position[]; };  // [rows]
layout(binding = 2) readonly buffer Table { float table[]; };       // [positions, dim/2, 2]
layout(push_constant) uniform Scalars { uint rows, heads, dim, positions; float sign; };

void main()
{
    const uint i = invocation_index(), pairs = dim / 2;
    if (i >= rows * heads * pairs) {
        return;
    }
    const uint pair = i % pairs, row = i / (heads * pairs);
    const uint angle = (position[row] * pairs + pair) * 2;
    const float c = table[angle], s = sign * table[angle + 1];
    const uint low = i / pairs * dim + pair, high = low + pairs;
    const float a = x[low], b = x[high];
    x[low] = a * c - b * s;
    x[high] = b * c + a * s;
}
