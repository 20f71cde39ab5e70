// How the two kernels of rotary embeddings share a row's heads out: one workgroup for each row, in which an
// invocation takes the same four pairs (x[i], x[i + dim/2]) of several heads, since they turn by the same
// angles. The cosines and sines come in a table that the host computed in double, because Vulkan
// guarantees only an error of 2^-11 for its own sin and cos.
//
// The includer defines POSITION_BINDING and TABLE_BINDING, and has specialisation constants 1 to 3.
#ifndef ROPE_GLSL
#define ROPE_GLSL

#include "grid.glsl"
#include "quad.glsl"
#include "act.glsl"

layout(local_size_x_id = 1) in;
layout(constant_id = 2) const uint HALF = 4;   // dim / 2
layout(constant_id = 3) const uint FOLDED = 0; // 1: there may be more workgroups than rows
layout(binding = POSITION_BINDING) readonly buffer Position { uint position[]; }; // [rows]
layout(binding = TABLE_BINDING) readonly buffer Table1 { float table1[]; }; // [positions, dim/2, 2]
layout(binding = TABLE_BINDING) readonly buffer Table4 { vec4 table4[]; };

const uint THREADS = gl_WorkGroupSize.x;
const uint QUADS = HALF % 4 == 0 ? 1 : 0;
const uint WANTED = (HALF + 3) / 4;                       // quads of pairs in a head
const uint ACROSS = WANTED < THREADS ? WANTED : THREADS;  // invocations side by side on one head
const uint HEADS = THREADS / ACROSS;                      // heads at once

// The cosines and sines of four pairs of a row from `pair` on.
void load_angles(uint row, uint pair, out vec4 c, out vec4 s)
{
    const uint angle = 2 * (position[row] * HALF + pair), left = HALF - pair;
    LOAD_QUAD(first, table, angle, 2 * left)
    LOAD_QUAD(second, table, angle + 4, max(2 * left, 4) - 4)
    c = vec4(first.xz, second.xz);
    s = vec4(first.yw, second.yw);
}

#endif
