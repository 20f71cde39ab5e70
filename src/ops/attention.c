#include "ops/attention.h"

#include "base/memory.h"

// Floats that an invocation of the CPU drivers' shaders keeps: with eight lanes 16 KiB, half of a
// core's first-level cache.
enum { LANE_FLOATS = 512, MOST_PER_LANE = 4 };

enum { ATTENTION, ATTENTION_SIMD, ATTENTION_SPLIT }; // the shaders of the rows, in their order
enum { SPLIT = 4 };                                  // invocations a row, as the shader is built

// Whole vectors in one invocation's registers leave room for one subgroup at a time (RADV: 140, 208
// and, spilling, 256 of Polaris's 256 registers), and a short batch has too few rows to fill a GPU.
static bool can_split(const ts_gpu_caps *caps, uint32_t dim)
{
    return (caps->subgroup_operations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT) &&
           caps->subgroup_size >= SPLIT && dim % (4 * SPLIT) == 0;
}

ts_attention_choice ts_attention_choose(const ts_gpu_caps *caps, uint32_t dim, uint32_t arrays)
{
    if (!ts_gpu_is_simd(caps) && can_split(caps, dim)) {
        return (ts_attention_choice){.shader = ATTENTION_SPLIT, .lanes = 64 / SPLIT, .per_lane = 1};
    }
    if (!ts_gpu_is_simd(caps)) {
        return (ts_attention_choice){.shader = ATTENTION, .lanes = 64, .per_lane = 1};
    }
    uint64_t fitting = ts_max_u64(1, LANE_FLOATS / ((uint64_t)dim * arrays));
    return (ts_attention_choice){.shader = ATTENTION_SIMD,
                                 .lanes = caps->subgroup_size,
                                 .per_lane = (uint32_t)ts_min_u64(fitting, MOST_PER_LANE)};
}
