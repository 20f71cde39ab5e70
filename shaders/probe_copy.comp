// The memory bandwidth of this device as a shader can reach it: to = from, VECTORS vec4 for each
// invocation. TOGETHER = 1 is for drivers that run a subgroup as one CPU vector: there a load from
// one address for all lanes costs much less than a load of each lane's own, so each lane's vec4 is
// picked out of what all load together. The workgroup is then one subgroup.
#version 450
#extension GL_EXT_control_flow_attributes : require

layout(local_size_x_id = 0) in;
layout(constant_id = 1) const uint VECTORS = 1; // at most 4
layout(constant_id = 2) const uint TOGETHER = 0;
layout(binding = 0) readonly restrict buffer From { vec4 from[]; };
layout(binding = 1) writeonly restrict buffer To { vec4 to[]; };

void main()
{
    const uint lanes = gl_WorkGroupSize.x, me = gl_LocalInvocationID.x;
    const uint begin = gl_WorkGroupID.x * lanes * VECTORS;
    vec4 x[4];
    [[unroll]] for (uint v = 0; v < VECTORS; v++) {
        if (TOGETHER == 0) {
            x[v] = from[begin + v * lanes + me];
            continue;
        }
        [[unroll]] for (uint lane = 0; lane < lanes; lane++) {
            const vec4 loaded = from[begin + v * lanes + lane];
            x[v] = lane == me ? loaded : x[v];
        }
    }
    [[unroll]] for (uint v = 0; v < VECTORS; v++) {
        to[begin + v * lanes + me] = x[v];
    }
}
