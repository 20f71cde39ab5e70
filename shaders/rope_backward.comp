// From the gradients of attention's queries, keys and values to those of the linear layers' results: dq
// and dk are rotated back, dk and dv first added up from their parts, in the parts' order. Without
// ROTATED they are only added up. With FINDS_LARGEST it also finds the largest element of all three.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#define POSITION_BINDING 5
#define TABLE_BINDING 6
#define LARGEST_BINDING 7
#include "rope.glsl"

layout(constant_id = 4) const uint ROTATED = 1;
layout(constant_id = 5) const uint FINDS_LARGEST = 0;
#define SLOTS (FINDS_LARGEST != 0 ? THREADS : 1)
#include "largest.glsl"

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

// Stores two quads a and b of pairs.
#define STORE(name, low, a, b)                                                                     \
    name##_store(QUADS != 0, low, left, a);                                                        \
    name##_store(QUADS != 0, (low) + HALF, left, b);

#define LOOK_AT(a, b)                                                                              \
    if (FINDS_LARGEST != 0) {                                                                      \
        most = larger_bits(larger_bits(most, a), b);                                               \
    }

void turn_back(inout vec4 a, inout vec4 b, vec4 c, vec4 s)
{
    const vec4 turned = a * c + b * s;
    b = b * c - a * s;
    a = turned;
}

// Treats an invocation's pairs. Returns the bits of the largest of its elements, if they are wanted.
uint treat(uint row, uint me)
{
    uint most = 0;
    for (uint pair = 4 * (me % ACROSS); pair < HALF; pair += 4 * ACROSS) {
        const uint left = HALF - pair;
        vec4 c = vec4(1.0), s = vec4(0.0);
        if (ROTATED != 0) {
            load_angles(row, pair, c, s);
        }
        if (ROTATED != 0 || FINDS_LARGEST != 0) {
            for (uint head = me / ACROSS; head < heads; head += HEADS) {
                const uint low = (row * heads + head) * 2 * HALF + pair;
                vec4 a = dq_load(QUADS != 0, low, left);
                vec4 b = dq_load(QUADS != 0, low + HALF, left);
                if (ROTATED != 0) {
                    turn_back(a, b, c, s);
                    STORE(dq, low, a, b)
                }
                LOOK_AT(a, b)
            }
        }
        for (uint head = me / ACROSS; head < kv_heads; head += HEADS) {
            const uint low = (row * kv_heads + head) * 2 * HALF + pair;
            SUM(a, dk_parts, low)
            SUM(b, dk_parts, low + HALF)
            if (ROTATED != 0) {
                turn_back(a, b, c, s);
            }
            STORE(dk, low, a, b)
            LOOK_AT(a, b)
            if (parts > 1 || FINDS_LARGEST != 0) { // one part is dv itself
                SUM(v, dv_parts, low)
                SUM(w, dv_parts, low + HALF)
                if (parts > 1) {
                    STORE(dv, low, v, w)
                }
                LOOK_AT(v, w)
            }
        }
    }
    return most;
}

void main()
{
    const uint row = workgroup_index(), me = gl_LocalInvocationID.x;
    if (FOLDED != 0 && row >= rows) {
        return; // the whole workgroup leaves together
    }
    uint most = 0;
    if (HEADS * ACROSS == THREADS || me < HEADS * ACROSS) { // the others have no head
        most = treat(row, me);
    }
    if (FINDS_LARGEST != 0) {
        keep_largest(row, most);
    }
}
