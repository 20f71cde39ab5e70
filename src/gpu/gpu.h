// The Vulkan device: the choice of one, what it can do, and the handle that everything else on this
// floor takes. Nothing here knows of neural networks.
#ifndef TS_GPU_GPU_H
#define TS_GPU_GPU_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <volk.h>

// A shape of cooperative matrices, [m, k] times [k, n]. m = 0: none.
typedef struct ts_matrix_shape {
    uint32_t m, n, k;
} ts_matrix_shape;

enum { TS_GPU_MOST_LEFT_OUT = 127 }; // shaders; the program has fewer

// What a device reports about itself.
typedef struct ts_gpu_caps {
    char name[VK_MAX_PHYSICAL_DEVICE_NAME_SIZE];
    char driver[VK_MAX_DRIVER_NAME_SIZE + VK_MAX_DRIVER_INFO_SIZE];
    uint32_t api_version;
    VkPhysicalDeviceType type;
    uint32_t subgroup_size;
    VkSubgroupFeatureFlags subgroup_operations; // in compute shaders
    uint32_t max_invocations;                   // of one workgroup, all of them along x
    uint32_t max_subgroups;                     // of one workgroup, where their size is asked for
    uint32_t max_groups[3];                     // of one dispatch
    uint32_t shared_bytes;                      // of one workgroup
    uint64_t max_binding_bytes;                 // largest storage-buffer view
    uint64_t max_allocation_bytes;              // largest single allocation
    uint64_t memory_bytes;                      // largest device-local heap
    uint64_t memory_free_bytes; // of it, by VK_EXT_memory_budget and by the host where it is shared
    uint32_t view_alignment;    // of a view's offset into a buffer
    bool unified_memory;        // device memory is the host's too: mapped, not staged
    bool cached_memory;         // it offers host-visible memory that the CPU caches
    float timestamp_ns;         // of one tick; 0: no timestamps
    uint64_t timestamp_mask;    // the counter's largest value; 0 follows it
    // Cooperative matrices, held by a subgroup together: 16-bit operands, products summed in f32.
    ts_matrix_shape matrix_f16, matrix_bf16;
    // The size of all subgroups, all of them full, in shaders that rely on it: those with matrices
    // and those whose invocations share a row. 0: no size can be relied on.
    uint32_t full_subgroup;
    bool has_full_subgroups; // pipelines may require them (VK_EXT_subgroup_size_control)
    bool fixed_subgroup;     // it is the device's only size, and cannot be requested
    bool free_broadcasts;    // a known lane's register is any instruction's operand for all lanes
    uint32_t registers;      // of 32 bits that an invocation of such a subgroup has; 0: not limited
    bool has_matrix_attention; // attention may use those matrices
    bool f32_activations;      // none are to be stored in 16 bits; only a mask says so
    bool has_f16_dots; // f16 pairs are multiplied and added to an f32 sum by one instruction
    bool f16_pairs; // without matrix units, products in f16 go by pairs: by that instruction or not
    bool has_bfloat16;    // shaders may use it, in such matrices too
    bool has_int64;       // shaders may use 64-bit integers
    bool has_addresses;   // shaders may read buffers by address; set for CPU drivers only
    const char *unusable; // why this program cannot use it; NULL: it can
    uint32_t masks;       // bits of ts_gpu_masks that were hidden
    // Shaders that are not used (ts_gpu_caps_leave_out), each once; then NULL.
    const char *left_out[TS_GPU_MOST_LEFT_OUT + 1];
} ts_gpu_caps;

static inline bool ts_gpu_is_cpu(const ts_gpu_caps *caps)
{
    return caps->type == VK_PHYSICAL_DEVICE_TYPE_CPU;
}
// Whether the driver runs shaders on the CPU and can pass values between the invocations of a
// subgroup: what the *_simd shaders are written for.
bool ts_gpu_is_simd(const ts_gpu_caps *caps);
const char *ts_gpu_type_name(VkPhysicalDeviceType type);

// All devices that Vulkan offers here, in Vulkan's order, and which one would be chosen. Loading
// Vulkan's drivers takes a good part of a second. So the list keeps them loaded until a device is
// opened from it or it is closed.
typedef struct ts_gpu_list {
    ts_gpu_caps *caps;
    size_t count;
    size_t chosen;                    // index; meaningful when count > 0
    const char *reason;               // why that one
    struct ts_gpu_instance *instance; // NULL: a device was opened from it
} ts_gpu_list;

