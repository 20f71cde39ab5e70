// Weights of any type in src/base/weights.def, read as numbers. Nothing else in shaders/ knows how
// a type is stored: a shader asks for one, four or eight neighbours in a row. To add a type is a
// row there and, here, weight_fetch_NAME and weight_decode_NAME.
//
// The includer defines, and whatever they name is declared before this file is included:
//   WEIGHT_BINDING  where the tensor is bound
//   WEIGHT_COUNT    how many elements the whole tensor has, an expression
//   WIDE            only if words are to be loaded as 64-bit ones
//   WEIGHT_LANES    only if a workgroup is one subgroup of that many lanes and all of them decode
//                   together: then lanes may ask each other, which a CPU does in an instruction
//
// No device needs a 16-bit or 8-bit type for it: everything comes as 32-bit words, of which the
// lower bits are first in memory. STORED, the type, comes from a specialisation constant, so a driver
// keeps the code of one type and drops the rest.
#ifndef WEIGHT_GLSL
#define WEIGHT_GLSL

#include "stored.glsl"

// Elements of a block, and words of its data, of the type that is stored.
#define WEIGHT(number, name, elements, data, header, gguf) STORED == number ? elements :
const uint WEIGHT_BLOCK =
#include "base/weights.def"
    1;
#undef WEIGHT
#define WEIGHT(number, name, elements, data, header, gguf) STORED == number ? data / 4 :
const uint WEIGHT_BLOCK_WORDS =
#include "base/weights.def"
    1;
#undef WEIGHT
// Elements in a word. Of a type with blocks of which a word does not hold a whole number: about.
#define WEIGHT(number, name, elements, data, header, gguf) STORED == number ? 4 * elements / data :
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
layout(std430, set = 0, binding = WEIGHT_BINDING) readonly buffer Weights8 { u64vec4 weights8[]; };
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

// The word of data that element `at` is in, or, where elements are divided among several, one near.
uint weight_place(uint at)
{
    if (WEIGHT_BLOCK == 1)
        return at / WEIGHT_PER_WORD;
    const uint in_block = at % WEIGHT_BLOCK * WEIGHT_BLOCK_WORDS / WEIGHT_BLOCK;
    return at / WEIGHT_BLOCK * WEIGHT_BLOCK_WORDS + in_block;
}

// The word in which headers begin.
uint weight_headers()
{
    return (WEIGHT_COUNT) / WEIGHT_BLOCK * WEIGHT_BLOCK_WORDS;
}

// Bytes of headers from byte `at` of them on: two if it is even, else one. The bits above are
// anything.
uint weight_header2(uint at)
{
    return weights1[weight_headers() + at / 4] >> at % 4 * 8;
}

// ---- The types

// What was loaded of eight neighbours, not yet decoded. `part`: which octet of their block they
// are, where decoding depends on that.
struct Octet {
    uvec4 low, high;
    uint part;
};

const Octet NO_OCTET = Octet(uvec4(0), uvec4(0), 0);

// weight_fetch_NAME: the octet from element `at` on. The fetched quads of F32 lie at `at` and
// `next`.
// weight_decode_NAME: its first four numbers, or its last four.

Octet weight_fetch_F32(uint at, uint next)
{
    return Octet(weight_words4(at / 4), weight_words4(next / 4), 0);
}

vec4 weight_decode_F32(Octet octet, bool last)
{
    return uintBitsToFloat(last ? octet.high : octet.low);
}

Octet weight_fetch_F16(uint at, uint next)
{
    return Octet(weight_words4(at / 8), uvec4(0), 0);
}

vec4 weight_decode_F16(Octet octet, bool last)
{
    const uvec2 words = last ? octet.low.zw : octet.low.xy;
    return vec4(unpackHalf2x16(words.x), unpackHalf2x16(words.y));
}

Octet weight_fetch_BF16(uint at, uint next)
{
    return Octet(weight_words4(at / 8), uvec4(0), 0);
}

