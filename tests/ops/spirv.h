// As much of a SPIR-V reader as holding shaders against kernels.def needs: the storage buffers with
// their bindings and accesses, the push constants, the specialisation constants' numbers.
// (Khronos, "SPIR-V Specification", 1.5: each instruction's first word is its length and opcode.)
#ifndef TESTS_OPS_SPIRV_H
#define TESTS_OPS_SPIRV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SPIRV_MAX_BINDINGS = 16, SPIRV_MAX_PUSH = 32, SPIRV_MAX_CONSTANTS = 32 };

// What the shader declares at one binding; several declarations at one binding count together.
typedef struct spirv_binding {
    uint32_t declarations;
    bool reads, writes;
    char scalar; // 'f' float, 'u' uint, 'i' int, '?' mixed: of the elements, vectors or not
} spirv_binding;

typedef struct spirv_interface {
    spirv_binding bindings[SPIRV_MAX_BINDINGS]; // by number
    uint32_t push_count;
    char push[SPIRV_MAX_PUSH]; // scalar of each member
    bool push_is_packed;       // member i lies at byte 4 i
    bool constants[SPIRV_MAX_CONSTANTS];
    bool in_other_sets; // something lies outside descriptor set 0
} spirv_interface;

// False when the words are not SPIR-V, or ask for more than this reader knows.
bool spirv_read(const uint32_t *words, size_t count, spirv_interface *out);

#endif
