// The memory bandwidth of this device as a shader can reach it: to = from, 16 vec4 an invocation,
// neighbours side by side.
#version 450
#extension GL_EXT_control_flow_attributes : require

layout(local_size_x = 64) in;
layout(binding = 0) readonly buffer From { vec4 from[]; };
layout(binding = 1) writeonly buffer To { vec4 to[]; };

void main()
{
    const uint begin = gl_WorkGroupID.x * gl_WorkGroupSize.x * 16 + gl_LocalInvocationID.x;
    [[unroll]] for (uint i = 0; i < 16; i++) {
        to[begin + i * gl_WorkGroupSize.x] = from[begin + i * gl_WorkGroupSize.x];
    }
}