vec4 weight_decode_BF16(Octet octet, bool last)
{
    const uvec2 words = last ? octet.low.zw : octet.low.xy;
    return uintBitsToFloat(uvec4(words.x << 16, words.x & 0xffff0000u, words.y << 16,
                                 words.y & 0xffff0000u));
}

Octet weight_fetch_Q8_0(uint at, uint next)
{
    return Octet(uvec4(WEIGHT_WORDS2(at / 8), weight_header2(at / 32 * 2), 0), uvec4(0), 0);
}

vec4 weight_decode_Q8_0(Octet octet, bool last)
{
    const uint word = last ? octet.low.y : octet.low.x;
    return unpackHalf2x16(octet.low.z).x * vec4(int(word << 24) >> 24, int(word << 16) >> 24,
                                                int(word << 8) >> 24, int(word) >> 24);
}

Octet weight_fetch_NF4(uint at, uint next)
{
    return Octet(uvec4(weights1[at / 8], weights1[weight_headers() + at / 64], 0, 0), uvec4(0), 0);
}

// bitsandbytes' level number q, exactly: choices between constants, since a table that lanes index
// apart is a load in most drivers.
vec4 weight_nf4_level(uvec4 q)
{
    const bvec4 odd = notEqual(q & 1u, uvec4(0)), bit1 = notEqual(q & 2u, uvec4(0));
    const bvec4 bit2 = notEqual(q & 4u, uvec4(0)), bit3 = notEqual(q & 8u, uvec4(0));
    const vec4 l0 = mix(vec4(-1.0), vec4(-0.6961928009986877), odd);
    const vec4 l2 = mix(vec4(-0.5250730514526367), vec4(-0.39491748809814453), odd);
    const vec4 l4 = mix(vec4(-0.28444138169288635), vec4(-0.18477343022823334), odd);
    const vec4 l6 = mix(vec4(-0.09105003625154495), vec4(0.0), odd);
    const vec4 l8 = mix(vec4(0.07958029955625534), vec4(0.16093020141124725), odd);
    const vec4 l10 = mix(vec4(0.24611230194568634), vec4(0.33791524171829224), odd);
    const vec4 l12 = mix(vec4(0.44070982933044434), vec4(0.5626170039176941), odd);
    const vec4 l14 = mix(vec4(0.7229568362236023), vec4(1.0), odd);
    return mix(mix(mix(l0, l2, bit1), mix(l4, l6, bit1), bit2),
               mix(mix(l8, l10, bit1), mix(l12, l14, bit1), bit2), bit3);
}

#ifdef WEIGHT_LANES
// The same by shuffles: a lane knows every WEIGHT_LANES-th level.
vec4 weight_nf4_ask(uvec4 q)
{
    vec4 levels = vec4(0.0);
    [[unroll]] for (uint from = 0; from < 16; from += WEIGHT_LANES) {
        const float mine = weight_nf4_level(uvec4(from + gl_SubgroupInvocationID)).x;
        [[unroll]] for (uint e = 0; e < 4; e++) {
            const float asked = subgroupShuffle(mine, q[e] % WEIGHT_LANES);
            levels[e] = (q[e] & 15u) / WEIGHT_LANES * WEIGHT_LANES == from ? asked : levels[e];
        }
    }
    return levels;
}
#else
#define weight_nf4_ask(q) weight_nf4_level(q)
#endif

vec4 weight_nf4_levels(Octet octet, bool last)
{
    const uint word = last ? octet.low.x >> 16 : octet.low.x;
    return weight_nf4_ask(uvec4(word >> 4, word, word >> 12, word >> 8));
}

vec4 weight_decode_NF4(Octet octet, bool last)
{
    return weight_nf4_levels(octet, last) * uintBitsToFloat(octet.low.y);
}

Octet weight_fetch_NF4_16(uint at, uint next)
{
    return Octet(uvec4(weights1[at / 8], weight_header2(at / 64 * 2), 0, 0), uvec4(0), 0);
}

