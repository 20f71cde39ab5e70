// dx += rstd * (g - xhat mean(g xhat)), g = weight dy, xhat = x rstd: one workgroup for each row.
// dx holds the gradient of the residual stream, to which that of the norm's branch is added.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "row.glsl"
#include "reduce.glsl"

layout(binding = 0) readonly buffer X1 { float x1[]; }; // [rows, cols]
layout(binding = 0) readonly buffer X4 { vec4 x4[]; };
layout(binding = 2) readonly buffer Rstd { float rstd[]; }; // [rows]
layout(binding = 3) readonly buffer Dy1 { float dy1[]; }; // [rows, cols]
layout(binding = 3) readonly buffer Dy4 { vec4 dy4[]; };
layout(binding = 4) buffer Dx1 { float dx1[]; }; // [rows, cols]
layout(binding = 4) buffer Dx4 { vec4 dx4[]; };
layout(push_constant) uniform Scalars { uint rows, cols; };
#define WEIGHT_BINDING 1 // [cols]
#define WEIGHT_COUNT COLS
#include "weight.glsl"

void main()
{
    const uint row = workgroup_index(), begin = row * COLS;
    if (FOLDED != 0 && row >= rows) {
        return; // the whole workgroup leaves together
    }
    const float r = rstd[row];
    vec4 held_x[EACH], held_g[EACH];
    float products = 0;
    FOR_QUADS(j, c) {
        LOAD_QUAD(value, x, begin + c, COLS - c)
        LOAD_QUAD(gradient, dy, begin + c, COLS - c)
        const vec4 w = weight_row_quad(QUADS != 0, c, COLS - c);
        held_x[j] = value;
        held_g[j] = w * gradient;
        products += dot(held_g[j], value);
    }
    const float mean = workgroup_sum(products) * r / float(COLS);
    FOR_QUADS(j, c) {
        LOAD_QUAD(sum, dx, begin + c, COLS - c)
        sum += r * (held_g[j] - held_x[j] * (r * mean));
        STORE_QUAD(dx, begin + c, COLS - c, sum)
    }
}
