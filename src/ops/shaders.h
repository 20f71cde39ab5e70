// The SPIR-V of every .comp in shaders and shaders/cpu, carried inside the program (made by
// cmake/shaders.cmake).
#ifndef TS_OPS_SHADERS_H
#define TS_OPS_SHADERS_H

#include <stddef.h>
#include <stdint.h>

struct ts_shader {
    const char *name; // the file's name without .comp, or the variant's
    const uint32_t *words;
    size_t bytes;
};

extern const struct ts_shader ts_shader_table[]; // ends with a NULL name

#endif