vec4 weight_decode_NF4_16(Octet octet, bool last)
{
    const uint code = octet.low.y;
    const float largest = (code & 0x8000u) != 0 ? unpackHalf2x16(code & 0x7fffu).x
                                                : uintBitsToFloat(code << 16);
    return weight_nf4_levels(octet, last) * largest;
}

Octet weight_fetch_Q4_0(uint at, uint next)
{
    return Octet(uvec4(WEIGHT_WORDS2(at / 32 * 2 + at / 8 % 2), weight_header2(at / 32 * 2), 0),
                 uvec4(0), at / 8);
}

// Four bytes' lower halves, or their upper ones.
uvec4 weight_half_bytes(uint word, bool upper)
{
    word >>= upper ? 4 : 0;
    return uvec4(word, word >> 8, word >> 16, word >> 24) & 15u;
}

// Of a block of 32 in four bits each.
uvec4 weight_half_of_32(Octet octet, bool last)
{
    return weight_half_bytes(last ? octet.low.y : octet.low.x, (octet.part & 2u) != 0);
}

vec4 weight_decode_Q4_0(Octet octet, bool last)
{
    return unpackHalf2x16(octet.low.z).x * vec4(ivec4(weight_half_of_32(octet, last)) - 8);
}

Octet weight_fetch_Q4_1(uint at, uint next)
{
    return Octet(uvec4(WEIGHT_WORDS2(at / 32 * 2 + at / 8 % 2), weights1[weight_headers() + at / 32],
                       0), uvec4(0), at / 8);
}

vec4 weight_decode_Q4_1(Octet octet, bool last)
{
    const vec2 scale = unpackHalf2x16(octet.low.z);
    return scale.x * vec4(weight_half_of_32(octet, last)) + scale.y;
}

// Of a block of 32 in five bits each: `low.w` begins with the octet's fifth bits.
uvec4 weight_five_of_32(Octet octet, bool last)
{
    const uint fifths = octet.low.w >> (last ? 4 : 0);
    return weight_half_of_32(octet, last) |
           (uvec4(fifths, fifths >> 1, fifths >> 2, fifths >> 3) & 1u) << 4;
}

Octet weight_fetch_Q5_0(uint at, uint next)
{
    const uint header = at / 32 * 6;
    return Octet(uvec4(WEIGHT_WORDS2(at / 32 * 2 + at / 8 % 2), weight_header2(header),
                       weight_header2(header + 2 + at / 8 % 4)), uvec4(0), at / 8);
}

vec4 weight_decode_Q5_0(Octet octet, bool last)
{
    return unpackHalf2x16(octet.low.z).x * vec4(ivec4(weight_five_of_32(octet, last)) - 16);
}

Octet weight_fetch_Q5_1(uint at, uint next)
{
    const uvec2 header = WEIGHT_WORDS2(weight_headers() / 2 + at / 32);
    return Octet(uvec4(WEIGHT_WORDS2(at / 32 * 2 + at / 8 % 2), header.x,
                       header.y >> at / 8 % 4 * 8), uvec4(0), at / 8);
}

vec4 weight_decode_Q5_1(Octet octet, bool last)
{
    const vec2 scale = unpackHalf2x16(octet.low.z);
    return scale.x * vec4(weight_five_of_32(octet, last)) + scale.y;
}

Octet weight_fetch_IQ4_NL(uint at, uint next)
{
    return weight_fetch_Q4_0(at, next);
}

// Its 16 levels are bytes of four words.
vec4 weight_decode_IQ4_NL(Octet octet, bool last)
{
    const uvec4 q = weight_half_of_32(octet, last);
    const bvec4 bit2 = notEqual(q & 4u, uvec4(0)), bit3 = notEqual(q & 8u, uvec4(0));
    const uvec4 levels = mix(mix(uvec4(0xbfad9881u), uvec4(0xf6eaddcfu), bit2),
                             mix(uvec4(0x26190d01u), uvec4(0x71594535u), bit2), bit3);
    return unpackHalf2x16(octet.low.z).x * vec4(ivec4(levels << (24 - (q & 3u) * 8)) >> 24);
}

