// dk and dv: one invocation computes those of one key row and key head. It walks along the query
// rows that see the key, for every head that shares it; with parts > 1, along those in its part of
// the batch's rows and heads, so that none walks far alone, and rope_backward adds the parts up. With
// SPLIT, several invocations of a subgroup do so together (include/split.glsl). A workgroup takes LANES
// neighbouring keys, so all of its invocations read the same query at the same time.
//     p = exp(scale q.k - lse);  dv += p dout;  dk += scale p (dout.v - delta) q
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_memory_scope_semantics : require // atomics of the workgroup, not the device
#include "split.glsl"
#include "grid.glsl"
#include "act.glsl"

layout(constant_id = 1) const uint DIM = 64;

ACT_READ(0, q)                                                 // [rows, heads, dim]
ACT_READ(1, k)                                                 // [rows, kv_heads, dim]
ACT_READ(2, v)                                                 // [rows, kv_heads, dim]
ACT_READ(3, dout)                                              // [rows, heads, dim]
layout(binding = 4) readonly buffer Lse { float lse[]; };      // [rows, heads]
layout(binding = 5) readonly buffer Delta { float delta[]; };  // [rows, heads]
layout(binding = 6) readonly buffer End { uint end[]; };       // [rows], one past the sequence
ACT_WRITE(7, dk)                                               // [parts, rows, kv_heads, dim]
ACT_WRITE(8, dv)                                               // [parts, rows, kv_heads, dim]
layout(push_constant) uniform Scalars { uint rows, heads, kv_heads; float scale; uint parts; };

shared uint to; // one past the last query that sees some key of this workgroup

vec4 read_key(uint mine, uint d, uint again)
{
    return HOLDS(d) ? scale * k_nth(mine + PART(d) + again) : vec4(0);
}

vec4 read_value(uint mine, uint d, uint again)
{
    return HOLDS(d) ? v_nth(mine + PART(d) + again) : vec4(0);
}

void main()
{
    const uint me = LANE;
    const uint kv_head = workgroup_index() % kv_heads;
    const uint part = workgroup_index() / kv_heads % parts;
    const uint first_row = workgroup_index() / kv_heads / parts * LANES, row = first_row + me;
    const uint safe_row = min(row, rows - 1);
    const uint my_end = end[safe_row];

    if (gl_LocalInvocationIndex == 0) {
        to = my_end;
    }
    barrier();
    atomicMax(to, my_end, gl_ScopeWorkgroup, gl_StorageSemanticsNone, gl_SemanticsRelaxed);
    barrier();

    vec4 key[QUADS], value[QUADS], key_sum[QUADS], value_sum[QUADS];
    const uint mine = (safe_row * kv_heads + kv_head) * (DIM / 4);
    [[unroll]] for (uint d = 0; d < QUADS; d++) {
        key[d] = read_key(mine, d, 0);
        value[d] = read_value(mine, d, 0);
        key_sum[d] = vec4(0);
        value_sum[d] = vec4(0);
    }
    // Query i of the group's head h is number i * group + h.
    const uint group = heads / kv_heads, last = to * group; // reads shared memory once
    const uint lower = rows * group / parts * part, upper = rows * group / parts * (part + 1);
    const uint begin = max(first_row * group, lower);
    const uint behind = part + 1 < parts ? min(last, upper) : last;
    uint i = begin / group, h = begin % group;
    for (uint number = begin; number < behind; number++) {
        const uint place = i * heads + kv_head * group + h, query = place * (DIM / 4);
        vec4 scores = vec4(0), weights = vec4(0);
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            const vec4 my_key = HELD != 0 ? key[d] : read_key(mine, d, AGAIN(i));
            const vec4 my_value = HELD != 0 ? value[d] : read_value(mine, d, AGAIN(i));
            scores += my_key * q_nth(query + PART(d));
            weights += my_value * dout_nth(query + PART(d));
        }
        const float score = split_sum(scores.x + scores.y + scores.z + scores.w);
        const float dp = split_sum(weights.x + weights.y + weights.z + weights.w);
        const bool seen = i >= row && i < my_end;
        const float p = seen ? exp(score - lse[place]) : 0.0;
        const float ds = p * (dp - delta[place]) * scale;
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            value_sum[d] += p * dout_nth(query + PART(d) + AGAIN(i));
            key_sum[d] += ds * q_nth(query + PART(d) + AGAIN(i));
        }
        h++;
        i += h == group ? 1 : 0;
        h = h == group ? 0 : h;
    }
    if (row < rows) {
        const uint out_at = part * rows * kv_heads * (DIM / 4) + mine;
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            if (HOLDS(d)) {
                dk_put(out_at + PART(d), key_sum[d]);
                dv_put(out_at + PART(d), value_sum[d]);
            }
        }
    }
}