// What the Khronos validation layer checks.
typedef enum ts_validation {
    TS_VALIDATE_NO,
    TS_VALIDATE_SYNC, // every call, and that accesses are ordered
    TS_VALIDATE_GPU,  // what shaders access, by checks put into them: slow
} ts_validation;

typedef struct ts_gpu_params {
    const char *device; // index as ts_gpu_list counts, or part of a name; NULL: best first
    bool validate;      // TS_VALIDATE_SYNC; the environment variable TINYSFT_VALIDATE asks for the
                        // same with 1, and for TS_VALIDATE_GPU with gpu
    uint32_t masks;     // bits of ts_gpu_masks to hide on every device; the environment variable
                        // TINYSFT_MASK_CAPABILITIES names more, separated by commas
    bool compile_only;  // only builds pipelines: memory holds nothing, and what is recorded is not
                        // run. Needs no working device, only its driver's compiler
    bool listings;      // with compile_only: pipelines keep their compiler's listing
    bool no_tuning;     // choose nothing by measuring; TINYSFT_TUNE=off does the same
} ts_gpu_params;

// An optional feature that can be hidden, so that a device is used as one without it.
typedef struct ts_gpu_mask {
    const char *name, *hides; // hides: what it hides, and what is used instead
    void (*hide)(ts_gpu_caps *caps);
} ts_gpu_mask;
extern const ts_gpu_mask ts_gpu_masks[]; // ends with a NULL name

// Adds the bits of "NAME,NAME,..." to *masks. TS_ERR_ARGUMENT lists the names.
ts_status ts_gpu_masks_parse(const char *names, uint32_t *masks, ts_error *err);
// Whether the device has what the mask hides.
bool ts_gpu_mask_bites(const ts_gpu_mask *mask, const ts_gpu_caps *caps);

// TS_ERR_DEVICE with what to install when there is no Vulkan loader or driver; TS_ERR_ARGUMENT
// listing the devices when `device` matches none or several.
ts_status ts_gpu_enumerate(const ts_gpu_params *params, ts_gpu_list *out, ts_error *err);
void ts_gpu_list_close(ts_gpu_list *list); // a zeroed one is fine

typedef struct ts_gpu ts_gpu;
// Opens the list's chosen device. `params` are those that the list was made with. The list stays
// readable, and must be closed; only one device can be opened from it, whether that succeeds or
// not.
ts_status ts_gpu_open_listed(ts_gpu_list *list, const ts_gpu_params *params, ts_gpu **out,
                             ts_error *err);
// Both steps in one.
ts_status ts_gpu_open(const ts_gpu_params *params, ts_gpu **out, ts_error *err);
void ts_gpu_close(ts_gpu *gpu); // NULL is fine

// The mirror device, for tests: no Vulkan; memory is the host's, tensors asked for as F32 hold
// doubles, and a dispatch runs its `mirror` function at once. The whole of the model's code runs
// on it unchanged, in double precision. Never chosen by ts_gpu_open.
ts_status ts_gpu_open_mirror(ts_gpu **out, ts_error *err);
bool ts_gpu_is_mirror(const ts_gpu *gpu);
bool ts_gpu_is_compile_only(const ts_gpu *gpu);
// From now on `seen` is called with each dispatch that would be recorded on a device opened with
// compile_only, and with the place of its pipeline (ts_gpu_pipeline_key). NULL: no longer.
struct ts_dispatch;
void ts_gpu_watch(ts_gpu *gpu,
                  void (*seen)(void *context, size_t pipeline, const struct ts_dispatch *dispatch),
                  void *context);

const ts_gpu_caps *ts_gpu_capabilities(const ts_gpu *gpu);

// What higher floors keep with the device, one thing a slot. ts_gpu_close calls each one's `close`
// before it does anything else.
enum { TS_GPU_SLOTS = 2 };
void ts_gpu_attach(ts_gpu *gpu, uint32_t slot, void *attached, void (*close)(void *attached));
void *ts_gpu_attached(const ts_gpu *gpu, uint32_t slot); // NULL: nothing yet

// Whether choices may be made by measuring on this device (ops/tune.h); on the mirror never.
bool ts_gpu_may_tune(const ts_gpu *gpu);

// Leaves out a shader that this device cannot build, gets wrong or runs slowly: from now on another
// variant of its kernel is chosen. `shader` must live as long as the program.
void ts_gpu_leave_out(ts_gpu *gpu, const char *shader);
void ts_gpu_caps_leave_out(ts_gpu_caps *caps, const char *shader);
bool ts_gpu_leaves_out(const ts_gpu_caps *caps, const char *shader);

// Messages the validation layer has given in this process, devices already closed included.
uint64_t ts_gpu_validation_messages(void);

#endif
