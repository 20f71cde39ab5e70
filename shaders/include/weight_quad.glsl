// Quads of weights (weight.glsl), as quad.glsl has those of floats. The includer declares STORED, their
// type, and each buffer `name` twice: as uint name1[] and as uvec2 name2[].
#ifndef WEIGHT_QUAD_GLSL
#define WEIGHT_QUAD_GLSL
#include "weight.glsl"

// The quad from element `at` on, of which `left` > 0 belong to the row: others may be anything.
#define LOAD_WEIGHTS(to, name, at, left)                                                           \
    vec4 to;                                                                                       \
    if (QUADS != 0 && STORED != WEIGHT_F32) {                                                      \
        to = weight_unpack4(STORED, name##2[(at) / 4]);                                            \
    } else if (QUADS != 0) {                                                                       \
        to = uintBitsToFloat(uvec4(name##2[(at) / 2], name##2[(at) / 2 + 1]));                     \
    } else {                                                                                       \
        [[unroll]] for (uint e = 0; e < 4; e++) {                                                  \
            const uint one = (at) + min(e, (left) - 1);                                            \
            to[e] = weight_value(STORED, name##1[weight_word(STORED, one)], one);                  \
        }                                                                                          \
    }

#endif
