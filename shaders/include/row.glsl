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

const uint WORKERS = gl_WorkGroupSize.x;
const uint EACH = (COLS + 4 * WORKERS - 1) / (4 * WORKERS);
const bool WHOLE = COLS % (4 * WORKERS) == 0;  // each invocation has all of its quads
const uint QUADS = COLS % 4 == 0 ? 1 : 0;

#include "grid.glsl"
#include "quad.glsl"

// The statement behind it, for each of this invocation's quads: the j-th, from column c on. ABREAST
// neighbours walk side by side through a stretch of their own, 128 bytes a step: a CPU's caches fetch
// ahead of that, and a GPU still reads whole lines. WORKERS is a multiple of ABREAST.
const uint ABREAST = 8;
#define FOR_QUADS(j, c)                                                                            \
    [[unroll]] for (uint j = 0, me = gl_LocalInvocationID.x,                                       \
                    c = 4 * (me / ABREAST * ABREAST * EACH + me % ABREAST);                        \
                    j < EACH; j++, c += 4 * ABREAST)                                               \
        if (WHOLE || c < COLS)

#endif
