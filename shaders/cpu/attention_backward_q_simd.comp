// attention_backward_q.comp for drivers that run shaders on the CPU: the lanes load keys and values
// together and pass them to each other. Each lane holds PER_LANE queries (see attention_simd.comp).
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
layout(constant_id = 3) const uint PER_LANE = 4; // queries of a lane
const uint QUADS = DIM / 4;
const uint LANES = gl_WorkGroupSize.x;
const uint SHARE = (QUADS + LANES - 1) / LANES; // quads of a row that one lane loads

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

void main()
{
    const uint lane = gl_SubgroupInvocationID;
    const uint kv_head = workgroup_index() % kv_heads, group = heads / kv_heads;
    const uint begin = workgroup_index() / kv_heads * LANES * PER_LANE + lane;

    uint place[PER_LANE], my_row[PER_LANE], my_first[PER_LANE];
    vec4 query[PER_LANE * QUADS], grad[PER_LANE * QUADS], sum[PER_LANE * QUADS];
    float my_lse[PER_LANE], my_delta[PER_LANE];
    uint from = 0xFFFFFFFFu, to = 0;
    [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
        const uint index = min(begin + r * LANES, rows * group - 1);
        place[r] = index / group * heads + kv_head * group + index % group;
        my_row[r] = index / group;
        my_first[r] = first[my_row[r]];
        my_lse[r] = lse[place[r]];
        my_delta[r] = 0;
        from = min(from, my_first[r]);
        to = max(to, my_row[r]);
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            query[r * QUADS + d] = scale * q_nth(place[r] * QUADS + d);
            grad[r * QUADS + d] = dout_nth(place[r] * QUADS + d);
            my_delta[r] += dot(grad[r * QUADS + d], o_nth(place[r] * QUADS + d));
            sum[r * QUADS + d] = vec4(0);
        }
    }
    from = subgroupMin(from);
    to = subgroupMax(to);

    for (uint j = from; j <= to; j++) {
        const uint key = (j * kv_heads + kv_head) * QUADS;
        vec4 key_share[SHARE], value_share[SHARE];
        float ds[PER_LANE], score[PER_LANE], dp[PER_LANE];
        [[unroll]] for (uint i = 0; i < SHARE; i++) {
            key_share[i] = k_nth(key + min(i * LANES + lane, QUADS - 1));
            value_share[i] = v_nth(key + min(i * LANES + lane, QUADS - 1));
        }
        [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
            score[r] = dp[r] = 0;
        }
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            const vec4 k4 = subgroupShuffle(key_share[d / LANES], d % LANES);
            const vec4 v4 = subgroupShuffle(value_share[d / LANES], d % LANES);
            [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
                score[r] += dot(query[r * QUADS + d], k4);
                dp[r] += dot(grad[r * QUADS + d], v4);
            }
        }
        [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
            const bool sees = j >= my_first[r] && j <= my_row[r];
            ds[r] = sees ? exp(score[r] - my_lse[r]) * (dp[r] - my_delta[r]) * scale : 0.0;
        }
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            const vec4 k4 = subgroupShuffle(key_share[d / LANES], d % LANES);
            [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
                sum[r * QUADS + d] = fma(vec4(ds[r]), k4, sum[r * QUADS + d]);
            }
        }
    }
    [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
        if (begin + r * LANES < rows * group) {
            delta[place[r]] = my_delta[r];
            [[unroll]] for (uint d = 0; d < QUADS; d++) {
                dq_put(place[r] * QUADS + d, sum[r * QUADS + d]);
            }
        }
    }
}
