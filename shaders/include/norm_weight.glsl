// The norm's weights, four at once; the includer has declared STORED, QUADS and the bindings weight1
// (single words) and weight2 (two of them).
vec4 norm_weights(uint column, uint cols)
{
    vec4 w;
    if (QUADS != 0 && STORED != WEIGHT_F32)
        return weight_unpack4(STORED, weight2[column / 4]);
    if (QUADS != 0)
        return uintBitsToFloat(uvec4(weight2[column / 2], weight2[column / 2 + 1]));
    [[unroll]] for (uint e = 0; e < 4; e++) {
        const uint c = min(column + e, cols - 1);
        w[e] = weight_value(STORED, weight1[weight_word(STORED, c)], c);
    }
    return w;
}
