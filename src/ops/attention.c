#include "ops/attention.h"

#include "base/memory.h"
#include "ops/cpu.h"

// Whether eight invocations can share a row. If a whole row is in one invocation's registers, only
// one subgroup fits at a time (RADV: 140, 208 and, spilling, 256 of Polaris's 256 registers), and a
// short batch has too few rows to fill a GPU. If eight share a row, three subgroups fit. They can
// then take two query rows, which both use each key and value that is loaded: with one row, a GPU's
// first-level cache could not feed all of its adders. They take only one key row, because there are
// fewer key rows: several heads of queries share one head of keys.
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
    const uint32_t split_shader = ts_kernel_find(kernel, TS_NEEDS_EIGHT_LANES);
    ts_attention_choice choice;
    if (ts_cpu_choose_attention(caps, kernel, dim, arrays_of(kernel), &choice)) {
        return choice;
    }
    if (can_split(dim) && ts_kernel_suits(caps, kernel, split_shader)) {
        return (ts_attention_choice){.shader = split_shader,
                                     .lanes = 64 / TS_ATTENTION_SPLIT,
                                     .per_lane = kernel == TS_KERNEL_attention_backward_kv ? 1 : 2};
    }
    return (ts_attention_choice){.shader = 0, .lanes = 64, .per_lane = 1};
}

// A macro, since the three argument structs have these fields in common but at different offsets.
// It chooses again as long as the driver cannot build the chosen shader.
#define RECORD(kernel, recorder, args)                                                             \
    do {                                                                                           \
        const ts_attention_choice choice = ts_attention_choose(                                    \
            ts_gpu_capabilities(ts_recorder_gpu(recorder)), TS_KERNEL_##kernel, (args)->dim);      \
        (args)->shader = choice.shader;                                                            \
        (args)->lanes = choice.lanes;                                                              \
        (args)->per_lane = choice.per_lane;                                                        \
        ts_##kernel(recorder, args);                                                               \
    } while (gives_way(recorder, TS_KERNEL_##kernel, (args)->shader))

// Whether the shader could not be built and another is to be chosen. Shader 0 is the last choice.
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
    // If the heads that share a key fill whole workgroups, attention_simd takes less than a third
    // of attention_decode's time: it has no barriers and loads each key once for all of them.
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
