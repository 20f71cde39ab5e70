// Optional features that can be hidden after they were read, so that a device with them is used as
// one without. Tests use this, and so may a user whose driver has a bug.
#include "base/memory.h"
#include "gpu/internal.h"

#include <stdio.h>
#include <string.h>

static void hide_subgroup_operations(ts_gpu_caps *caps)
{
    caps->subgroup_operations = 0;
}

// Attention on matrices needs those of one type at least.
static void settle_matrix_attention(ts_gpu_caps *caps)
{
    caps->has_matrix_attention &= caps->matrix_f16.m != 0 || caps->matrix_bf16.m != 0;
}

static void hide_f16_matrices(ts_gpu_caps *caps)
{
    caps->matrix_f16 = (ts_matrix_shape){0};
    settle_matrix_attention(caps);
}

static void hide_bfloat16(ts_gpu_caps *caps)
{
    caps->has_bfloat16 = false;
    caps->matrix_bf16 = (ts_matrix_shape){0};
    settle_matrix_attention(caps);
}

static void hide_matrices(ts_gpu_caps *caps)
{
    hide_f16_matrices(caps);
    hide_bfloat16(caps);
}

static void hide_matrix_attention(ts_gpu_caps *caps)
{
    caps->has_matrix_attention = false;
}

static void hide_f16_dots(ts_gpu_caps *caps)
{
    caps->has_f16_dots = false;
}

// Only precisions with shaders of their own store them so.
static void hide_16_bit_activations(ts_gpu_caps *caps)
{
    caps->f32_activations |= caps->matrix_f16.m != 0 || caps->matrix_bf16.m != 0 || caps->f16_pairs;
}

static void hide_subgroup_size_control(ts_gpu_caps *caps)
{
    hide_matrices(caps); // their shaders must know how many invocations hold a matrix together
    caps->full_subgroup = 0;
    caps->free_broadcasts = false;
    caps->has_full_subgroups = false;
}

// Lets a CPU driver run what GPUs run, in tiles for the registers of AMD's and NVIDIA's, and in f16
// what RDNA 2 runs, but for the instruction.
static void hide_cpu_driver(ts_gpu_caps *caps)
{
    if (ts_gpu_is_cpu(caps)) {
        caps->type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
        caps->registers = 255;
        caps->f16_pairs = true;
    }
}

static void hide_int64(ts_gpu_caps *caps)
{
    caps->has_int64 = false;
}

static void hide_addresses(ts_gpu_caps *caps)
{
    caps->has_addresses = false;
}

static void hide_timestamps(ts_gpu_caps *caps)
{
    caps->timestamp_ns = 0;
}

static void hide_unified_memory(ts_gpu_caps *caps)
{
    caps->unified_memory = false;
}

static void hide_memory_budget(ts_gpu_caps *caps)
{
    caps->memory_free_bytes = caps->memory_bytes;
}

static void hide_cached_memory(ts_gpu_caps *caps)
{
    caps->cached_memory = false;
}

// The limits from here on become the least that Vulkan guarantees.
static void hide_large_bindings(ts_gpu_caps *caps)
{
    caps->max_binding_bytes = ts_min_u64(caps->max_binding_bytes, 128 << 20);
}

static void hide_large_shared_memory(ts_gpu_caps *caps)
{
    caps->shared_bytes = (uint32_t)ts_min_u64(caps->shared_bytes, 16 << 10);
}

static void hide_large_workgroups(ts_gpu_caps *caps)
{
    caps->max_invocations = (uint32_t)ts_min_u64(caps->max_invocations, 128);
}

static void hide_wide_grids(ts_gpu_caps *caps)
{
    for (size_t i = 0; i < TS_COUNT(caps->max_groups); i++) {
        caps->max_groups[i] = (uint32_t)ts_min_u64(caps->max_groups[i], 65535);
    }
}

// Reduces a newer device to what a Tesla T4 has. Its generation, Turing, has no bfloat16.
static void hide_what_t4_lacks(ts_gpu_caps *caps)
{
    hide_bfloat16(caps);
    hide_f16_dots(caps);
    hide_cached_memory(caps);
    hide_unified_memory(caps);
    caps->shared_bytes = (uint32_t)ts_min_u64(caps->shared_bytes, 64 << 10);
    caps->max_invocations = (uint32_t)ts_min_u64(caps->max_invocations, 1024);
}

