// The operands of matrix units: 16 bits each, f16, or bf16 with OPERANDS_BF16 defined. Two of them are a word.
#ifndef OPERAND_GLSL
#define OPERAND_GLSL

#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#ifdef OPERANDS_BF16
#extension GL_EXT_bfloat16 : require
#extension GL_EXT_shader_explicit_arithmetic_types_int16 : require
#endif
#include "act.glsl"

// Of what is stored as ROUNDED, words are taken as they are. round2: two numbers rounded to nearest, of two
// to the even one. halves_of: the e-th halves of words x and y.
#ifdef OPERANDS_BF16
#define OPERAND bfloat16_t
const uint ROUNDED = WEIGHT_BF16;
#define round2(x) act_round2_bf16(x)
#define halves_of(e, x, y) packUint2x16(u16vec2(unpackUint2x16(x)[e], unpackUint2x16(y)[e]))
#else
#define OPERAND float16_t
const uint ROUNDED = WEIGHT_F16;
#define round2(x) packFloat2x16(f16vec2(x))
#define halves_of(e, x, y) packFloat2x16(f16vec2(unpackFloat2x16(x)[e], unpackFloat2x16(y)[e]))
#endif

uvec4 round8(vec4 low, vec4 high)
{
    return uvec4(round2(low.xy), round2(low.zw), round2(high.xy), round2(high.zw));
}

#endif
