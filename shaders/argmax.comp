// best[t] = the first index of the largest logit of row t: one workgroup for each row. It is NONE
// if a logit of the row is NaN or infinite, so that no answer is generated from such a row.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 2) in;
#define THREADS gl_WorkGroupSize.x
#include "grid.glsl"
#include "quad.glsl"

layout(constant_id = 1) const uint QUADS = 0; // 1: vocab is a multiple of 4
layout(constant_id = 3) const uint FOLDED = 0; // 1: there may be more workgroups than rows
layout(binding = 0) readonly buffer Logits1 { float logits1[]; }; // [rows, vocab]
layout(binding = 0) readonly buffer Logits4 { vec4 logits4[]; };
layout(binding = 1) writeonly buffer Best { uint best[]; }; // [rows]
layout(push_constant) uniform Scalars { uint rows, vocab; };

const uint NONE = 0xFFFFFFFFu;

shared float values[THREADS];
shared uint indices[THREADS];

void main()
{
    const uint row = workgroup_index(), me = gl_LocalInvocationID.x;
    if (FOLDED != 0 && row >= rows) {
        return; // the whole workgroup leaves together
    }
    float largest = -1e38;
    uint at = vocab;
    for (uint c = 4 * me; c < vocab; c += 4 * THREADS) {
        const uint left = vocab - c;
        LOAD_QUAD(x, logits, row * vocab + c, left)
        [[unroll]] for (uint e = 0; e < 4; e++) {
            const bool here = QUADS != 0 || e < left;
            const bool larger = here && x[e] > largest;
            // Tests the bits, since a driver may assume that no number is NaN.
            const bool broken = here && (floatBitsToUint(x[e]) & 0x7F800000u) == 0x7F800000u;
            largest = larger ? x[e] : largest;
            at = broken || at == NONE ? NONE : larger ? c + e : at;
        }
    }
    values[me] = largest;
    indices[me] = at;
    for (uint half_width = THREADS / 2; half_width > 0; half_width /= 2) {
        barrier();
        if (me < half_width) {
            const uint other = me + half_width;
            const bool better = values[other] > values[me] ||
                                (values[other] == values[me] && indices[other] < indices[me]);
            if (indices[other] == NONE || (better && indices[me] != NONE)) {
                values[me] = values[other];
                indices[me] = indices[other];
            }
        }
    }
    if (me == 0) {
        best[row] = indices[0] == NONE ? NONE : min(indices[0], vocab - 1);
    }
}
