// Weights of any type in src/base/weights.def, read as numbers. Nothing else in shaders/ knows how a
// type is stored: a shader asks for one, four or eight neighbours in a row. To add a type is a row
// there and, here, weight_fetch_NAME and weight_decode_NAME.
//
// The includer defines, and whatever they name is declared before this file is included:
//   WEIGHT_BINDING  where the tensor is bound
//   WEIGHT_COUNT    how many elements the whole tensor has, an expression
//   WIDE            only if words are to be loaded as 64-bit ones
//
// No device needs a 16-bit or 8-bit type for it: everything comes as 32-bit words, of which the
// lower bits are first in memory. STORED is a specialisation constant, so a driver keeps the code
// of one type and drops the rest.
#ifndef WEIGHT_GLSL
#define WEIGHT_GLSL

layout(constant_id = 0) const uint STORED = 0; // the type's number

#define WEIGHT(number, name, elements, data, header) const uint WEIGHT_##name = number;
#include "base/weights.def"
#undef WEIGHT

// Elements of a block, and elements in a word of data, of the type that is stored.
#define WEIGHT(number, name, elements, data, header) STORED == number ? elements :
const uint WEIGHT_BLOCK =
#include "base/weights.def"
    1;
#undef WEIGHT
#define WEIGHT(number, name, elements, data, header) STORED == number ? 4 * elements / data :
const uint WEIGHT_PER_WORD =
#include "base/weights.def"
    1;
#undef WEIGHT

// How many elements weight_fetch loads at once: its addresses are multiples of it.
const uint WEIGHT_STEP = WEIGHT_PER_WORD == 1 ? 4 : 8;

// One buffer, seen as words, pairs and quads of them.
layout(std430, set = 0, binding = WEIGHT_BINDING) readonly buffer Weights1 { uint weights1[]; };
#ifdef WIDE
layout(std430, set = 0, binding = WEIGHT_BINDING) readonly buffer Weights2 { uint64_t weights2[]; };
layout(std430, set = 0, binding = WEIGHT_BINDING) readonly buffer Weights4 { u64vec2 weights4[]; };
#define WEIGHT_WORDS2(index) unpack32(weights2[index])
#else
layout(std430, set = 0, binding = WEIGHT_BINDING) readonly buffer Weights2 { uvec2 weights2[]; };
layout(std430, set = 0, binding = WEIGHT_BINDING) readonly buffer Weights4 { uvec4 weights4[]; };
#define WEIGHT_WORDS2(index) weights2[index]
#endif

uvec4 weight_words4(uint index)
{
#ifdef WIDE
    const u64vec2 words = weights4[index];
    return uvec4(unpack32(words.x), unpack32(words.y));
#else
    return weights4[index];
#endif
}

// Two bytes of headers from byte `at` of them on, an even one; the bits above are anything.
uint weight_header2(uint at)
{
    return weights1[(WEIGHT_COUNT) / WEIGHT_PER_WORD + at / 4] >> at % 4 * 8;
}

// ---- The types

// What was loaded of eight neighbours, not yet decoded.
struct Octet {
    uvec4 low, high;
};

// weight_fetch_NAME: the octet from element `at` on. The fetched quads of F32 lie at `at` and `next`.
// weight_decode_NAME: its numbers.

Octet weight_fetch_F32(uint at, uint next)
{
    return Octet(weight_words4(at / 4), weight_words4(next / 4));
}

void weight_decode_F32(Octet octet, out vec4 low, out vec4 high)
{
    low = uintBitsToFloat(octet.low);
    high = uintBitsToFloat(octet.high);
}

Octet weight_fetch_F16(uint at, uint next)
{
    return Octet(weight_words4(at / 8), uvec4(0));
}

void weight_decode_F16(Octet octet, out vec4 low, out vec4 high)
{
    low = vec4(unpackHalf2x16(octet.low.x), unpackHalf2x16(octet.low.y));
    high = vec4(unpackHalf2x16(octet.low.z), unpackHalf2x16(octet.low.w));
}

Octet weight_fetch_BF16(uint at, uint next)
{
    return Octet(weight_words4(at / 8), uvec4(0));
}

