// y[T, H] = table[ids[T]]: one invocation an element.
#version 450
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"
#include "weight.glsl"

layout(constant_id = 0) const uint STORED = 0; // the type of the weights
layout(binding = 0) readonly buffer Ids { uint ids[]; };       // [rows]
layout(binding = 1) readonly buffer Table { uint table[]; };   // [vocab, cols], stored
layout(binding = 2) writeonly buffer Y { float y[]; };         // [rows, cols]
layout(push_constant) uniform Scalars { uint rows, cols, vocab; };

void main()
{
    const uint i = invocation_index();
    if (i >= rows * cols) {
        return;
    }
    const uint element = ids[i / cols] * cols + i % cols;
    y[i] = weight_value(STORED, table[weight_word(STORED, element)], element);
}
