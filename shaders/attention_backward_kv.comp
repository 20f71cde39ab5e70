// dk and dv: one invocation computes those of one key row and key head. It walks along the query
// rows that see the key, for every head that shares it. With SPLIT, several invocations of a
// subgroup do so together (include/split.glsl). A workgroup takes LANES neighbouring keys, so all
// of its invocations read the same query at the same time.
//     p = exp(scale q.k - lse);  dv += p dout;  dk += scale p (dout.v - delta) q
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_memory_scope_semantics : require // atomics of the workgroup, not the device
#include "split.glsl"
#include "grid.glsl"

layout(constant_id = 1) const uint DIM = 64;

layout(binding = 0) readonly buffer Q { vec4 q[]; };           // [rows, heads, dim]
layout(binding = 1) readonly buffer K { vec4 k[]; };           // [rows, kv_heads, dim]
layout(binding = 2) readonly buffer V { vec4 v[]; };           // [rows, kv_heads, dim]
layout(binding = 3) readonly buffer Dout { vec4 dout[]; };     // [rows, heads, dim]
layout(binding = 4) readonly buffer Lse { float lse[]; };      // [rows, heads]
layout(binding = 5) readonly buffer Delta { float delta[]; };  // [rows, heads]
layout(binding = 6) readonly buffer End { uint end[]; };       // [rows], one past the sequence
layout(binding = 7) writeonly buffer Dk { vec4 dk[]; };        // [rows, kv_heads, dim]
layout(binding = 8) writeonly buffer Dv { vec4 dv[]; };        // [rows, kv_heads, dim]
layout(push_constant) uniform Scalars { uint rows, heads, kv_heads; float scale; };

shared uint to; // one past the last query that sees some key of this workgroup

vec4 read_key(uint mine, uint d, uint again)
{
    return HOLDS(d) ? scale * k[mine + PART(d) + again] : vec4(0);
}

vec4 read_value(uint mine, uint d, uint again)
{
    return HOLDS(d) ? v[mine + PART(d) + again] : vec4(0);
}

void main()
{
    const uint me = LANE;
    const uint kv_head = workgroup_index() % kv_heads;
    const uint first_row = workgroup_index() / kv_heads * LANES, row = first_row + me;
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
    const uint group = heads / kv_heads, behind = to; // reads shared memory once
    for (uint i = first_row; i < behind; i++) {
        for (uint head = kv_head * group; head < (kv_head + 1) * group; head++) {
            const uint query = (i * heads + head) * (DIM / 4);
            vec4 scores = vec4(0), weights = vec4(0);
            [[unroll]] for (uint d = 0; d < QUADS; d++) {
                const vec4 my_key = HELD != 0 ? key[d] : read_key(mine, d, AGAIN(i));
                const vec4 my_value = HELD != 0 ? value[d] : read_value(mine, d, AGAIN(i));
                scores += my_key * q[query + PART(d)];
                weights += my_value * dout[query + PART(d)];
            }
            const float score = split_sum(scores.x + scores.y + scores.z + scores.w);
            const float dp = split_sum(weights.x + weights.y + weights.z + weights.w);
            const bool seen = i >= row && i < my_end;
            const float p = seen ? exp(score - lse[i * heads + head]) : 0.0;
            const float ds = p * (dp - delta[i * heads + head]) * scale;
            [[unroll]] for (uint d = 0; d < QUADS; d++) {
                value_sum[d] += p * dout[query + PART(d) + AGAIN(i)];
                key_sum[d] += ds * q[query + PART(d) + AGAIN(i)];
            }
        }
    }
    if (row < rows) {
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            if (HOLDS(d)) {
                dk[mine + PART(d)] = key_sum[d];
                dv[mine + PART(d)] = value_sum[d];
            }
        }
    }
}