vec4 weight_from_bf16(uvec2 words)
{
    return uintBitsToFloat(uvec4(words.x << 16, words.x & 0xffff0000u, words.y << 16,
                                 words.y & 0xffff0000u));
}

void weight_decode_BF16(Octet octet, out vec4 low, out vec4 high)
{
    low = weight_from_bf16(octet.low.xy);
    high = weight_from_bf16(octet.low.zw);
}

Octet weight_fetch_Q8_0(uint at, uint next)
{
    return Octet(uvec4(WEIGHT_WORDS2(at / 8), weight_header2(at / 32 * 2), 0), uvec4(0));
}

vec4 weight_from_bytes(uint word)
{
    return vec4(int(word << 24) >> 24, int(word << 16) >> 24, int(word << 8) >> 24,
                int(word) >> 24);
}

void weight_decode_Q8_0(Octet octet, out vec4 low, out vec4 high)
{
    const float d = unpackHalf2x16(octet.low.z).x;
    low = d * weight_from_bytes(octet.low.x);
    high = d * weight_from_bytes(octet.low.y);
}

// ---- For all types

// Loads eight neighbours of which four begin at element `at` and four at `next`, both multiples of
// WEIGHT_STEP; unless that is 4, all eight begin at `at`.
Octet weight_fetch(uint at, uint next)
{
    Octet octet = Octet(uvec4(0), uvec4(0));
#define WEIGHT(number, name, elements, data, header)                                               \
    if (STORED == number)                                                                          \
        octet = weight_fetch_##name(at, next);
#include "base/weights.def"
#undef WEIGHT
    return octet;
}

void weight_decode(Octet octet, out vec4 low, out vec4 high)
{
    low = high = vec4(0.0);
#define WEIGHT(number, name, elements, data, header)                                               \
    if (STORED == number)                                                                          \
        weight_decode_##name(octet, low, high);
#include "base/weights.def"
#undef WEIGHT
}

// Four neighbours from element `at` on, a multiple of 4.
vec4 weight_quad(uint at)
{
    Octet octet = Octet(uvec4(0), uvec4(0));
    vec4 low, high;
    if (WEIGHT_BLOCK > 1)
        octet = weight_fetch(at & ~7u, at & ~7u);
    else if (WEIGHT_PER_WORD == 1)
        octet.low = weight_words4(at / 4);
    else
        octet.low.xy = WEIGHT_WORDS2(at / 4);
    weight_decode(octet, low, high);
    return WEIGHT_BLOCK > 1 && (at & 4u) != 0 ? high : low;
}

// The elements in a word, WEIGHT_PER_WORD of them. Only of a type without blocks.
vec4 weight_from_word(uint word)
{
    vec4 low = vec4(0.0), high;
    const Octet octet = Octet(uvec4(word, 0, 0, 0), uvec4(0));
#define WEIGHT(number, name, elements, data, header)                                               \
    if (elements == 1 && STORED == number)                                                         \
        weight_decode_##name(octet, low, high);
#include "base/weights.def"
#undef WEIGHT
    return low;
}

// Puts element `at`, wherever it is, into an octet as its i-th, which is zero yet. Only of a type
// without blocks: rows of blocks are whole octets.
void weight_put(inout Octet octet, uint i, uint at)
{
    const uint word = weights1[at / WEIGHT_PER_WORD];
    if (WEIGHT_PER_WORD > 1)
        octet.low[i / 2] |= bitfieldExtract(word, int(at & 1u) * 16, 16) << (i & 1u) * 16;
    else if (i < 4)
        octet.low[i] = word;
    else
        octet.high[i - 4] = word;
}

// Four neighbours of which `left` > 0 belong to the row: the others may be anything. `whole`, a
// constant: all rows are whole quads.
vec4 weight_row_quad(bool whole, uint at, uint left)
{
    if (whole || WEIGHT_BLOCK > 1)
        return weight_quad(at);
    Octet octet = Octet(uvec4(0), uvec4(0));
    vec4 low, high;
    [[unroll]] for (uint e = 0; e < 4; e++)
        weight_put(octet, e, at + min(e, left - 1));
    weight_decode(octet, low, high);
    return low;
}

#endif
