// loss[t] = log sum exp(logits[t]) - logits[t][label[t]], and with `gradient` the logits become
// gradient_scale * (softmax - one-hot): one workgroup a row, which reads it once for the sum, kept
// relative to each invocation's largest logit so far, and once to write.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 2) in;
#define WORKERS gl_WorkGroupSize.x
#include "grid.glsl"
#include "reduce.glsl"
#include "quad.glsl"

layout(constant_id = 1) const uint QUADS = 0;  // 1: vocab is a multiple of 4
layout(binding = 0) buffer Logits1 { float logits1[]; }; // [rows, vocab]
layout(binding = 0) buffer Logits4 { vec4 logits4[]; };
layout(binding = 1) readonly buffer Label { uint label[]; };  // [rows]
layout(binding = 2) writeonly buffer Loss { float loss[]; };  // [rows]
layout(push_constant) uniform Scalars { uint rows, vocab, gradient; float gradient_scale; };

// Which elements of a quad belong to the row.
bvec4 inside(uint left)
{
    return lessThan(uvec4(0, 1, 2, 3), uvec4(left));
}

void main()
{
    const uint row = workgroup_index(), me = gl_LocalInvocationID.x;
    if (row >= rows) {
        return; // the whole workgroup leaves together
    }
    const uint target = label[row];
    float mine = -1e30, sum = 0, chosen = 0;
    for (uint c = 4 * me; c < vocab; c += 4 * WORKERS) {
        const uint left = vocab - c;
        LOAD_QUAD(x, logits, row * vocab + c, left)
        x = mix(vec4(-1e30), x, inside(left));
        const float most = max(max(max(x.x, x.y), max(x.z, x.w)), mine);
        const vec4 powers = exp(x - most);
        sum = sum * exp(mine - most) + dot(powers, vec4(1.0));
        mine = most;
        chosen += dot(mix(vec4(0.0), x, equal(c + uvec4(0, 1, 2, 3), uvec4(target))), vec4(1.0));
    }
    const float largest = workgroup_max(mine);
    const float total = workgroup_sum(sum * exp(mine - largest));
    chosen = workgroup_sum(chosen); // one invocation met it
    if (me == 0) {
        loss[row] = largest + log(total) - chosen;
    }
    if (gradient == 0) {
        return;
    }
    for (uint c = 4 * me; c < vocab; c += 4 * WORKERS) {
        const uint left = vocab - c;
        LOAD_QUAD(x, logits, row * vocab + c, left)
        x = exp(x - largest) / total;
        x -= mix(vec4(0.0), vec4(1.0), equal(c + uvec4(0, 1, 2, 3), uvec4(target)));
        x *= gradient_scale;
        STORE_QUAD(logits, row * vocab + c, left, x)
    }
}
