// y[T, H] = table[ids[T]]: one invocation an element.
#version 450
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 128) in;
#include "grid.glsl"
#include "stored.glsl"

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
    y[i] = stored_value(table[stored_word(element)], element);
}
