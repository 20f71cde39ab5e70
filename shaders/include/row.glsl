// A row of COLS floats is a workgroup's, of which each invocation holds EACH quads: what is read once
// stays in registers. Includes grid.glsl and quad.glsl, and declares the
// workgroup's size.
//
// A row's length is a specialisation constant, so that there is no branch where a row is whole: a
// driver that runs shaders on the CPU then reads what all invocations share (a row's index, the sums
// of the others) once, and within a branch or a loop lane by lane.
#ifndef ROW_GLSL
#define ROW_GLSL

layout(local_size_x_id = 1) in;
layout(constant_id = 2) const uint COLS = 4;
layout(constant_id = 3) const uint FOLDED = 0; // 1: there may be more workgroups than rows

const uint THREADS = gl_WorkGroupSize.x;
const uint EACH = (COLS + 4 * THREADS - 1) / (4 * THREADS);
const bool WHOLE = COLS % (4 * THREADS) == 0;  // each invocation has all of its quads
const uint QUADS = COLS % 4 == 0 ? 1 : 0;

#include "grid.glsl"
#include "quad.glsl"

// Runs the statement behind it for each of this invocation's quads: the j-th, from column c on. Eight
// NEIGHBOURS read 128 bytes side by side, then the next 128: a CPU's caches fetch such a stretch ahead,
// and a GPU reads whole cache lines. THREADS is a multiple of NEIGHBOURS.
const uint NEIGHBOURS = 8;
#define FOR_QUADS(j, c)                                                                            \
    [[unroll]] for (uint j = 0, me = gl_LocalInvocationID.x,                                       \
                    c = 4 * (me / NEIGHBOURS * NEIGHBOURS * EACH + me % NEIGHBOURS);                        \
                    j < EACH; j++, c += 4 * NEIGHBOURS)                                               \
        if (WHOLE || c < COLS)

#endif
