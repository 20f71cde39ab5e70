// Causal attention with an online softmax (Milakov, Gimelshein 2018; Dao et al. 2022): one
// invocation holds one query row of one head with its output in registers and walks the keys.
// The queries of one key head are numbered row by row, row * group + head within the group (group:
// the heads that share the key). A workgroup takes LANES neighbours, so all of its invocations read
// the same key at the same time; each ignores keys outside its own first .. last.
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

layout(binding = 0) readonly buffer Q { vec4 q[]; };         // [rows, heads, dim]
layout(binding = 1) readonly buffer K { vec4 k[]; };         // [kv_rows, kv_heads, dim]
layout(binding = 2) readonly buffer V { vec4 v[]; };         // [kv_rows, kv_heads, dim]
layout(binding = 3) readonly buffer First { uint first[]; }; // [rows]
layout(binding = 4) readonly buffer Last { uint last[]; };   // [rows]
layout(binding = 5) writeonly buffer O { vec4 o[]; };        // [rows, heads, dim]
layout(binding = 6) writeonly buffer Lse { float lse[]; };   // [rows, heads]
layout(push_constant) uniform Scalars { uint rows, kv_rows, heads, kv_heads; float scale; };

shared uint from, to; // the keys that some row of this workgroup sees

void main()
{
    const uint me = LANE;
    const uint kv_head = workgroup_index() % kv_heads, group = heads / kv_heads;
    const uint number = workgroup_index() / kv_heads * LANES + me;
    const uint index = min(number, rows * group - 1); // beyond the end: the last one once more
    const uint row = index / group, head = kv_head * group + index % group;
    const uint my_first = first[row], my_last = last[row];

    if (gl_LocalInvocationIndex == 0) {
        from = my_first;
        to = my_last;
    }
    barrier();
    atomicMin(from, my_first, gl_ScopeWorkgroup, gl_StorageSemanticsNone, gl_SemanticsRelaxed);
    atomicMax(to, my_last, gl_ScopeWorkgroup, gl_StorageSemanticsNone, gl_SemanticsRelaxed);
    barrier();

    vec4 query[QUADS], sum[QUADS];
    [[unroll]] for (uint d = 0; d < QUADS; d++) {
        query[d] = scale * q[(row * heads + head) * (DIM / 4) + PART(d)];
        sum[d] = vec4(0);
    }
    float largest = -1e30, total = 0;
    for (uint j = from; j <= to; j++) {
        const uint key = (j * kv_heads + kv_head) * (DIM / 4);
        vec4 products = vec4(0);
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            products += query[d] * k[key + PART(d)];
        }
        const float score = split_sum(products.x + products.y + products.z + products.w);
        const bool sees = j >= my_first && j <= my_last;
        const float raised = sees ? max(largest, score) : largest;
        const float shrink = exp(largest - raised);
        const float weight = sees ? exp(score - raised) : 0.0;
        total = total * shrink + weight;
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            sum[d] = sum[d] * shrink + weight * v[key + PART(d)];
        }
        largest = raised;
    }
    if (number < rows * group) {
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            o[(row * heads + head) * (DIM / 4) + PART(d)] = sum[d] / total;
        }
        if (PART(0) == 0) {
            lse[row * heads + head] = largest + log(total);
        }
    }
}
