#include "ops/attention.h"

#include "base/memory.h"

// Floats that an invocation of the CPU drivers' shaders keeps: with eight lanes 16 KiB, half of a
// core's first-level cache.
enum { LANE_FLOATS = 512, MOST_PER_LANE = 4 };

// Whole vectors in one invocation's registers leave room for one subgroup at a time (RADV: 140, 208
// and, spilling, 256 of Polaris's 256 registers), and a short batch has too few rows to fill a GPU.
// Shared by 8 they leave room for three, and for two rows each, which then share what is loaded: a
// GPU's first cache feeds fewer loads than its adders could use. Keys are fewer than queries, by
// the heads that share one, so that theirs stay single.
static bool can_split(uint32_t dim)
{
    return dim % (4 * TS_ATTENTION_SPLIT) == 0;
}

bool ts_attention_has_tile(ts_kernel kernel)
{
    return kernel == TS_KERNEL_attention || kernel == TS_KERNEL_attention_backward_q ||
           kernel == TS_KERNEL_attention_backward_kv;
}

// How many vectors of head size an invocation keeps for each of its rows.
static uint32_t arrays_of(ts_kernel kernel)
{
    return kernel == TS_KERNEL_attention ? 2 : kernel == TS_KERNEL_attention_backward_q ? 3 : 4;
}

ts_attention_choice ts_attention_choose(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t dim)
{
    const uint32_t simd_shader = ts_kernel_find(kernel, TS_NEEDS_CPU),
                   split_shader = ts_kernel_find(kernel, TS_NEEDS_EIGHT_LANES);
    uint32_t arrays = arrays_of(kernel);
    bool simd = ts_kernel_suits(caps, kernel, simd_shader);
    if (!simd && can_split(dim) && ts_kernel_suits(caps, kernel, split_shader)) {
        return (ts_attention_choice){.shader = split_shader,
                                     .lanes = 64 / TS_ATTENTION_SPLIT,
                                     .per_lane = kernel == TS_KERNEL_attention_backward_kv ? 1 : 2};
    }
    if (!simd) {
        return (ts_attention_choice){.shader = 0, .lanes = 64, .per_lane = 1};
    }
    uint64_t fitting = ts_max_u64(1, LANE_FLOATS / ((uint64_t)dim * arrays));
    return (ts_attention_choice){.shader = simd_shader,
                                 .lanes = caps->subgroup_size,
                                 .per_lane = (uint32_t)ts_min_u64(fitting, MOST_PER_LANE)};
}

// The three kernels' arguments have these fields in common, at places of their own.
#define RECORD(kernel, recorder, args)                                                             \
    do {                                                                                           \
        const ts_attention_choice choice = ts_attention_choose(                                    \
            ts_gpu_capabilities(ts_recorder_gpu(recorder)), TS_KERNEL_##kernel, (args)->dim);      \
        (args)->shader = choice.shader;                                                            \
        (args)->lanes = choice.lanes;                                                              \
        (args)->per_lane = choice.per_lane;                                                        \
        ts_##kernel(recorder, args);                                                               \
    } while (gives_way(recorder, TS_KERNEL_##kernel, (args)->shader))

// Whether the shader could not be built and the next choice will be another.
static bool gives_way(ts_recorder *recorder, ts_kernel kernel, uint32_t shader)
{
    return shader != 0 && ts_recorder_leaves_out(recorder, ts_kernels[kernel].shaders[shader].name);
}

void ts_attend(ts_recorder *recorder, struct ts_attention_args *args)
{
    RECORD(attention, recorder, args);
}

void ts_attend_cached(ts_recorder *recorder, struct ts_attention_args *args)
{
    const ts_gpu_caps *caps = ts_gpu_capabilities(ts_recorder_gpu(recorder));
    ts_attention_choice choice = ts_attention_choose(caps, TS_KERNEL_attention, args->dim);
    // A row's heads that share their keys fill whole workgroups of attention_simd, which then take
    // under a third of attention_decode's time: no barriers, and each key is loaded once.
    if (choice.shader == TS_SHADER_attention_simd &&
        args->heads / args->kv_heads % choice.lanes == 0) {
        args->shader = TS_SHADER_attention_simd;
        args->lanes = choice.lanes;
        args->per_lane = 1;
        ts_attention(recorder, args);
        if (!gives_way(recorder, TS_KERNEL_attention, TS_SHADER_attention_simd)) {
            return;
        }
    }
    ts_attention_decode(recorder, &(struct ts_attention_decode_args){
                                      .q = args->q,
                                      .k = args->k,
                                      .v = args->v,
                                      .first = args->first,
                                      .last = args->last,
                                      .o = args->o,
                                      .rows = args->rows,
                                      .kv_rows = args->kv_rows,
                                      .heads = args->heads,
                                      .kv_heads = args->kv_heads,
                                      .scale = args->scale,
                                      .dim = args->dim,
                                  });
}

void ts_attend_backward_q(ts_recorder *recorder, struct ts_attention_backward_q_args *args)
{
    RECORD(attention_backward_q, recorder, args);
}

void ts_attend_backward_kv(ts_recorder *recorder, struct ts_attention_backward_kv_args *args)
{
    RECORD(attention_backward_kv, recorder, args);
}
