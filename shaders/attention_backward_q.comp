// dq = scale * sum over keys of p (dout.v - delta) k, p = exp(scale q.k - lse): one invocation a
// query row and head, numbered and walking the keys as in attention.comp.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_memory_scope_semantics : require // atomics of the workgroup, not the device
#ifdef SPLIT
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "split.glsl"
#include "grid.glsl"

layout(constant_id = 1) const uint DIM = 64;

layout(binding = 0) readonly buffer Q { vec4 q[]; };           // [rows, heads, dim]
layout(binding = 1) readonly buffer K { vec4 k[]; };           // [rows, kv_heads, dim]
layout(binding = 2) readonly buffer V { vec4 v[]; };           // [rows, kv_heads, dim]
layout(binding = 3) readonly buffer Dout { vec4 dout[]; };     // [rows, heads, dim]
layout(binding = 4) readonly buffer Lse { float lse[]; };      // [rows, heads]
layout(binding = 5) readonly buffer Delta { float delta[]; };  // [rows, heads]
layout(binding = 6) readonly buffer First { uint first[]; };   // [rows]
layout(binding = 7) writeonly buffer Dq { vec4 dq[]; };        // [rows, heads, dim]
layout(push_constant) uniform Scalars { uint rows, heads, kv_heads; float scale; };

shared uint from, to; // the keys that some row of this workgroup sees

void main()
{
    const uint me = LANE;
    const uint kv_head = workgroup_index() % kv_heads, group = heads / kv_heads;
    const uint number = workgroup_index() / kv_heads * LANES + me;
    const uint index = min(number, rows * group - 1); // beyond the end: the last one once more
    const uint row = index / group, head = kv_head * group + index % group;
    const uint my_first = first[row];

    if (gl_LocalInvocationIndex == 0) {
        from = my_first;
        to = row;
    }
    barrier();
    atomicMin(from, my_first, gl_ScopeWorkgroup, gl_StorageSemanticsNone, gl_SemanticsRelaxed);
    atomicMax(to, row, gl_ScopeWorkgroup, gl_StorageSemanticsNone, gl_SemanticsRelaxed);
    barrier();

    vec4 query[QUADS], grad[QUADS], sum[QUADS];
    const uint mine = (row * heads + head) * (DIM / 4);
    [[unroll]] for (uint d = 0; d < QUADS; d++) {
        query[d] = scale * q[mine + PART(d)];
        grad[d] = dout[mine + PART(d)];
        sum[d] = vec4(0);
    }
    const float my_lse = lse[row * heads + head], my_delta = delta[row * heads + head];
    for (uint j = from; j <= to; j++) {
        const uint key = (j * kv_heads + kv_head) * (DIM / 4);
        vec4 scores = vec4(0), weights = vec4(0);
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            scores += query[d] * k[key + PART(d)];
            weights += grad[d] * v[key + PART(d)];
        }
        const float score = split_sum(scores.x + scores.y + scores.z + scores.w);
        const float dp = split_sum(weights.x + weights.y + weights.z + weights.w);
        const bool sees = j >= my_first && j <= row;
        const float ds = sees ? exp(score - my_lse) * (dp - my_delta) * scale : 0.0;
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            sum[d] += ds * k[key + PART(d)];
        }
    }
    if (number < rows * group) {
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            dq[mine + PART(d)] = sum[d];
        }
    }
}
