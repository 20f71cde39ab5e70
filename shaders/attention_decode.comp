// Attention of rows that share no keys: each is the newest token of its own sequence, whose keys
// and values lie in a cache. One workgroup is one row of one head. It takes the keys CHUNK at a
// time: first its invocations split the chunk's keys for the scores, then the output's quads (and,
// where there are more invocations than quads, the keys again) for the weighted sum. Chunks join
// by the online softmax (Milakov, Gimelshein 2018), so shared memory does not grow with length.
#version 450
#extension GL_GOOGLE_include_directive : require
#define WORKERS 64
layout(local_size_x = WORKERS) in;
#include "grid.glsl"
#include "reduce.glsl"

layout(constant_id = 1) const uint DIM = 64;
const uint QUADS = DIM / 4;         // at most WORKERS
const uint PARTS = WORKERS / QUADS; // invocations that share one quad of the output
const uint CHUNK = 4 * WORKERS;

layout(binding = 0) readonly buffer Q { vec4 q[]; };         // [rows, heads, dim]
layout(binding = 1) readonly buffer K { vec4 k[]; };         // [kv_rows, kv_heads, dim]
layout(binding = 2) readonly buffer V { vec4 v[]; };         // [kv_rows, kv_heads, dim]
layout(binding = 3) readonly buffer First { uint first[]; }; // [rows]
layout(binding = 4) readonly buffer Last { uint last[]; };   // [rows]
layout(binding = 5) writeonly buffer O { vec4 o[]; };        // [rows, heads, dim]
layout(push_constant) uniform Scalars { uint rows, kv_rows, heads, kv_heads; float scale; };

shared vec4 query[WORKERS];
shared float weights[CHUNK];
shared vec4 partial[WORKERS];

void main()
{
    const uint me = gl_LocalInvocationID.x;
    const uint row = workgroup_index() / heads, head = workgroup_index() % heads;
    if (row >= rows) {
        return; // the whole workgroup
    }
    const uint kv_head = head / (heads / kv_heads);
    const uint my_first = first[row], end = last[row] + 1;
    const uint quad = me % QUADS, part = me / QUADS;
    if (me < QUADS) {
        query[me] = scale * q[(row * heads + head) * QUADS + me];
    }
    barrier();

    vec4 sum = vec4(0);
    float largest = -1e30, total = 0;
    for (uint from = my_first; from < end; from += CHUNK) {
        const uint count = min(CHUNK, end - from);
        float highest = -1e30;
        for (uint j = me; j < count; j += WORKERS) {
            const uint key = ((from + j) * kv_heads + kv_head) * QUADS;
            vec4 products = vec4(0);
            for (uint d = 0; d < QUADS; d++) {
                products += query[d] * k[key + d];
            }
            weights[j] = products.x + products.y + products.z + products.w;
            highest = max(highest, weights[j]);
        }
        const float raised = max(largest, workgroup_max(highest));
        const float shrink = exp(largest - raised);
        largest = raised;
        total *= shrink;
        sum *= shrink;
        for (uint j = me; j < count; j += WORKERS) {
            weights[j] = exp(weights[j] - raised);
            total += weights[j];
        }
        barrier();
        if (part < PARTS) {
            for (uint j = part; j < count; j += PARTS) {
                sum += weights[j] * v[((from + j) * kv_heads + kv_head) * QUADS + quad];
            }
        }
        barrier(); // the next chunk writes the weights again
    }
    total = workgroup_sum(total);
    partial[me] = sum;
    barrier();
    if (me < QUADS) {
        for (uint p = 1; p < PARTS; p++) {
            sum += partial[p * QUADS + me];
        }
        o[(row * heads + head) * QUADS + me] = sum / total;
    }
}
