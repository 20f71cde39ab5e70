// From the gradients of attention's queries, keys and values to those of the linear layers' results: dq
// and dk are rotated back, dk and dv first added up from their parts, in the parts' order. Without
// ROTATED they are only added up.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#define POSITION_BINDING 5
#define TABLE_BINDING 6
#include "rope.glsl"

layout(constant_id = 4) const uint ROTATED = 1;
ACT_UPDATE(0, dq)      // [rows, heads, dim]
ACT_READ(1, dk_parts)  // [parts, rows, kv_heads, dim]
ACT_READ(2, dv_parts)
ACT_WRITE(3, dk)       // [rows, kv_heads, dim]; of one part it may lie where that does
ACT_WRITE(4, dv)
layout(push_constant) uniform Scalars { uint rows, heads, kv_heads, dim, positions, parts; };

#define SUM(to, name, at)                                                                          \
    vec4 to = vec4(0.0);                                                                           \
    for (uint part = 0; part < parts; part++)                                                      \
        to += name##_load(QUADS != 0, part * rows * kv_heads * 2 * HALF + (at), left);

// Stores two quads a and b of pairs, after turning them back if wanted.
#define STORE(name, turned, low, a, b)                                                             \
    if (turned) {                                                                                  \
        name##_store(QUADS != 0, low, left, a * c + b * s);                                        \
        name##_store(QUADS != 0, (low) + HALF, left, b * c - a * s);                               \
    } else {                                                                                       \
        name##_store(QUADS != 0, low, left, a);                                                    \
        name##_store(QUADS != 0, (low) + HALF, left, b);                                           \
    }

void main()
{
    const uint row = workgroup_index(), me = gl_LocalInvocationID.x;
    if (FOLDED != 0 && row >= rows) {
        return;
    }
    if (HEADS * ACROSS < THREADS && me >= HEADS * ACROSS) {
        return;
    }
    for (uint pair = 4 * (me % ACROSS); pair < HALF; pair += 4 * ACROSS) {
        const uint left = HALF - pair;
        vec4 c = vec4(1.0), s = vec4(0.0);
        if (ROTATED != 0) {
            load_angles(row, pair, c, s);
            for (uint head = me / ACROSS; head < heads; head += HEADS) {
                const uint low = (row * heads + head) * 2 * HALF + pair;
                const vec4 a = dq_load(QUADS != 0, low, left);
                const vec4 b = dq_load(QUADS != 0, low + HALF, left);
                STORE(dq, true, low, a, b)
            }
        }
        for (uint head = me / ACROSS; head < kv_heads; head += HEADS) {
            const uint low = (row * kv_heads + head) * 2 * HALF + pair;
            SUM(a, dk_parts, low)
            SUM(b, dk_parts, low + HALF)
            STORE(dk, ROTATED != 0, low, a, b)
            if (parts > 1) { // else dv is there
                SUM(v, dv_parts, low)
                SUM(w, dv_parts, low + HALF)
                STORE(dv, false, low, v, w)
            }
        }
    }
}