// They apply in this order: first the one that adds what later ones hide.
const ts_gpu_mask ts_gpu_masks[] = {
    {"cpu-driver", "a driver that runs shaders on the CPU; it gets the shaders and tiles of a GPU",
     hide_cpu_driver},
    {"subgroup-operations", "values passed between lanes; shared memory passes them instead",
     hide_subgroup_operations},
    {"matrices", "cooperative matrices; products are f32 instead, or f16 by dot products",
     hide_matrices},
    {"f16-matrices", "cooperative matrices of f16 operands", hide_f16_matrices},
    {"bfloat16", "the type bfloat16 and cooperative matrices of it", hide_bfloat16},
    {"f16-dots", "dot products of f16; products are f32 instead, or in f16 they are widened",
     hide_f16_dots},
    {"matrix-attention",
     "attention on cooperative matrices; it is f32 instead, or f16 by dot products",
     hide_matrix_attention},
    {"16-bit-activations", "activations stored in 16 bits; they are f32 instead",
     hide_16_bit_activations},
    {"subgroup-size-control",
     "subgroups of a size asked for, and so cooperative matrices and shared rows",
     hide_subgroup_size_control},
    {"int64", "64-bit integers, by which CPU drivers load faster", hide_int64},
    {"addresses", "addresses of buffers, by which CPU drivers load fastest", hide_addresses},
    {"timestamps", "times on the device; the host's clock or none instead", hide_timestamps},
    {"unified-memory", "device memory that the host reaches; staging buffers instead",
     hide_unified_memory},
    {"memory-budget", "how much memory others hold; all counts as free instead",
     hide_memory_budget},
    {"cached-memory", "host memory that is cached", hide_cached_memory},
    {"large-bindings", "buffer views over 128 MiB", hide_large_bindings},
    {"large-shared-memory", "shared memory over 16 KiB a workgroup; smaller tiles instead",
     hide_large_shared_memory},
    {"large-workgroups", "workgroups over 128 invocations; smaller tiles instead",
     hide_large_workgroups},
    {"wide-grids", "over 65535 workgroups side by side; grids are folded instead", hide_wide_grids},
    {"t4", "all that a Tesla T4 does not have", hide_what_t4_lacks},
    {0},
};

static ts_status unknown_mask(const char *name, size_t len, ts_error *err)
{
    char names[512] = "";
    size_t at = 0;
    for (const ts_gpu_mask *mask = ts_gpu_masks; mask->name != NULL && at < sizeof names; mask++) {
        at +=
            (size_t)snprintf(names + at, sizeof names - at, "%s %s", at > 0 ? "," : "", mask->name);
    }
    return ts_error_set(err, TS_ERR_ARGUMENT,
                        "no capability is named '%.*s'; these can be masked:%s",
                        (int)ts_min_u64(len, 64), name, names);
}

ts_status ts_gpu_masks_parse(const char *names, uint32_t *masks, ts_error *err)
{
    for (const char *name = names; *name != '\0';) {
        size_t len = strcspn(name, ","), i = 0;
        while (ts_gpu_masks[i].name != NULL && (strlen(ts_gpu_masks[i].name) != len ||
                                                memcmp(ts_gpu_masks[i].name, name, len) != 0)) {
            i++;
        }
        if (ts_gpu_masks[i].name == NULL) {
            return unknown_mask(name, len, err);
        }
        *masks |= 1u << i;
        name += len + (name[len] == ',');
    }
    return TS_OK;
}

bool ts_gpu_mask_bites(const ts_gpu_mask *mask, const ts_gpu_caps *caps)
{
    ts_gpu_caps before, after;
    memcpy(&before, caps, sizeof before); // padding too, for memcmp
    memcpy(&after, caps, sizeof after);
    mask->hide(&after);
    return memcmp(&before, &after, sizeof after) != 0;
}

void ts_gpu_masks_apply(uint32_t masks, ts_gpu_caps *caps)
{
    for (size_t i = 0; ts_gpu_masks[i].name != NULL; i++) {
        if (masks >> i & 1u) {
            ts_gpu_masks[i].hide(caps);
        }
    }
    caps->masks = masks;
}
