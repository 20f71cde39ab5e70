// Sums of products whose k is divided among several workgroups: each leaves its own in `partials`, and
// whichever is the last adds them all up, in their order along k, so that the same input gives the same
// bits. Before and after, `arrived` is zero.
//
// The includer defines PARTIALS_BINDING; PARTIAL, the type that it leaves them as; SCOPED if it uses
// GL_KHR_memory_scope_semantics; and TOLD, a number in shared memory that serves nothing else meanwhile. (One
// of our own would lie before the tiles, and where they do not begin at 0 Intel's compiler adds that.)
#ifndef PARTIALS_GLSL
#define PARTIALS_GLSL

const uint COUNTERS = 1024; // words; so there are no more tiles

layout(std430, set = 0, binding = PARTIALS_BINDING) coherent buffer Arrived { uint arrived[]; };
layout(std430, set = 0, binding = PARTIALS_BINDING) coherent buffer Partials { PARTIAL partials[]; };

// Waits for the workgroup; what it wrote to buffers is seen by others, and the reverse.
void device_barrier()
{
#ifdef SCOPED
    controlBarrier(gl_ScopeWorkgroup, gl_ScopeDevice,
                   gl_StorageSemanticsBuffer | gl_StorageSemanticsShared,
                   gl_SemanticsAcquireRelease | gl_SemanticsMakeAvailable | gl_SemanticsMakeVisible);
#else
    memoryBarrierBuffer();
    barrier();
    memoryBarrierBuffer();
#endif
}

// Whether this workgroup is the last of the `parts` of a tile to leave its sums. All its invocations get
// the same answer.
bool arrives_last(uint tile, uint parts)
{
    device_barrier();
    if (gl_LocalInvocationIndex == 0) {
        const uint before = atomicAdd(arrived[tile], 1);
        TOLD = before;
        if (before == parts - 1)
            arrived[tile] = 0; // as it was
    }
    device_barrier();
    return uint(TOLD) == parts - 1;
}

#endif
