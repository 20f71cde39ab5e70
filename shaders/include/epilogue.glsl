// What a product does with four of its sums, a quad of C, where a gated MLP's activation or that one's
// gradient follows (EPILOGUE 1 and 2, said where the product is): the tensors that it would else write and
// read again stay in registers. n and ldc are multiples of 4. A quad of gate and up is read before anything
// is written there.
//
// The includer has c, gate, up and gated, and the constants EPILOGUE and GELU; FOUND(quad), if it defines
// that, is told what becomes an operand of the next product.
#ifndef EPILOGUE_GLSL
#define EPILOGUE_GLSL

#include "gate.glsl"

#ifndef FOUND
#define FOUND(quad)
#endif

void store_gated(uint at, vec4 sum)
{
    const vec4 g = gate_quad(at);
    if (EPILOGUE == 1) {
        c_store(true, at, 4, sum);
        if (c_type != WEIGHT_F32) // as swiglu would read it
            sum = act_decode(c_type, act_encode(c_type, sum));
        const vec4 y = g / (1.0 + exp(-slant(g))) * sum;
        gated_store(true, at, 4, y);
        FOUND(y);
        return;
    }
    const vec4 u = up_quad(at), sigmoid = 1.0 / (1.0 + exp(-slant(g)));
    const vec4 dgate = sum * u * sigmoid * (1.0 + g * (1.0 - sigmoid) * steepness(g));
    const vec4 dup = sum * g * sigmoid;
    c_store(true, at, 4, dgate);
    gated_store(true, at, 4, dup);
    FOUND(dgate);
    FOUND(dup);
}

#endif
