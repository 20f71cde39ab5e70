// attention.comp for drivers that run shaders on the CPU (llvmpipe, SwiftShader), where a load
// costs as much as thirty multiply-adds and passing a value between lanes costs one or two (see
// gemm_simd.comp). So the lanes of a subgroup load a key together, each a part of it, and pass the
// parts to each other. Each lane holds PER_LANE queries, so that a loaded key is used often.
//
// The queries of one key head are numbered row by row: row * group + head within the group, where a
// group is the heads that share the key. A workgroup takes LANES * PER_LANE of them. Keys are taken
// in blocks of KEYS, with one step of the online softmax for each block.
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
const uint KEYS = 4;

ACT_READ(0, q)                                               // [rows, heads, dim]
ACT_READ(1, k)                                               // [kv_rows, kv_heads, dim]
ACT_READ(2, v)                                               // [kv_rows, kv_heads, dim]
layout(binding = 3) readonly buffer First { uint first[]; }; // [rows]
layout(binding = 4) readonly buffer Last { uint last[]; };   // [rows]
ACT_WRITE(5, o)                                              // [rows, heads, dim]
layout(binding = 6) writeonly buffer Lse { float lse[]; };   // [rows, heads]
layout(push_constant) uniform Scalars { uint rows, kv_rows, heads, kv_heads; float scale; };

void main()
{
    const uint lane = gl_SubgroupInvocationID;
    const uint kv_head = workgroup_index() % kv_heads, group = heads / kv_heads;
    const uint begin = workgroup_index() / kv_heads * LANES * PER_LANE + lane;

    // [r]: the lane's r-th query
    uint place[PER_LANE], my_first[PER_LANE], my_last[PER_LANE];
    vec4 query[PER_LANE * QUADS], sum[PER_LANE * QUADS];
    float largest[PER_LANE], total[PER_LANE];
    uint from = 0xFFFFFFFFu, to = 0;
    [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
        const uint index = min(begin + r * LANES, rows * group - 1);
        place[r] = index / group * heads + kv_head * group + index % group;
        my_first[r] = first[index / group];
        my_last[r] = last[index / group];
        from = min(from, my_first[r]);
        to = max(to, my_last[r]);
        largest[r] = -1e30;
        total[r] = 0;
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            query[r * QUADS + d] = scale * q_nth(place[r] * QUADS + d);
            sum[r * QUADS + d] = vec4(0);
        }
    }
    from = subgroupMin(from);
    to = subgroupMax(to);

    for (uint j = from; j <= to; j += KEYS) {
        vec4 share[KEYS * SHARE];
        float score[PER_LANE * KEYS], shrink[PER_LANE];
        [[unroll]] for (uint i = 0; i < KEYS * SHARE; i++) {
            const uint key = min(j + i / SHARE, to) * kv_heads + kv_head;
            share[i] = k_nth(key * QUADS + min(i % SHARE * LANES + lane, QUADS - 1));
        }
        [[unroll]] for (uint i = 0; i < PER_LANE * KEYS; i++) {
            score[i] = 0;
        }
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            [[unroll]] for (uint b = 0; b < KEYS; b++) {
                const vec4 key = subgroupShuffle(share[b * SHARE + d / LANES], d % LANES);
                [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
                    const vec4 mine = query[r * QUADS + d];
                    float s = score[r * KEYS + b];
                    s = fma(mine.x, key.x, s);
                    s = fma(mine.y, key.y, s);
                    s = fma(mine.z, key.z, s);
                    score[r * KEYS + b] = fma(mine.w, key.w, s);
                }
            }
        }
        [[unroll]] for (uint i = 0; i < KEYS * SHARE; i++) { // now the values
            const uint key = min(j + i / SHARE, to) * kv_heads + kv_head;
            share[i] = v_nth(key * QUADS + min(i % SHARE * LANES + lane, QUADS - 1));
        }
        [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
            float raised = largest[r];
            [[unroll]] for (uint b = 0; b < KEYS; b++) {
                const bool sees = j + b >= my_first[r] && j + b <= my_last[r];
                score[r * KEYS + b] = sees ? score[r * KEYS + b] : -2e30;
                raised = max(raised, score[r * KEYS + b]);
            }
            shrink[r] = exp(largest[r] - raised);
            largest[r] = raised;
            total[r] *= shrink[r];
            [[unroll]] for (uint b = 0; b < KEYS; b++) {
                const float weight = exp(score[r * KEYS + b] - raised);
                score[r * KEYS + b] = weight; // now a weight
                total[r] += weight;
            }
        }
        [[unroll]] for (uint d = 0; d < QUADS; d++) {
            [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
                sum[r * QUADS + d] *= shrink[r];
            }
            [[unroll]] for (uint b = 0; b < KEYS; b++) {
                const vec4 value = subgroupShuffle(share[b * SHARE + d / LANES], d % LANES);
                [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
                    sum[r * QUADS + d] =
                        fma(vec4(score[r * KEYS + b]), value, sum[r * QUADS + d]);
                }
            }
        }
    }
    [[unroll]] for (uint r = 0; r < PER_LANE; r++) {
        if (begin + r * LANES < rows * group) {
            [[unroll]] for (uint d = 0; d < QUADS; d++) {
                o_put(place[r] * QUADS + d, sum[r * QUADS + d] / total[r]);
            }
            lse[place[r]] = largest[r] + log(total[r]);
        }
    }
}
