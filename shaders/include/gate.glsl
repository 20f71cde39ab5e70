// The activation of a gated MLP's gate, x * sigmoid(slant(x)): SiLU with slant(x) = x, or the tanh
// approximation of GELU, for 0.5 (1 + tanh(z)) = sigmoid(2 z).
#ifndef GATE_GLSL
#define GATE_GLSL

const float GELU_FIRST = 1.5957691216057308; // 2 sqrt(2 / pi)
const float GELU_THIRD = GELU_FIRST * 0.044715;

vec4 slant(vec4 x)
{
    return GELU != 0 ? x * (GELU_FIRST + GELU_THIRD * (x * x)) : x;
}

// The derivative of slant
vec4 steepness(vec4 x)
{
    return GELU != 0 ? GELU_FIRST + 3.0 * GELU_THIRD * (x * x) : vec4(1.0);
}

#endif
