// dq = scale * sum over keys of p (dout.v - delta) k, p = exp(scale q.k - lse): one invocation a
// query row and head, 64 neighbouring rows a workgroup, walking the keys as attention.comp does.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
layout(local_size_x = 64) in;
#include "grid.glsl"

layout(constant_id = 1) const uint DIM = 64;
const uint QUADS = DIM / 4;

layout(binding = 0) readonly buffer Q { vec4 q[]; };           // [rows, heads, dim]
layout(binding = 1) readonly buffer K { vec4 k[]; };           // [rows, kv_heads, dim]
layout(binding = 2) readonly buffer V { vec4 v[]; };           // [rows, kv_heads, dim]
layout(binding = 3) readonly buffer Dout { vec4 dout[]; };     // [rows, heads, dim]
layout(binding = 4) readonly buffer Lse { float lse[]; };      // [rows, heads]
layout(binding = 5) readonly buffer Delta { float delta[]; };  // [rows, heads]
layout(binding = 6) readonly buffer First { uint first[]; };   // [rows]
layout(binding = 7) writeonly buffer Dq { vec4 dq[]; };        // [rows, heads, dim]
layout(push_constant) uniform Scalars { uint rows, heads, kv_heads; float scale; };

shared uint from; // the first key that some row of this workgroup sees

void main()
{
    const uint me = gl_LocalInvocationID.x;
    const uint head = workgroup_index() % heads;
    const uint first_row = workgroup_index() / heads * 64, row = first_row + me;
    const uint safe_row = min(row, rows - 1);
    const uint my_first = first[safe_row];

    if (me == 0) {
        from = my_first;
    }
    barrier();
    atomicMin(from, my_first);
    barrier();
    const uint to = min(first_row + 63, rows - 1); // the last row sees itself

    vec4 query[QUADS], grad[QUADS], sum[QUADS];
    const uint mine = (safe_row * heads + head) * QUADS;
    [[unroll]] for (uint d = 0; d < QUADS; d++) {
        query[d] = scale * q[mine + d];
        grad[d] = dout[mine + d];
        sum[d] = vec4(0);
    }
    const float my_lse = lse[safe_row * heads + head], my_delta = delta[safe_row * heads + head];
    const uint kv_head = head / (heads / kv_heads);
    for (uint j = from; j <= to; j++) {
        const uint key = (j * kv_heads + kv_head) * QUADS;
        vec4 scores = vec4(0), weights = vec4(0);
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            scores += query[d] * k[key + d];
            weights += grad[d] * v[key + d];
        }
        const float score = scores.x + scores.y + scores.z + scores.w;
        const float dp = weights.x + weights.y + weights.z + weights.w;
        const bool sees = j >= my_first && j <= row;
        const float ds = sees ? exp(score - my_lse) * (dp - my_delta) * scale : 0.0;
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            sum[d] += ds * k[key + d];
        }
    }
    if (row < rows) {
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            dq[mine + d] = sum[d];
        }
    }
}
