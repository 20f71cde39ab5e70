// Over the LPR lanes of a subgroup that take a row of an attention's scores together, a power of two, which
// the includer has declared: the same bits for each. Needs subgroupShuffleXor.
float row_sum(float x)
{
    [[unroll]] for (uint distance = 1; distance < 32; distance *= 2)
        if (distance < LPR)
            x += subgroupShuffleXor(x, distance);
    return x;
}

float row_largest(float x)
{
    [[unroll]] for (uint distance = 1; distance < 32; distance *= 2)
        if (distance < LPR)
            x = max(x, subgroupShuffleXor(x, distance));
    return x;
}
