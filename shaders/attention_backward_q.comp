// delta = dout.o, which attention_backward_kv reads, and dq = scale * sum over keys of
// p (dout.v - delta) k with p = exp(scale q.k - lse). One invocation holds PER_LANE query rows of
// one head. Query rows are numbered as in attention.comp, and an invocation walks along the keys as
// there.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_memory_scope_semantics : require // atomics of the workgroup, not the device
#include "split.glsl"
#include "grid.glsl"
#include "act.glsl"

layout(constant_id = 1) const uint DIM = 64;
layout(constant_id = 3) const uint PER_LANE = 1; // query rows of an invocation

ACT_READ(0, q)                                                 // [rows, heads, dim]
ACT_READ(1, k)                                                 // [rows, kv_heads, dim]
ACT_READ(2, v)                                                 // [rows, kv_heads, dim]
ACT_READ(3, dout)                                              // [rows, heads, dim]
layout(binding = 4) readonly buffer Lse { float lse[]; };      // [rows, heads]
ACT_READ(5, o)                                                 // [rows, heads, dim]
layout(binding = 6) readonly buffer First { uint first[]; };   // [rows]
ACT_WRITE(7, dq)                                               // [rows, heads, dim]
layout(binding = 8) writeonly buffer Delta { float delta[]; }; // [rows, heads]
layout(push_constant) uniform Scalars { uint rows, heads, kv_heads; float scale; };

shared uint from, to; // the keys that some row of this workgroup sees

vec4 read_query(uint place, uint d, uint again)
{
    return HOLDS(d) ? scale * q_nth(place * (DIM / 4) + PART(d) + again) : vec4(0);
}

vec4 read_grad(uint place, uint d, uint again)
{
    return HOLDS(d) ? dout_nth(place * (DIM / 4) + PART(d) + again) : vec4(0);
}

void main()
{
    const uint kv_head = workgroup_index() % kv_heads, group = heads / kv_heads;
    const uint begin = workgroup_index() / kv_heads * LANES * PER_LANE + LANE;

    uint place[PER_LANE], my_row[PER_LANE], my_first[PER_LANE];
    uint first_key = 0xFFFFFFFFu, last_key = 0;
    [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
        const uint index = min(begin + r * LANES, rows * group - 1); // past the end: the last again
        place[r] = index / group * heads + kv_head * group + index % group;
        my_row[r] = index / group;
        my_first[r] = first[my_row[r]];
        first_key = min(first_key, my_first[r]);
        last_key = max(last_key, my_row[r]);
    }
    if (gl_LocalInvocationIndex == 0) {
        from = first_key;
        to = last_key;
    }
    barrier();
    atomicMin(from, first_key, gl_ScopeWorkgroup, gl_StorageSemanticsNone, gl_SemanticsRelaxed);
    atomicMax(to, last_key, gl_ScopeWorkgroup, gl_StorageSemanticsNone, gl_SemanticsRelaxed);
    barrier();

    vec4 query[PER_LANE * QUADS], grad[PER_LANE * QUADS], sum[PER_LANE * QUADS];
    float my_lse[PER_LANE], my_delta[PER_LANE];
    [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
        my_lse[r] = lse[place[r]];
        vec4 products = vec4(0);
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            const uint at = place[r] * (DIM / 4) + PART(d);
            query[r * QUADS + d] = read_query(place[r], d, 0);
            grad[r * QUADS + d] = read_grad(place[r], d, 0);
            products += grad[r * QUADS + d] * o_nth(at);
            sum[r * QUADS + d] = vec4(0);
        }
        my_delta[r] = split_sum(products.x + products.y + products.z + products.w);
    }
    const uint end = to; // reads shared memory once
    for (uint j = from; j <= end; j++) {
        const uint key = (j * kv_heads + kv_head) * (DIM / 4);
        // All rows use one quad of the key and value before they use the next. So the compiler may
        // hold as few quads at a time as it has registers for.
        float scores[PER_LANE], weights[PER_LANE], ds[PER_LANE];
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            const vec4 key_quad = k_nth(key + PART(d)), value_quad = v_nth(key + PART(d));
            [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
                const uint at = r * QUADS + d, again = AGAIN(j);
                const vec4 my_query = HELD != 0 ? query[at] : read_query(place[r], d, again);
                const vec4 my_grad = HELD != 0 ? grad[at] : read_grad(place[r], d, again);
                scores[r] = (d == 0 ? 0.0 : scores[r]) + dot(my_query, key_quad);
                weights[r] = (d == 0 ? 0.0 : weights[r]) + dot(my_grad, value_quad);
            }
        }
        [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
            const float score = split_sum(scores[r]), dp = split_sum(weights[r]);
            const bool sees = j >= my_first[r] && j <= my_row[r];
            ds[r] = sees ? exp(score - my_lse[r]) * (dp - my_delta[r]) * scale : 0.0;
        }
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            const vec4 key_quad = k_nth(key + PART(d) + AGAIN(j));
            [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
                sum[r * QUADS + d] += ds[r] * key_quad;
            }
        }
    }
    [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
        if (begin + r * LANES < rows * group) {
            if (IS_FIRST) {
                delta[place[r]] = my_delta[r];
            }
            [[unroll]] for (uint d = 0; d < QUADS; d++) {
                if (HOLDS(d)) {
                    dq_put(place[r] * (DIM / 4) + PART(d), sum[r * QUADS + d]);
                }
            }
        }
    }
}
