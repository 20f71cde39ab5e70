// y += x, then norm = y * rstd * weight with rstd = 1 / sqrt(mean(y^2) + eps): one workgroup for
// each row.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "row.glsl"
#include "reduce.glsl"
#include "act.glsl"

layout(binding = 0) buffer Y1 { float y1[]; }; // [rows, cols]
layout(binding = 0) buffer Y4 { vec4 y4[]; };
layout(binding = 1) readonly buffer X1 { float x1[]; }; // [rows, cols]
layout(binding = 1) readonly buffer X4 { vec4 x4[]; };
ACT_WRITE(3, norm) // [rows, cols]
layout(binding = 4) writeonly buffer Rstd { float rstd[]; }; // [rows]
layout(push_constant) uniform Scalars { uint rows, cols; float eps; };
#define WEIGHT_BINDING 2 // [cols]
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
        LOAD_QUAD(sum, y, begin + c, COLS - c)
        LOAD_QUAD(value, x, begin + c, COLS - c)
        sum += value;
        STORE_QUAD(y, begin + c, COLS - c, sum)
        held[j] = sum;
        squares += dot(sum, sum);
    }
    const float r = 1.0 / sqrt(workgroup_sum(squares) / float(COLS) + eps);
    FOR_QUADS(j, c) {
        const vec4 w = weight_row_quad(QUADS != 0, c, COLS - c);
        norm_store(QUADS != 0, begin + c, COLS - c, held[j] * (r * w));
    }
    if (gl_LocalInvocationID.x == 0) {
        rstd[row] = r;
    }
}
