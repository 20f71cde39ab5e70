// Reading weights that a buffer holds as f32, f16 or bf16, on devices that know no 16-bit type.
//
// The buffer is declared as 32-bit words (scalar, two or four at once) and widened by bit
// operations that every Vulkan device has: bf16 is the upper half of an f32, f16 goes through
// unpackHalf2x16. Of the two halves of a word the lower one comes first in memory.
// `type` is a specialisation constant, so the driver keeps one branch only.

const uint WEIGHT_F32 = 0;
const uint WEIGHT_F16 = 1;
const uint WEIGHT_BF16 = 2;

// Two consecutive 16-bit weights.
vec2 weight_unpack2(uint type, uint word)
{
    if (type == WEIGHT_F16)
        return unpackHalf2x16(word);
    return vec2(uintBitsToFloat(word << 16), uintBitsToFloat(word & 0xffff0000u));
}

// Four consecutive 16-bit weights.
vec4 weight_unpack4(uint type, uvec2 words)
{
    return vec4(weight_unpack2(type, words.x), weight_unpack2(type, words.y));
}

// One 16-bit weight: that of element `index`, found in its word.
float weight_unpack1(uint type, uint word, uint index)
{
    const uint bits = (index & 1u) == 0 ? word & 0xffffu : word >> 16;
    return type == WEIGHT_F16 ? unpackHalf2x16(bits).x : uintBitsToFloat(bits << 16);
}

// The same for a buffer of single words in any of the three types: element `index` stands in word
// weight_word(type, index).
uint weight_word(uint type, uint index)
{
    return type == WEIGHT_F32 ? index : index >> 1;
}

float weight_value(uint type, uint word, uint index)
{
    return type == WEIGHT_F32 ? uintBitsToFloat(word) : weight_unpack1(type, word, index);
}
