// Four neighbouring floats of a row are the unit of every access: one vector load or store where all
// rows are whole quads, four guarded ones where they are not. The specialisation constant QUADS
// decides and not a branch: a driver that runs shaders on the CPU walks both sides of one. Each
// buffer `name` is declared twice, as float name1[] and as vec4 name4[].
#ifndef QUAD_GLSL
#define QUAD_GLSL

// The quad from element `at` on, of which `left` belong to the row: others read as zero and are
// not written.
#define LOAD_QUAD(to, name, at, left)                                                              \
    vec4 to = vec4(0.0);                                                                           \
    if (QUADS != 0) {                                                                              \
        to = name##4[(at) / 4];                                                                    \
    } else {                                                                                       \
        [[unroll]] for (uint e = 0; e < 4; e++)                                                    \
            if (e < (left))                                                                        \
                to[e] = name##1[(at) + e];                                                         \
    }

#define STORE_QUAD(name, at, left, value)                                                          \
    if (QUADS != 0) {                                                                              \
        name##4[(at) / 4] = value;                                                                 \
    } else {                                                                                       \
        [[unroll]] for (uint e = 0; e < 4; e++)                                                    \
            if (e < (left))                                                                        \
                name##1[(at) + e] = (value)[e];                                                    \
    }

#endif
