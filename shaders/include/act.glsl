// Activations in f32, f16 or bf16, read and written as numbers. Nothing else in shaders/ knows how an
// activation is stored. ACT_READ(2, x) declares the ACT buffer `x` at binding 2 and, for it:
//
//   x_type                         how it is stored: WEIGHT_F32, WEIGHT_F16 or WEIGHT_BF16
//   vec4 x_nth(n)                  its n-th quad, elements 4 n to 4 n + 3
//   vec4 x_quad(at)                the four elements from `at` on, a multiple of 4
//   float x_at(at)                 one element
//   vec4 x_load(whole, at, left)   a row's quad of which `left` elements are there; others are zero
//
// ACT_WRITE declares x_put(n, quad) and x_store(whole, at, left, value) instead, and ACT_UPDATE both. `whole`, a
// constant: all rows are whole quads. In 16 bits they always are: else two invocations would write
// the halves of one word. So no device needs a 16-bit type for it. The type is a specialisation
// constant, so a driver keeps the code of one type and drops the rest.
//
// The includer may define WIDE: loads are of 64-bit words.
#ifndef ACT_GLSL
#define ACT_GLSL

#include "stored.glsl"

// A quad in f32 and one in 16 bits, as they are loaded.
#ifdef WIDE
#define ACT_FLOATS u64vec2
#define ACT_HALVES uint64_t

vec4 act_floats(u64vec2 loaded)
{
    return uintBitsToFloat(uvec4(unpack32(loaded.x), unpack32(loaded.y)));
}

u64vec2 act_packed(vec4 quad)
{
    const uvec4 words = floatBitsToUint(quad);
    return u64vec2(pack64(words.xy), pack64(words.zw));
}

#define act_words(loaded) unpack32(loaded)
#define act_word_pair(words) pack64(words)
#else
#define ACT_FLOATS vec4
#define ACT_HALVES uvec2
#define act_floats(loaded) loaded
#define act_packed(quad) quad
#define act_words(loaded) loaded
#define act_word_pair(words) words
#endif

// The numbers of a quad in 16 bits.
vec4 act_decode(uint type, uvec2 words)
{
    if (type == WEIGHT_F16)
        return vec4(unpackHalf2x16(words.x), unpackHalf2x16(words.y));
    return uintBitsToFloat(uvec4(words.x << 16, words.x & 0xffff0000u, words.y << 16,
                                 words.y & 0xffff0000u));
}

// Two numbers rounded to bf16, to nearest and of two to the even one, in one word. NaN stays NaN.
#ifdef OPERANDS_BF16 // the shader needs the type anyway: compilers know how their card converts to it
uint act_round2_bf16(vec2 x)
{
    return packUint2x16(bfloat16BitsToUintEXT(bf16vec2(x)));
}
#else
uint act_round_bf16(float x) // in the upper half
{
    const uint bits = floatBitsToUint(x);
    const bool number = (bits & 0x7fffffffu) <= 0x7f800000u;
    return number ? bits + 0x7fffu + (bits >> 16 & 1u) : 0x7fc00000u;
}

uint act_round2_bf16(vec2 x)
{
    return act_round_bf16(x.x) >> 16 | act_round_bf16(x.y) & 0xffff0000u;
}
#endif

uvec2 act_encode(uint type, vec4 value)
{
    if (type == WEIGHT_F16)
        return uvec2(packHalf2x16(value.xy), packHalf2x16(value.zw));
    return uvec2(act_round2_bf16(value.xy), act_round2_bf16(value.zw));
}

// One buffer, seen as scalars, as quads in f32 and as quads in 16 bits.
#define ACT_BUFFER(place, access, name)                                                            \
    layout(std430, set = 0, binding = place) access buffer name##Scalars { float name##1[]; };     \
    layout(std430, set = 0, binding = place) access buffer name##Quads { ACT_FLOATS name##4[]; };  \
    layout(std430, set = 0, binding = place) access buffer name##Halves { ACT_HALVES name##2[]; }; \
    const uint name##_type = STORED_AT(place);

#define ACT_LOADS(name)                                                                            \
    vec4 name##_nth(uint n)                                                                        \
    {                                                                                              \
        if (name##_type == WEIGHT_F32)                                                             \
            return act_floats(name##4[n]);                                                         \
        return act_decode(name##_type, act_words(name##2[n]));                                     \
    }                                                                                              \
                                                                                                   \
    vec4 name##_quad(uint at)                                                                      \
    {                                                                                              \
        return name##_nth(at / 4);                                                                 \
    }                                                                                              \
                                                                                                   \
    float name##_at(uint at)                                                                       \
    {                                                                                              \
        if (name##_type == WEIGHT_F32)                                                             \
            return name##1[at];                                                                    \
        return act_decode(name##_type, act_words(name##2[at / 4]))[at % 4];                        \
    }                                                                                              \
                                                                                                   \
    vec4 name##_load(bool whole, uint at, uint left)                                               \
    {                                                                                              \
        if (whole || name##_type != WEIGHT_F32)                                                    \
            return name##_quad(at);                                                                \
        vec4 quad = vec4(0.0);                                                                     \
        [[unroll]] for (uint e = 0; e < 4; e++)                                                    \
            if (e < left)                                                                          \
                quad[e] = name##1[at + e];                                                         \
        return quad;                                                                               \
    }

#define ACT_STORES(name)                                                                           \
    void name##_put(uint n, vec4 quad)                                                             \
    {                                                                                              \
        if (name##_type == WEIGHT_F32)                                                             \
            name##4[n] = act_packed(quad);                                                         \
        else                                                                                       \
            name##2[n] = act_word_pair(act_encode(name##_type, quad));                             \
    }                                                                                              \
                                                                                                   \
    void name##_store(bool whole, uint at, uint left, vec4 value)                                  \
    {                                                                                              \
        if (whole || name##_type != WEIGHT_F32)                                                    \
            name##_put(at / 4, value);                                                             \
        else                                                                                       \
            [[unroll]] for (uint e = 0; e < 4; e++)                                                \
                if (e < left)                                                                      \
                    name##1[at + e] = value[e];                                                    \
    }

// Stores a number of each lane of a subgroup, of `lanes` lanes, a multiple of 4: lane l's to element
// first + l if that is below `end`. All lanes come here together. Needs subgroupShuffle.
#define ACT_STORE_LANES(name, lanes, lane, first, end, value)                                      \
    if (name##_type == WEIGHT_F32) {                                                               \
        if ((first) + (lane) < (end))                                                              \
            name##1[(first) + (lane)] = value;                                                     \
    } else {                                                                                       \
        vec4 quad;                                                                                 \
        [[unroll]] for (uint e = 0; e < 4; e++)                                                    \
            quad[e] = subgroupShuffle(value, (4 * (lane) + e) % (lanes));                          \
        if (4 * (lane) < (lanes) && (first) + 4 * (lane) < (end))                                  \
            name##_store(true, (first) + 4 * (lane), 4, quad);                                     \
    }

#define ACT_READ(place, name) ACT_BUFFER(place, readonly, name) ACT_LOADS(name)
#define ACT_WRITE(place, name) ACT_BUFFER(place, writeonly, name) ACT_STORES(name)
#define ACT_UPDATE(place, name) ACT_BUFFER(place, , name) ACT_LOADS(name) ACT_STORES(name)

#endif
