#include "ops/attention.h"

#include "base/memory.h"

// Floats that an invocation of the CPU drivers' shaders keeps: with eight lanes 16 KiB, half of a
// core's first-level cache.
enum { LANE_FLOATS = 512, MOST_PER_LANE = 4 };

ts_attention_choice ts_attention_choose(const ts_gpu_caps *caps, uint32_t dim, uint32_t arrays)
{
    if (!ts_gpu_is_simd(caps)) {
        return (ts_attention_choice){.shader = 0, .lanes = 64, .per_lane = 1};
    }
    uint64_t fitting = ts_max_u64(1, LANE_FLOATS / ((uint64_t)dim * arrays));
    return (ts_attention_choice){.shader = 1,
                                 .lanes = caps->subgroup_size,
                                 .per_lane = (uint32_t)ts_min_u64(fitting, MOST_PER_LANE)};
}
