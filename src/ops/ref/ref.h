// The mirrors: every kernel once more in plain C and double, written to be read beside its shader.
// Kernels are tested against them, and the mirror device runs them.
#ifndef TS_OPS_REF_H
#define TS_OPS_REF_H

#include <stddef.h>
#include <stdint.h>

// struct ts_NAME_ref: the row's buffers as arrays of double (INDEX: uint32_t), then its scalars.
#define REF_F32 double
#define REF_WEIGHT double
#define REF_ACT double
#define REF_INDEX uint32_t
#define READ(type, name, elements) const REF_##type *name;
#define WRITE(type, name, elements) REF_##type *name;
#define UPDATE(type, name, elements) REF_##type *name;
#define U32(name) uint32_t name;
#define F32(name) double name;
#define ADDRESS(buffer)
#define CONSTANT(name) uint32_t name;
#define FOLLOWS(name, value)
#define KERNEL(name, shaders, buffers, scalars, constants, groups, tolerance)                      \
    struct ts_##name##_ref {                                                                       \
        buffers scalars constants                                                                  \
    };                                                                                             \
    void ts_ref_##name(const struct ts_##name##_ref *a);
#include "ops/kernels.def"

#endif
