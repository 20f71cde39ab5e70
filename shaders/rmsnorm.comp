// y = x * rstd * weight with rstd = 1 / sqrt(mean(x^2) + eps): one workgroup for each row.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "row.glsl"
#include "reduce.glsl"
#include "act.glsl"

ACT_READ(0, x)  // [rows, cols]
ACT_WRITE(2, y) // [rows, cols]
layout(binding = 3) writeonly buffer Rstd { float rstd[]; }; // [rows]
layout(push_constant) uniform Scalars { uint rows, cols; float eps; };
#define WEIGHT_BINDING 1 // [cols]
#define WEIGHT_COUNT COLS
#include "weight.glsl"

void main()
{
    const uint row = workgroup_index(), begin = row * COLS;
    if (FOLDED != 0 && row >= rows) {
        return; // the whole workgroup leaves together
    }
    vec4 held[EACH];
    float squares = 0;
    FOR_QUADS(j, c) {
        const vec4 value = x_load(QUADS != 0, begin + c, COLS - c);
        held[j] = value;
        squares += dot(value, value);
    }
    const float r = 1.0 / sqrt(workgroup_sum(squares) / float(COLS) + eps);
    FOR_QUADS(j, c) {
        const vec4 w = weight_row_quad(QUADS != 0, c, COLS - c);
        y_store(QUADS != 0, begin + c, COLS - c, held[j] * (r * w));
    }
    if (gl_LocalInvocationID.x == 0) {
        rstd[row] = r;
    }
}
