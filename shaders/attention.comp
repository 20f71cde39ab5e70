// Causal attention with an online softmax (Milakov, Gimelshein 2018; Dao et al. 2022): one
// invocation keeps PER_LANE query rows of one head and their outputs in registers and walks along
// the keys. With SPLIT, several invocations of a subgroup do so together (include/split.glsl). The
// queries of one key head are numbered row by row: row * group + head within the group, where a
// group is the heads that share the key. A workgroup takes LANES * PER_LANE neighbours, so all of
// its invocations read the same key at the same time. Each ignores keys outside its own
// first .. last.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_memory_scope_semantics : require // atomics of the workgroup, not the device
#include "split.glsl"
#include "grid.glsl"
#include "act.glsl"

layout(constant_id = 1) const uint DIM = 64;
layout(constant_id = 3) const uint PER_LANE = 1; // query rows of an invocation

ACT_READ(0, q)                                               // [rows, heads, dim]
ACT_READ(1, k)                                               // [kv_rows, kv_heads, dim]
ACT_READ(2, v)                                               // [kv_rows, kv_heads, dim]
layout(binding = 3) readonly buffer First { uint first[]; }; // [rows]
layout(binding = 4) readonly buffer Last { uint last[]; };   // [rows]
ACT_WRITE(5, o)                                              // [rows, heads, dim]
layout(binding = 6) writeonly buffer Lse { float lse[]; };   // [rows, heads]
layout(push_constant) uniform Scalars { uint rows, kv_rows, heads, kv_heads; float scale; };

shared uint from, to; // the keys that some row of this workgroup sees

vec4 read_query(uint place, uint d, uint again)
{
    return HOLDS(d) ? scale * q_nth(place * (DIM / 4) + PART(d) + again) : vec4(0);
}

void main()
{
    const uint kv_head = workgroup_index() % kv_heads, group = heads / kv_heads;
    const uint begin = workgroup_index() / kv_heads * LANES * PER_LANE + LANE;

    uint place[PER_LANE], my_first[PER_LANE], my_last[PER_LANE]; // place: row * heads + head
    uint first_key = 0xFFFFFFFFu, last_key = 0;
    [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
        const uint index = min(begin + r * LANES, rows * group - 1); // past the end: the last again
        place[r] = index / group * heads + kv_head * group + index % group;
        my_first[r] = first[index / group];
        my_last[r] = last[index / group];
        first_key = min(first_key, my_first[r]);
        last_key = max(last_key, my_last[r]);
    }
    if (gl_LocalInvocationIndex == 0) {
        from = first_key;
        to = last_key;
    }
    barrier();
    atomicMin(from, first_key, gl_ScopeWorkgroup, gl_StorageSemanticsNone, gl_SemanticsRelaxed);
    atomicMax(to, last_key, gl_ScopeWorkgroup, gl_StorageSemanticsNone, gl_SemanticsRelaxed);
    barrier();

    vec4 query[PER_LANE * QUADS], sum[PER_LANE * QUADS];
    float largest[PER_LANE], total[PER_LANE];
    [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
        largest[r] = -1e30;
        total[r] = 0;
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            query[r * QUADS + d] = read_query(place[r], d, 0);
            sum[r * QUADS + d] = vec4(0);
        }
    }
    const uint end = to; // reads shared memory once
    for (uint j = from; j <= end; j++) {
        const uint key = (j * kv_heads + kv_head) * (DIM / 4);
        // All rows use one quad of the key, and later of the value, before they use the next. So
        // the compiler may hold as few quads at a time as it has registers for.
        float scores[PER_LANE], weight[PER_LANE], shrink[PER_LANE];
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            const vec4 quad = k_nth(key + PART(d));
            [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
                const uint at = r * QUADS + d, again = AGAIN(j);
                const vec4 mine = HELD != 0 ? query[at] : read_query(place[r], d, again);
                scores[r] = (d == 0 ? 0.0 : scores[r]) + dot(mine, quad);
            }
        }
        [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
            const float score = split_sum(scores[r]);
            const bool sees = j >= my_first[r] && j <= my_last[r];
            const float raised = sees ? max(largest[r], score) : largest[r];
            shrink[r] = exp(largest[r] - raised);
            weight[r] = sees ? exp(score - raised) : 0.0;
            total[r] = total[r] * shrink[r] + weight[r];
            largest[r] = raised;
        }
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            const vec4 quad = v_nth(key + PART(d));
            [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
                sum[r * QUADS + d] = sum[r * QUADS + d] * shrink[r] + weight[r] * quad;
            }
        }
    }
    [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
        if (begin + r * LANES < rows * group) {
            [[unroll]] for (uint d = 0; d < QUADS; d++) {
                if (HOLDS(d)) {
                    o_put(place[r] * (DIM / 4) + PART(d), sum[r * QUADS + d] / total[r]);
                }
            }
            if (IS_FIRST) {
                lse[place[r]] = largest[r] + log(total[r]);
            }
        }
    }
}
