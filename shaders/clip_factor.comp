// norm[0] = the gradient's norm from its 256 partial sums of squares; norm[1] = the factor that
// brings it down to max_norm (1 if it is smaller already, or if max_norm is 0).
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#define THREADS 128
#include "reduce.glsl"

layout(local_size_x = THREADS) in;
layout(binding = 0) readonly buffer Partial { float partial[]; };  // [256]
layout(binding = 1) writeonly buffer Norm { float norm[]; };       // [2]
layout(push_constant) uniform Scalars { float max_norm; };

void main()
{
    const uint me = gl_LocalInvocationID.x;
    const float total = sqrt(workgroup_sum(partial[me] + partial[me + THREADS]));
    if (me == 0) {
        norm[0] = total;
        norm[1] = max_norm > 0.0 ? min(1.0, max_norm / (total + 1e-6)) : 1.0;
    }
}
