// The largest element of what a kernel writes, found while it is at hand: a product in f16 scales by
// it, and else the whole tensor is read once more (`absmax`). It is the largest of 256 words, among
// which rows are shared out, so that workgroups seldom want the same one at once. The caller has
// zeroed them; several kernels may add to the same words. Bits of numbers that are not negative keep
// their order, and a maximum does not depend on who comes first: results repeat to the bit.
//
// The includer defines LARGEST_BINDING, and THREADS for reduce.glsl.
#ifndef LARGEST_GLSL
#define LARGEST_GLSL

#include "reduce.glsl"

layout(binding = LARGEST_BINDING) buffer Largest { uint largest_bits[]; }; // [256] floats

// The larger of `bits` and of a quad's elements without their signs. An infinity is larger than any
// number, and NaN than that: neither is lost.
uint larger_bits(uint bits, vec4 quad)
{
    const uvec4 each = floatBitsToUint(quad) & 0x7fffffffu;
    return max(bits, max(max(each.x, each.y), max(each.z, each.w)));
}

// Adds a workgroup's to the words. Each invocation brings the largest of its own; all must call.
void keep_largest(uint row, uint bits)
{
    const uint most = workgroup_max_bits(bits);
    if (gl_LocalInvocationID.x == 0) {
        atomicMax(largest_bits[row % 256], most);
    }
}

#endif
