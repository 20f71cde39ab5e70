// Two f16 in a word times two in another, added to a sum in f32: by one instruction, or, with WIDEN defined,
// by widening them to f32, which asks nothing of a device.
#ifndef DOTS_GLSL
#define DOTS_GLSL

#ifdef WIDEN
#define WORDS_ONLY // for operand.glsl

float add_dot(uint x, uint y, float sum)
{
    const vec2 left = unpackHalf2x16(x), right = unpackHalf2x16(y);
    return fma(left.y, right.y, fma(left.x, right.x, sum));
}
#else
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_EXT_spirv_intrinsics : require
spirv_instruction(extensions = ["SPV_VALVE_mixed_float_dot_product"], capabilities = [6912], id = 6916)
float dot_of_halves(f16vec2 x, f16vec2 y, float sum); // OpFDot2MixAcc32VALVE
#define add_dot(x, y, sum) dot_of_halves(unpackFloat2x16(x), unpackFloat2x16(y), sum)
#endif

#endif