Octet weight_fetch_Q4_K(uint at, uint next)
{
    const uint block = at / 256, part = at / 8 % 32;
    return Octet(uvec4(WEIGHT_WORDS2(block * 16 + part / 8 * 4 + part % 4), 0, 0),
                 weight_words4(weight_headers() / 4 + block), part);
}

// Multiplier and offset of the 32 elements to which a part belongs: ../../src/base/blocks.c.
vec2 weight_scale_part(uvec4 header, uint part)
{
    const uint shift = part / 4 % 4 * 8;
    const uint s = header.y >> shift, m = header.z >> shift, both = header.w >> shift;
    const bool late = part >= 16;
    const uint scale = late ? both & 15u | s >> 2 & 48u : s & 63u;
    const uint minimum = late ? both >> 4 & 15u | m >> 2 & 48u : m & 63u;
    return unpackHalf2x16(header.x) * vec2(scale, minimum);
}

vec4 weight_decode_Q4_K(Octet octet, bool last)
{
    const vec2 scale = weight_scale_part(octet.high, octet.part);
    const uvec4 q = weight_half_bytes(last ? octet.low.y : octet.low.x, (octet.part & 4u) != 0);
    return scale.x * vec4(q) - scale.y;
}

Octet weight_fetch_Q5_K(uint at, uint next)
{
    const uint block = at / 256, part = at / 8 % 32;
    return Octet(uvec4(WEIGHT_WORDS2(block * 20 + 4 + part / 8 * 4 + part % 4),
                       WEIGHT_WORDS2(block * 20 + part % 4)),
                 weight_words4(weight_headers() / 4 + block), part);
}

vec4 weight_decode_Q5_K(Octet octet, bool last)
{
    const vec2 scale = weight_scale_part(octet.high, octet.part);
    const uint fifths = (last ? octet.low.w : octet.low.z) >> octet.part / 4;
    const uvec4 q = weight_half_bytes(last ? octet.low.y : octet.low.x, (octet.part & 4u) != 0);
    const uvec4 fifth = uvec4(fifths, fifths >> 8, fifths >> 16, fifths >> 24) & 1u;
    return scale.x * vec4(q | fifth << 4) - scale.y;
}

Octet weight_fetch_Q6_K(uint at, uint next)
{
    const uint block = at / 256, part = at / 8 % 32;
    return Octet(uvec4(WEIGHT_WORDS2(block * 24 + part / 16 * 8 + part % 8),
                       WEIGHT_WORDS2(block * 24 + 16 + part / 16 * 4 + part % 4)),
                 uvec4(weight_header2(block * 18 + part / 2),
                       weight_header2(block * 18 + 16), 0, 0), part);
}

vec4 weight_decode_Q6_K(Octet octet, bool last)
{
    const float scale = unpackHalf2x16(octet.high.y).x * float(int(octet.high.x << 24) >> 24);
    const uint pairs = (last ? octet.low.w : octet.low.z) >> octet.part / 4 % 4 * 2;
    const uvec4 lower = weight_half_bytes(last ? octet.low.y : octet.low.x, (octet.part & 8u) != 0);
    const uvec4 upper = uvec4(pairs, pairs >> 8, pairs >> 16, pairs >> 24) & 3u;
    return scale * vec4(ivec4(lower | upper << 4) - 32);
}

// ---- For all types

// Loads eight neighbours of which four begin at element `at` and four at `next`, both multiples of
// WEIGHT_STEP; unless that is 4, all eight begin at `at`.
Octet weight_fetch(uint at, uint next)
{
    Octet octet = NO_OCTET;
#define WEIGHT(number, name, elements, data, header, gguf)                                         \
    if (STORED == number)                                                                          \
        octet = weight_fetch_##name(at, next);
#include "base/weights.def"
#undef WEIGHT
    return octet;
}

