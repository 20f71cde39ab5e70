// A reader of SPIR-V, as far as comparing shaders with kernels.def needs it: the storage buffers
// with their bindings and accesses, the push constants, the numbers of the specialisation
// constants. (Khronos, "SPIR-V Specification", 1.5: the first word of each instruction is its
// length and opcode.)
#ifndef TESTS_OPS_SPIRV_H
#define TESTS_OPS_SPIRV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SPIRV_MAX_BINDINGS = 16, SPIRV_MAX_PUSH = 32, SPIRV_MAX_CONSTANTS = 32 };

// What the shader declares at one binding. Several declarations at one binding are combined.
typedef struct spirv_binding {
    uint32_t declarations;
    bool reads, writes;
    char scalar; // of the elements: 'f' float, 'u' uint, 'i' int, 'a' float and uint, '?' another
                 // mixture; a vector counts as its components
} spirv_binding;

typedef struct spirv_interface {
    spirv_binding bindings[SPIRV_MAX_BINDINGS]; // by number
    uint32_t push_count;
    char push[SPIRV_MAX_PUSH]; // scalar of each member
    bool push_is_packed;       // member i lies at byte 4 i
    bool constants[SPIRV_MAX_CONSTANTS];
    bool in_other_sets; // something is outside descriptor set 0
} spirv_interface;

// False if the words are not SPIR-V, or use something that this reader does not know.
bool spirv_read(const uint32_t *words, size_t count, spirv_interface *out);

#endif
