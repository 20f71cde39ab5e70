// Where an invocation stands in a grid that may have been folded: a dispatch of n workgroups in
// one dimension arrives as x by y >= n where the device allows fewer than n in x. Include it after
// the local size is declared: before, GLSL takes gl_WorkGroupSize to be 1.
#ifndef GRID_GLSL
#define GRID_GLSL

uint workgroup_index()
{
    return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
}

uint invocation_index()
{
    return workgroup_index() * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
}

#endif
