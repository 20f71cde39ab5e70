// sums[row] = sum of w[row]^2: one workgroup for each row.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "row.glsl"
#include "reduce.glsl"

layout(binding = 1) writeonly buffer Sums { float sums[]; }; // [rows]
layout(push_constant) uniform Scalars { uint rows, cols; };
#define WEIGHT_BINDING 0 // [rows, cols]
#define WEIGHT_COUNT (rows * COLS)
#include "weight.glsl"

void main()
{
    const uint row = workgroup_index(), begin = row * COLS;
    if (FOLDED != 0 && row >= rows) {
        return; // the whole workgroup leaves together
    }
    float mine = 0;
    FOR_QUADS(j, c) {
        vec4 w = weight_row_quad(QUADS != 0, begin + c, COLS - c);
        if (QUADS == 0) {
            w = mix(vec4(0.0), w, lessThan(c + uvec4(0, 1, 2, 3), uvec4(COLS)));
        }
        mine += dot(w, w);
    }
    const float sum = workgroup_sum(mine);
    if (gl_LocalInvocationID.x == 0) {
        sums[row] = sum;
    }
}
