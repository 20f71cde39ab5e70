// One typed function for each kernel, generated from kernels.def: fill a struct ts_NAME_args and
// call ts_NAME, which records one dispatch. On the mirror device (ts_gpu_open_mirror) the same call
// runs ts_ref_NAME at once instead, the kernel's mirror in double.
#ifndef TS_OPS_KERNELS_H
#define TS_OPS_KERNELS_H

#include "gpu/recorder.h"

// The kernels, in the registry's order.
typedef enum ts_kernel {
#define KERNEL(name, ...) TS_KERNEL_##name,
#include "ops/kernels.def"
    TS_KERNEL_COUNT
} ts_kernel;

// What a shader needs of a device, in bits.
typedef enum ts_needs {
    TS_NEEDS_NOTHING = 0,
    TS_NEEDS_CPU = 1,         // to be fast: a driver that runs shaders on the CPU
    TS_NEEDS_SUBGROUPS = 2,   // shuffles and arithmetic across a subgroup
    TS_NEEDS_EIGHT_LANES = 4, // shuffles, in full subgroups of one size, eight or more
    TS_NEEDS_INT64 = 8,
    TS_NEEDS_ADDRESSES = 16,    // buffers read by address
    TS_NEEDS_F16_MATRICES = 32, // matrix units with f16 operands
    TS_NEEDS_BF16_MATRICES = 64,
    TS_NEEDS_BROADCASTS = 128, // a lane's value for all, in full subgroups of one size
    TS_NEEDS_F16_DOTS = 256,   // dot products of f16 pairs, added to f32
} ts_needs;

// TS_SHADER_name: a shader's place in its row, from 0.
#define SHADER(file, needs) TS_SHADER_##file,
#define VARIANT(name, file, macro, needs) TS_SHADER_##name,
#define KERNEL(name, shaders, ...) enum { shaders TS_SHADERS_OF_##name };
#include "ops/kernels.def"

// As many linear layers as read one input, q_proj, k_proj and v_proj: what a kernel takes at once.
enum { TS_MOST_TOGETHER = 3 };

// struct ts_NAME_args: views of the buffers, the scalars, the specialisation constants, and
// which of the row's shaders (0, the first, unless set).
#define READ(type, name, elements) ts_view name;
#define WRITE(type, name, elements) ts_view name;
#define UPDATE(type, name, elements) ts_view name;
#define U32(name) uint32_t name;
#define F32(name) float name;
#define ADDRESS(buffer)
#define CONSTANT(name) uint32_t name;
#define FOLLOWS(name, value)
#define KERNEL(name, shaders, buffers, scalars, constants, groups, tolerance)                      \
    struct ts_##name##_args {                                                                      \
        buffers scalars constants uint32_t shader;                                                 \
    };                                                                                             \
    void ts_##name(ts_recorder *recorder, const struct ts_##name##_args *args);
#include "ops/kernels.def"

// A kernel's row as data, for code that goes through all kernels (tests, benchmarks, doctor).
typedef enum ts_buffer_type {
    TS_BUFFER_F32,
    TS_BUFFER_WEIGHT,
    TS_BUFFER_ACT,
    TS_BUFFER_INDEX
} ts_buffer_type;

typedef struct ts_kernel_buffer {
    const char *name;
    ts_buffer_type type;
    ts_access access;
} ts_kernel_buffer;

typedef struct ts_kernel_field {
    // 'u' U32, 'f' F32, 'l' and 'h' the lower and the higher word of ADDRESS: push constants in
    // order; 'c': specialisation constants 1, 2, ...
    char kind;
    const char *name; // for 'l' and 'h': the buffer's
} ts_kernel_field;

typedef struct ts_kernel_shader {
    const char *name;
    uint32_t needs; // bits of ts_needs
} ts_kernel_shader;

typedef struct ts_kernel_info {
    const char *name;
    ts_kernel_shader shaders[7]; // ends with a NULL name
    ts_kernel_buffer
        buffers[TS_MAX_VIEWS + 1]; // in the order of the bindings; ends with a NULL name
    ts_kernel_field fields[44];    // ends with a NULL name
    double tolerance;              // relative, in f32
} ts_kernel_info;

extern const ts_kernel_info ts_kernels[TS_KERNEL_COUNT];

// The row that has a shader of this name; TS_KERNEL_COUNT if there is none.
ts_kernel ts_kernel_of(const char *shader);
// Where `dispatch` holds a scalar or a constant of the row, by its name; NULL if the row has none.
uint32_t *ts_kernel_find_field(ts_kernel kernel, ts_dispatch *dispatch, const char *name);

// Whether the device has all that a shader of the row needs. TS_NEEDS_CPU is ignored here: a GPU
// can run such a shader too, only slowly.
bool ts_kernel_can_run(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t shader);
// Whether the shader should be used on this device: the device has all that it needs, including
// TS_NEEDS_CPU, and it is not left out (ts_gpu_leave_out).
bool ts_kernel_suits(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t shader);
// The place of the row's first shader that has all bits of `needs`; 0 if there is none.
uint32_t ts_kernel_find(ts_kernel kernel, uint32_t needs);
// Whether something can replace this shader if it is left out: the row's first shader or, in a row
// whose first shader has needs of its own, another kernel: `gemm`, or attention's without _rounded.
bool ts_kernel_has_fallback(ts_kernel kernel, uint32_t shader);

// What specialisation constant 0 says of a row's buffer i: how it is stored, if it is one of
// weights or activations.
ts_dtype ts_kernel_stored(ts_buffer_type type, uint32_t i, uint32_t constant);

// Evaluates the row of `kernel` with the scalars and constants set in `dispatch`: how many elements
// each buffer must hold, and how many workgroups run. Sets the constants that follow (FOLLOWS).
void ts_kernel_sizes(ts_kernel kernel, ts_dispatch *dispatch, uint64_t elements[TS_MAX_VIEWS],
                     uint64_t groups[2]);

// Records `kernel` from an untyped dispatch (views, push constants and constants[1..] set). The
// typed functions call it, and so does code that goes through all kernels.
void ts_kernel_record(ts_recorder *recorder, ts_kernel kernel, uint32_t shader,
                      ts_dispatch *dispatch);

#endif
