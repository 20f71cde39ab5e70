// Sums and maxima over a workgroup of WORKERS invocations through shared memory, always in the
// same order, so that results repeat to the bit. Needs no subgroup feature. WORKERS is a multiple of 4
// and the workgroup's size; every invocation must call, and adds up what all have brought: neighbours
// read the same word, which costs a GPU less than a tree's barriers, and a driver that runs shaders
// on the CPU a quarter of them (outside branches and loops).
#ifndef REDUCE_GLSL
#define REDUCE_GLSL

shared float reduce_slots[WORKERS];

void reduce_bring(float value)
{
    barrier(); // the slots may still be read by an earlier call
    reduce_slots[gl_LocalInvocationID.x] = value;
    barrier();
}

vec4 reduce_quad(uint i)
{
    return vec4(reduce_slots[i], reduce_slots[i + 1], reduce_slots[i + 2], reduce_slots[i + 3]);
}

float workgroup_sum(float value)
{
    reduce_bring(value);
    vec4 sum = vec4(0.0);
    [[unroll]] for (uint i = 0; i < WORKERS; i += 4) {
        sum += reduce_quad(i);
    }
    return (sum.x + sum.y) + (sum.z + sum.w);
}

float workgroup_max(float value)
{
    reduce_bring(value);
    vec4 most = reduce_quad(0);
    [[unroll]] for (uint i = 4; i < WORKERS; i += 4) {
        most = max(most, reduce_quad(i));
    }
    return max(max(most.x, most.y), max(most.z, most.w));
}

#endif
