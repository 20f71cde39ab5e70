// loss[t] = log sum exp(logits[t]) - logits[t][label[t]], and with `gradient` the logits become
// gradient_scale * (softmax - one-hot): one workgroup a row.
#version 450
#extension GL_GOOGLE_include_directive : require
#define WORKERS 128
layout(local_size_x = WORKERS) in;
#include "grid.glsl"
#include "reduce.glsl"

layout(binding = 0) buffer Logits { float logits[]; };        // [rows, vocab]
layout(binding = 1) readonly buffer Label { uint label[]; };  // [rows]
layout(binding = 2) writeonly buffer Loss { float loss[]; };  // [rows]
layout(push_constant) uniform Scalars { uint rows, vocab, gradient; float gradient_scale; };

void main()
{
    const uint row = workgroup_index(), me = gl_LocalInvocationID.x;
    if (row >= rows) {
        return;
    }
    const uint base = row * vocab;
    float largest = -1e30;
    for (uint c = me; c < vocab; c += WORKERS) {
        largest = max(largest, logits[base + c]);
    }
    largest = workgroup_max(largest);
    float total = 0;
    for (uint c = me; c < vocab; c += WORKERS) {
        total += exp(logits[base + c] - largest);
    }
    total = workgroup_sum(total);
    if (me == 0) {
        loss[row] = largest + log(total) - logits[base + label[row]];
    }
    if (gradient == 0) {
        return;
    }
    barrier(); // the label's logit is read before it is overwritten
    for (uint c = me; c < vocab; c += WORKERS) {
        const float p = exp(logits[base + c] - largest) / total;
        logits[base + c] = gradient_scale * (p - (c == label[row] ? 1.0 : 0.0));
    }
}
