// How the buffers of a dispatch are stored, told by specialisation constant 0: its lowest 8 bits are
// the type of the WEIGHT buffers, then each binding has 2 bits, the type of the ACT buffer there.
// src/ops/kernels.c puts it together from the views.
#ifndef STORED_GLSL
#define STORED_GLSL

layout(constant_id = 0) const uint STORED_AS = 0;

#define WEIGHT(number, name, elements, data, header, gguf) const uint WEIGHT_##name = number;
#include "base/weights.def"
#undef WEIGHT

const uint STORED = STORED_AS & 0xFFu; // the weights' type
#define STORED_AT(place) (STORED_AS >> (8 + 2 * (place)) & 3u)

#endif
