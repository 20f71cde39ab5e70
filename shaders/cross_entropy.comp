// log_probability[t] = logits[t][label[t]] - log sum exp(logits[t]), and with `gradient` the logits
// become weight[t] * (softmax - one-hot), both smoothed if SMOOTHED is set. One workgroup computes a
// row. It reads the row once for the sum and once more to write the gradient. Each invocation keeps
// its part of the sum relative to the largest logit that it has seen.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
layout(local_size_x_id = 2) in;
#define THREADS gl_WorkGroupSize.x
#include "grid.glsl"
#include "reduce.glsl"
#include "quad.glsl"

layout(constant_id = 1) const uint QUADS = 0;  // 1: vocab is a multiple of 8
layout(constant_id = 3) const uint FOLDED = 0; // 1: there may be more workgroups than rows
layout(constant_id = 4) const uint SMOOTHED = 0; // 1: labels are smoothed
layout(binding = 0) buffer Logits1 { float logits1[]; }; // [rows, vocab]
layout(binding = 0) buffer Logits4 { vec4 logits4[]; };
layout(binding = 1) readonly buffer Label { uint label[]; }; // [rows]
layout(binding = 2) readonly buffer Weight { float weight[]; }; // [rows], read with `gradient`
layout(binding = 3) writeonly buffer LogProbability { float log_probability[]; }; // [rows]
layout(push_constant) uniform Scalars { uint rows, vocab, gradient; float smoothing; };

// A quad of which only the first `left` elements belong to the row. The others become so small that
// they do not count.
vec4 inside(vec4 x, uint left)
{
    return mix(vec4(-1e30), x, lessThan(uvec4(0, 1, 2, 3), uvec4(left)));
}

// Reads through the same buffer that is written to: a compiler may assume that two buffers of the
// same binding are different memory.
float logit(uint i)
{
    return QUADS != 0 ? logits4[i / 4][i % 4] : logits1[i];
}

float largest_of(vec4 x)
{
    return max(max(x.x, x.y), max(x.z, x.w));
}

// What of the label's weight, 1, is its own, and what each token has.
float own_part()
{
    return SMOOTHED != 0 ? 1.0 - smoothing : 1.0;
}

float even_part()
{
    return SMOOTHED != 0 ? smoothing / float(vocab) : 0.0;
}

// scale * (softmax - one-hot) of the quad from column c on; factor is scale over the sum of all
// exp(logit - largest).
vec4 gradient_of(vec4 x, uint c, float largest, float scale, float factor, uint target)
{
    const bvec4 is_target = equal(c + uvec4(0, 1, 2, 3), uvec4(target));
    const float even = scale * even_part();
    return factor * exp(x - largest) - mix(vec4(even), vec4(scale * own_part() + even), is_target);
}

void main()
{
    const uint row = workgroup_index(), me = gl_LocalInvocationID.x, begin = row * vocab;
    if (FOLDED != 0 && row >= rows) {
        return; // the whole workgroup leaves together
    }
    const uint target = label[row];
    float mine = -1e30, sum = 0, logit_sum = 0;
    for (uint c = 8 * me; c < vocab; c += 8 * THREADS) {
        const uint left = vocab - c, behind = max(left, 4) - 4;
        LOAD_QUAD(x, logits, begin + c, left)
        LOAD_QUAD(z, logits, begin + c + 4, behind)
        if (SMOOTHED != 0) {
            logit_sum += dot(x + z, vec4(1.0)); // what is not inside was read as zero
        }
        if (QUADS == 0) {
            x = inside(x, left);
            z = inside(z, behind);
        }
        const float most = max(largest_of(max(x, z)), mine);
        sum = sum * exp(mine - most) + dot(exp(x - most) + exp(z - most), vec4(1.0));
        mine = most;
    }
    const float largest = workgroup_max(mine);
    const float total = workgroup_sum(sum * exp(mine - largest));
    float mean = 0;
    if (SMOOTHED != 0) {
        barrier(); // all have read the sums of the call above
        mean = workgroup_sum(logit_sum) / float(vocab);
    }
    if (me == target / 8 % THREADS) { // the invocation that will write over the label's logit
        float label_logit = logit(begin + target);
        if (SMOOTHED != 0) {
            label_logit = mix(label_logit, mean, smoothing);
        }
        log_probability[row] = label_logit - (largest + log(total));
    }
    if (gradient == 0) {
        return;
    }
    const float scale = weight[row], factor = scale / total;
    for (uint c = 8 * me; c < vocab; c += 8 * THREADS) {
        const uint left = vocab - c, behind = max(left, 4) - 4;
        LOAD_QUAD(x, logits, begin + c, left)
        LOAD_QUAD(z, logits, begin + c + 4, behind)
        x = gradient_of(x, c, largest, scale, factor, target);
        z = gradient_of(z, c + 4, largest, scale, factor, target);
        STORE_QUAD(logits, begin + c, left, x)
        STORE_QUAD(logits, begin + c + 4, behind, z)
    }
}
