// Operands of 16 bits: f16, or bf16 with OPERANDS_BF16 defined. Two of them are a word. With WORDS_ONLY
// defined, of devices that know no type of 16 bits: then no number is an OPERAND, and f16 are words of two.
#ifndef OPERAND_GLSL
#define OPERAND_GLSL

#ifndef WORDS_ONLY
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#endif
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
#elif defined(WORDS_ONLY)
const uint ROUNDED = WEIGHT_F16;
uint round2(vec2 x) // packHalf2x16 may cut off, and Mesa's CPU driver does; so it is given what f16 holds exactly
{
    const uvec2 bits = floatBitsToUint(x);
    const uvec2 rounded = bits + 0xfffu + (bits >> 13 & 1u) & 0xffffe000u;
    const bvec2 number = lessThanEqual(bits & 0x7fffffffu, uvec2(0x7f800000u));
    return packHalf2x16(uintBitsToFloat(mix(bits, rounded, number)));
}
#define halves_of(e, x, y) ((e) == 0 ? (x) & 0xffffu | (y) << 16 : (x) >> 16 | (y) & 0xffff0000u)
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
