// best[t] = the first index of the largest logit of row t: one workgroup a row.
#version 450
#extension GL_GOOGLE_include_directive : require
#define WORKERS 128
layout(local_size_x = WORKERS) in;
#include "grid.glsl"

layout(binding = 0) readonly buffer Logits { float logits[]; };  // [rows, vocab]
layout(binding = 1) writeonly buffer Best { uint best[]; };      // [rows]
layout(push_constant) uniform Scalars { uint rows, vocab; };

shared float values[WORKERS];
shared uint indices[WORKERS];

void main()
{
    const uint row = workgroup_index(), me = gl_LocalInvocationID.x;
    if (row >= rows) {
        return;
    }
    float largest = -1e38;
    uint at = vocab;
    for (uint c = me; c < vocab; c += WORKERS) {
        if (logits[row * vocab + c] > largest) {
            largest = logits[row * vocab + c];
            at = c;
        }
    }
    values[me] = largest;
    indices[me] = at;
    for (uint half_width = WORKERS / 2; half_width > 0; half_width /= 2) {
        barrier();
        if (me < half_width) {
            const uint other = me + half_width;
            if (values[other] > values[me] ||
                (values[other] == values[me] && indices[other] < indices[me])) {
                values[me] = values[other];
                indices[me] = indices[other];
            }
        }
    }
    if (me == 0) {
        best[row] = min(indices[0], vocab - 1);
    }
}
