// Attention of rows that share no keys: each is the newest token of its own sequence, whose keys
// and values lie in a cache. One workgroup computes one row of one head. It takes the keys CHUNK at
// a time. First its invocations divide the chunk's keys among them and compute the scores. Then
// each takes one quad of the output and every PARTS-th key for the weighted sum, with an online
// softmax of its own (Milakov, Gimelshein 2018). The parts are added up once, at the end, so that
// few barriers are needed.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#define THREADS 64
layout(local_size_x = THREADS) in;
#include "grid.glsl"
#include "act.glsl"

layout(constant_id = 1) const uint DIM = 64;
const uint QUADS = DIM / 4;         // at most THREADS
const uint PARTS = THREADS / QUADS; // invocations that share one quad of the output
const uint CHUNK = 4 * THREADS;
const uint KEYS = 4; // whose values an invocation loads at once
const uint STEP = QUADS % 4 == 0 ? 4 : QUADS % 2 == 0 ? 2 : 1; // quads of a key

ACT_READ(0, q)                                               // [rows, heads, dim]
ACT_READ(1, k)                                               // [kv_rows, kv_heads, dim]
ACT_READ(2, v)                                               // [kv_rows, kv_heads, dim]
layout(binding = 3) readonly buffer First { uint first[]; }; // [rows]
layout(binding = 4) readonly buffer Last { uint last[]; };   // [rows]
ACT_WRITE(5, o)                                              // [rows, heads, dim]
layout(push_constant) uniform Scalars { uint rows, kv_rows, heads, kv_heads; float scale; };

shared vec4 query[THREADS];
shared float scores[CHUNK];
shared vec4 sums[THREADS];
shared vec2 scales[THREADS]; // largest score, sum of exp(score - largest)

void main()
{
    const uint me = gl_LocalInvocationID.x;
    const uint row = workgroup_index() / heads, head = workgroup_index() % heads;
    if (row >= rows) {
        return; // the whole workgroup leaves together
    }
    const uint kv_head = head / (heads / kv_heads);
    const uint my_first = first[row], end = last[row] + 1;
    const uint quad = me % QUADS, part = me / QUADS;
    if (me < QUADS) {
        query[me] = scale * q_nth((row * heads + head) * QUADS + me);
    }

    vec4 sum = vec4(0);
    float largest = -1e30, total = 0;
    for (uint from = my_first; from < end; from += CHUNK) {
        const uint count = min(CHUNK, end - from);
        barrier(); // the query is written, and all have read the last chunk's scores
        for (uint j = me; j < count; j += THREADS) {
            const uint key = ((from + j) * kv_heads + kv_head) * QUADS;
            // A few quads at a time: with all of a key at once RADV uses up to 120 registers, and
            // ANV spills.
            vec4 products = vec4(0);
            [[dont_unroll]] for (uint d = 0; d < QUADS; d += STEP) {
                [[unroll]] for (uint i = 0; i < STEP; i++) {
                    products += query[d + i] * k_nth(key + d + i);
                }
            }
            scores[j] = products.x + products.y + products.z + products.w;
        }
        barrier();
        for (uint j = part; j < count && part < PARTS; j += KEYS * PARTS) {
            vec4 values[KEYS];
            float weights[KEYS], raised = largest;
            [[unroll]] for (uint b = 0; b < KEYS; b++) {
                const uint key = min(j + b * PARTS, count - 1);
                values[b] = v_nth(((from + key) * kv_heads + kv_head) * QUADS + quad);
                weights[b] = j + b * PARTS < count ? scores[key] : -2e30;
                raised = max(raised, weights[b]);
            }
            const float shrink = exp(largest - raised);
            total *= shrink;
            sum *= shrink;
            [[unroll]] for (uint b = 0; b < KEYS; b++) {
                const float weight = exp(weights[b] - raised);
                total += weight;
                sum += weight * values[b];
            }
            largest = raised;
        }
    }
    sums[me] = sum;
    scales[me] = vec2(largest, total);
    barrier();
    if (me < QUADS) {
        for (uint p = 1; p < PARTS; p++) {
            const vec2 other = scales[p * QUADS + me];
            const float raised = max(largest, other.x);
            const float shrink = exp(largest - raised), weight = exp(other.x - raised);
            total = total * shrink + other.y * weight;
            sum = sum * shrink + sums[p * QUADS + me] * weight;
            largest = raised;
        }
        o_put((row * heads + head) * QUADS + me, sum / total);
    }
}
