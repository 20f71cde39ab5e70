// Sums and maxima over a workgroup of WORKERS invocations through shared memory, always in the
// same order, so that results repeat to the bit. Needs no subgroup feature. WORKERS is a power
// of two and the workgroup's size; every invocation must call.
#ifndef REDUCE_GLSL
#define REDUCE_GLSL

shared float reduce_slots[WORKERS];

float workgroup_sum(float value)
{
    const uint me = gl_LocalInvocationID.x;
    barrier(); // the slots may still be read by an earlier call
    reduce_slots[me] = value;
    for (uint half_width = WORKERS / 2; half_width > 0; half_width /= 2) {
        barrier();
        if (me < half_width) {
            reduce_slots[me] += reduce_slots[me + half_width];
        }
    }
    barrier();
    return reduce_slots[0];
}

float workgroup_max(float value)
{
    const uint me = gl_LocalInvocationID.x;
    barrier();
    reduce_slots[me] = value;
    for (uint half_width = WORKERS / 2; half_width > 0; half_width /= 2) {
        barrier();
        if (me < half_width) {
            reduce_slots[me] = max(reduce_slots[me], reduce_slots[me + half_width]);
        }
    }
    barrier();
    return reduce_slots[0];
}

#endif