// Four of an octet's numbers: the first ones or the last ones.
vec4 weight_decode_quad(Octet octet, bool last)
{
    vec4 quad = vec4(0.0);
#define WEIGHT(number, name, elements, data, header, gguf)                                         \
    if (STORED == number)                                                                          \
        quad = weight_decode_##name(octet, last);
#include "base/weights.def"
#undef WEIGHT
    return quad;
}

void weight_decode(Octet octet, out vec4 low, out vec4 high)
{
    low = weight_decode_quad(octet, false);
    high = weight_decode_quad(octet, true);
}

#ifdef WIDE
// Neighbours that one lane reads with as few loads as can be: 16 of a 16-bit type, 64 in blocks.
struct Span {
    u64vec4 low, high;
    uint header;
};

// Loads them, from element `at` on, a multiple of their number. span_of in src/ops/gemm.c knows
// which types have spans.
Span weight_span(uint at)
{
    Span span = Span(u64vec4(0), u64vec4(0), 0);
    if (WEIGHT_BLOCK == 1) {
        span.low = weights8[at / 16];
    } else if (STORED == WEIGHT_Q8_0) {
        span.low = weights8[at / 32];
        span.high = weights8[at / 32 + 1];
        span.header = weights1[weight_headers() + at / 64];
    } else {
        span.low = weights8[at / 64];
        span.header = STORED == WEIGHT_NF4 ? weights1[weight_headers() + at / 64]
                                           : weight_header2(at / 64 * 2);
    }
    return span;
}

// Their octet number i, a constant.
Octet weight_span_octet(Span span, uint i)
{
    if (WEIGHT_BLOCK == 1)
        return Octet(uvec4(unpack32(span.low[2 * i]), unpack32(span.low[2 * i + 1])), uvec4(0), 0);
    if (STORED == WEIGHT_Q8_0)
        return Octet(uvec4(unpack32(i < 4 ? span.low[i] : span.high[i - 4]),
                           i < 4 ? span.header : span.header >> 16, 0),
                     uvec4(0), 0);
    return Octet(uvec4(unpack32(span.low[i / 2])[i % 2], span.header, 0, 0), uvec4(0), 0);
}
#endif

// Four neighbours from element `at` on, a multiple of 4.
vec4 weight_quad(uint at)
{
    Octet octet = NO_OCTET;
    if (WEIGHT_BLOCK > 1)
        octet = weight_fetch(at & ~7u, at & ~7u);
    else if (WEIGHT_PER_WORD == 1)
        octet.low = weight_words4(at / 4);
    else
        octet.low.xy = WEIGHT_WORDS2(at / 4);
    return weight_decode_quad(octet, WEIGHT_BLOCK > 1 && (at & 4u) != 0);
}

// The elements in a word, WEIGHT_PER_WORD of them. Only of a type without blocks.
vec4 weight_from_word(uint word)
{
    Octet octet = NO_OCTET;
    octet.low.x = word;
    return WEIGHT_BLOCK == 1 ? weight_decode_quad(octet, false) : vec4(0.0);
}

// The same of a word that all lanes share. `none` is 0, but different in each lane for all that
// the compiler knows. Without it a CPU driver decodes in scalar registers, from where a broadcast
// to all lanes is slow.
vec4 weight_from_shared_word(uint word, uint none)
{
    if (STORED == WEIGHT_BF16) // two operations, of which one takes the word from memory
        return vec4(uintBitsToFloat(word << (16 + none)),
                    uintBitsToFloat(word & (0xffff0000u + none)), 0.0, 0.0);
    return weight_from_word(WEIGHT_PER_WORD == 1 ? word : word | none);
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
    Octet octet = NO_OCTET;
    [[unroll]] for (uint e = 0; e < 4; e++)
        weight_put(octet, e, at + min(e, left - 1));
    return weight_decode_quad(octet, false);
}

#endif
