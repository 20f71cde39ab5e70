// Weights as they are stored: f32, or f16 or bf16 two to a word, widened as they are read. Needs
// no device feature. Element i stands in word stored_word(i) of a buffer of uint.
#ifndef STORED_GLSL
#define STORED_GLSL

layout(constant_id = 0) const uint STORED_DTYPE = 0; // as ts_dtype: 0 f32, 1 f16, 2 bf16

uint stored_word(uint i)
{
    return STORED_DTYPE == 0 ? i : i / 2;
}

float stored_value(uint word, uint i)
{
    if (STORED_DTYPE == 0) {
        return uintBitsToFloat(word);
    }
    const uint bits = i % 2 == 0 ? word & 0xFFFFu : word >> 16;
    return STORED_DTYPE == 1 ? unpackHalf2x16(bits).x : uintBitsToFloat(bits << 16);
}

#endif
