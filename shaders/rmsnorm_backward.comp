// dx += rstd * (g - xhat mean(g xhat)), g = weight dy, xhat = x rstd: one workgroup for each row.
// dx holds the gradient of the residual stream, to which that of the norm's branch is added. With
// FINDS_LARGEST it also finds the largest element of the new dx.
#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
#include "row.glsl"
#include "reduce.glsl"
#include "act.glsl"
#define LARGEST_BINDING 5
#include "largest.glsl"

layout(constant_id = 4) const uint FINDS_LARGEST = 0;
ACT_READ(0, x) // [rows, cols]
layout(binding = 2) readonly buffer Rstd { float rstd[]; }; // [rows]
ACT_READ(3, dy)   // [rows, cols]
ACT_UPDATE(4, dx) // [rows, cols]
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
        const vec4 value = x_load(QUADS != 0, begin + c, COLS - c);
        const vec4 gradient = dy_load(QUADS != 0, begin + c, COLS - c);
        const vec4 w = weight_row_quad(QUADS != 0, c, COLS - c);
        held_x[j] = value;
        held_g[j] = w * gradient;
        products += dot(held_g[j], value);
    }
    const float mean = workgroup_sum(products) * r / float(COLS);
    uint most = 0;
    FOR_QUADS(j, c) {
        const vec4 before = dx_load(QUADS != 0, begin + c, COLS - c);
        const vec4 sum = before + r * (held_g[j] - held_x[j] * (r * mean));
        dx_store(QUADS != 0, begin + c, COLS - c, sum);
        if (FINDS_LARGEST != 0) {
            most = larger_bits(most, sum);
        }
    }
    if (FINDS_LARGEST != 0) {
        keep_largest(row, most);
    }
}
