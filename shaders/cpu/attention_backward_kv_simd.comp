// attention_backward_kv.comp for drivers that run shaders on the CPU: the lanes load the queries
// and their output gradients together and pass them to each other. Each lane holds PER_LANE keys
// (see attention_simd.comp).
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require

layout(local_size_x_id = 2) in; // the subgroup's size
#include "grid.glsl"

layout(constant_id = 1) const uint DIM = 64;
layout(constant_id = 3) const uint PER_LANE = 4; // keys of a lane
const uint QUADS = DIM / 4;
const uint LANES = gl_WorkGroupSize.x;
const uint SHARE = (QUADS + LANES - 1) / LANES; // quads of a row that one lane loads

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

void main()
{
    const uint lane = gl_SubgroupInvocationID;
    const uint kv_head = workgroup_index() % kv_heads, group = heads / kv_heads;
    const uint first_row = workgroup_index() / kv_heads * LANES * PER_LANE;

    uint my_row[PER_LANE], my_end[PER_LANE];
    vec4 key[PER_LANE * QUADS], value[PER_LANE * QUADS];
    vec4 key_sum[PER_LANE * QUADS], value_sum[PER_LANE * QUADS];
    uint to = 0;
    [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
        my_row[r] = min(first_row + r * LANES + lane, rows - 1);
        my_end[r] = end[my_row[r]];
        to = max(to, my_end[r]);
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            const uint at = (my_row[r] * kv_heads + kv_head) * QUADS + d;
            key[r * QUADS + d] = scale * k[at];
            value[r * QUADS + d] = v[at];
            key_sum[r * QUADS + d] = vec4(0);
            value_sum[r * QUADS + d] = vec4(0);
        }
    }
    to = subgroupMax(to);

    // Query i of head kv_head * group + h is number i * group + h.
    for (uint number = first_row * group; number < to * group; number++) {
        const uint i = number / group;
        const uint place = i * heads + kv_head * group + number % group;
        const float query_lse = lse[place], query_delta = delta[place];
        vec4 query_share[SHARE], grad_share[SHARE];
        float score[PER_LANE], dp[PER_LANE], p[PER_LANE];
        [[unroll]] for (uint s = 0; s < SHARE; s++) {
            query_share[s] = q[place * QUADS + min(s * LANES + lane, QUADS - 1)];
            grad_share[s] = dout[place * QUADS + min(s * LANES + lane, QUADS - 1)];
        }
        [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
            score[r] = dp[r] = 0;
        }
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            const vec4 q4 = subgroupShuffle(query_share[d / LANES], d % LANES);
            const vec4 g4 = subgroupShuffle(grad_share[d / LANES], d % LANES);
            [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
                score[r] += dot(key[r * QUADS + d], q4);
                dp[r] += dot(value[r * QUADS + d], g4);
            }
        }
        [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
            const bool seen = i >= my_row[r] && i < my_end[r];
            p[r] = seen ? exp(score[r] - query_lse) : 0.0;
            dp[r] = p[r] * (dp[r] - query_delta) * scale; // now ds
        }
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            const vec4 q4 = subgroupShuffle(query_share[d / LANES], d % LANES);
            const vec4 g4 = subgroupShuffle(grad_share[d / LANES], d % LANES);
            [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
                value_sum[r * QUADS + d] = fma(vec4(p[r]), g4, value_sum[r * QUADS + d]);
                key_sum[r * QUADS + d] = fma(vec4(dp[r]), q4, key_sum[r * QUADS + d]);
            }
        }
    }
    [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
        if (first_row + r * LANES + lane < rows) {
            [[unroll]] for (uint d = 0; d < QUADS; d++) {
                const uint at = (my_row[r] * kv_heads + kv_head) * QUADS + d;
                dk[at] = key_sum[r * QUADS + d];
                dv[at] = value_sum[r * QUADS + d];
            }
        }
    }
}
