// Sum and maxima over a workgroup of THREADS invocations through shared memory, always in the
// same order, so that results repeat to the bit. Needs no subgroup feature. THREADS is a multiple of 4
// and the workgroup's size; every invocation must call, and adds up what all have brought: neighbours
// read the same word, which costs a GPU less than a tree's barriers, and a driver that runs shaders
// on the CPU a quarter of them (outside branches and loops). Sum and maximum at most once each a shader,
// then one barrier is enough; or with a barrier before the second call.
//
// The includer may define SLOTS, an expression of specialisation constants: 1 instead of THREADS where
// no invocation will call, for drivers reserve what is declared.
#ifndef REDUCE_GLSL
#define REDUCE_GLSL

#ifndef SLOTS
#define SLOTS THREADS
#endif

shared uint sum_slots[SLOTS]; // floats
shared float max_slots[SLOTS];

float workgroup_sum(float value)
{
    sum_slots[gl_LocalInvocationID.x] = floatBitsToUint(value);
    barrier();
    vec4 sum = vec4(0.0);
    [[unroll]] for (uint i = 0; i < THREADS; i += 4) {
        sum += uintBitsToFloat(
            uvec4(sum_slots[i], sum_slots[i + 1], sum_slots[i + 2], sum_slots[i + 3]));
    }
    return (sum.x + sum.y) + (sum.z + sum.w);
}

float workgroup_max(float value)
{
    max_slots[gl_LocalInvocationID.x] = value;
    barrier();
    vec4 most = vec4(value);
    [[unroll]] for (uint i = 0; i < THREADS; i += 4) {
        most = max(most, vec4(max_slots[i], max_slots[i + 1], max_slots[i + 2], max_slots[i + 3]));
    }
    return max(max(most.x, most.y), max(most.z, most.w));
}

// The maximum of floats' bits without their signs, of which the largest are a NaN's: max of floats may
// lose that. Shares the sum's slots, and waits until all have added up.
uint workgroup_max_bits(uint bits)
{
    barrier();
    sum_slots[gl_LocalInvocationID.x] = bits;
    barrier();
    uvec4 most = uvec4(bits);
    [[unroll]] for (uint i = 0; i < THREADS; i += 4) {
        most =
            max(most, uvec4(sum_slots[i], sum_slots[i + 1], sum_slots[i + 2], sum_slots[i + 3]));
    }
    return max(max(most.x, most.y), max(most.z, most.w));
}

#endif
