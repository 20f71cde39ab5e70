// Which of a row's shaders a device can run, and which should be used on it.
#include "ops/kernels.h"

static uint32_t offered_by(const ts_gpu_caps *caps)
{
    const VkSubgroupFeatureFlags shuffle = VK_SUBGROUP_FEATURE_SHUFFLE_BIT,
                                 both = shuffle | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT,
                                 operations = caps->subgroup_operations;
    uint32_t offered = TS_NEEDS_NOTHING;
    offered |= ts_gpu_is_cpu(caps) ? TS_NEEDS_CPU : 0;
    offered |= (operations & both) == both ? TS_NEEDS_SUBGROUPS : 0;
    offered |= (operations & shuffle) && caps->full_subgroup >= 8 ? TS_NEEDS_EIGHT_LANES : 0;
    offered |= (operations & VK_SUBGROUP_FEATURE_BALLOT_BIT) && caps->full_subgroup >= 8
                   ? TS_NEEDS_BROADCASTS
                   : 0;
    offered |= caps->has_int64 ? TS_NEEDS_INT64 : 0;
    offered |= caps->has_addresses ? TS_NEEDS_ADDRESSES : 0;
    offered |= caps->matrix_f16.m != 0 ? TS_NEEDS_F16_MATRICES : 0;
    offered |= caps->has_f16_dots ? TS_NEEDS_F16_DOTS : 0;
    offered |= caps->matrix_bf16.m != 0 ? TS_NEEDS_BF16_MATRICES : 0;
    return offered;
}

bool ts_kernel_can_run(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t shader)
{
    uint32_t needs = ts_kernels[kernel].shaders[shader].needs & ~(uint32_t)TS_NEEDS_CPU;
    return (needs & ~offered_by(caps)) == 0;
}

bool ts_kernel_suits(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t shader)
{
    const ts_kernel_shader *it = &ts_kernels[kernel].shaders[shader];
    return (it->needs & ~offered_by(caps)) == 0 && !ts_gpu_leaves_out(caps, it->name);
}

uint32_t ts_kernel_find(ts_kernel kernel, uint32_t needs)
{
    const ts_kernel_shader *shaders = ts_kernels[kernel].shaders;
    for (uint32_t i = 0; shaders[i].name != NULL; i++) {
        if ((shaders[i].needs & needs) == needs) {
            return i;
        }
    }
    return 0;
}

bool ts_kernel_has_fallback(ts_kernel kernel, uint32_t shader)
{
    return shader > 0 || ts_kernels[kernel].shaders[0].needs != TS_NEEDS_NOTHING;
}
