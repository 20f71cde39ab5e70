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
#include "act.glsl"

layout(constant_id = 1) const uint DIM = 64;
layout(constant_id = 3) const uint PER_LANE = 4; // keys of a lane
const uint QUADS = DIM / 4;
const uint LANES = gl_WorkGroupSize.x;
const uint SHARE = (QUADS + LANES - 1) / LANES; // quads of a row that one lane loads

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

void main()
{
    const uint lane = gl_SubgroupInvocationID;
    const uint kv_head = workgroup_index() % kv_heads, group = heads / kv_heads;
    const uint part = workgroup_index() / kv_heads % parts;
    const uint first_row = workgroup_index() / kv_heads / parts * LANES * PER_LANE;

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
            key[r * QUADS + d] = scale * k_nth(at);
            value[r * QUADS + d] = v_nth(at);
            key_sum[r * QUADS + d] = vec4(0);
            value_sum[r * QUADS + d] = vec4(0);
        }
    }
    to = subgroupMax(to);

    // Query i of head kv_head * group + h is number i * group + h.
    const uint lower = rows * group / parts * part, upper = rows * group / parts * (part + 1);
    const uint behind = part + 1 < parts ? min(to * group, upper) : to * group;
    for (uint number = max(first_row * group, lower); number < behind; number++) {
        const uint i = number / group;
        const uint place = i * heads + kv_head * group + number % group;
        const float query_lse = lse[place], query_delta = delta[place];
        vec4 query_share[SHARE], grad_share[SHARE];
        float score[PER_LANE], dp[PER_LANE], p[PER_LANE];
        [[unroll]] for (uint s = 0; s < SHARE; s++) {
            query_share[s] = q_nth(place * QUADS + min(s * LANES + lane, QUADS - 1));
            grad_share[s] = dout_nth(place * QUADS + min(s * LANES + lane, QUADS - 1));
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
                const uint at = ((part * rows + my_row[r]) * kv_heads + kv_head) * QUADS + d;
                dk_put(at, key_sum[r * QUADS + d]);
                dv_put(at, value_sum[r * QUADS + d]);
            }
        }
    }
}
