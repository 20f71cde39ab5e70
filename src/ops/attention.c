#include "ops/attention.h"

#include "base/memory.h"
#include "ops/cpu.h"

bool ts_attention_has_tile(ts_kernel kernel)
{
    return kernel == TS_KERNEL_attention || kernel == TS_KERNEL_attention_backward_q ||
           kernel == TS_KERNEL_attention_backward_kv;
}

// Vectors of head size: an invocation keeps `inputs` and `sums` of each of its rows, and `loaded`
// of the row that it multiplies these by.
struct vectors {
    uint32_t inputs, sums, loaded;
};

static struct vectors vectors_of(ts_kernel kernel)
{
    switch (kernel) {
    case TS_KERNEL_attention: // query; output; key, then value
        return (struct vectors){1, 1, 1};
    case TS_KERNEL_attention_backward_q: // query, dout; dq; key, twice
        return (struct vectors){2, 1, 1};
    default: // key, value; dk, dv; query and dout, twice
        return (struct vectors){2, 2, 2};
    }
}

// Sets split and per_lane to the cheapest way in which an invocation keeps no more than `most`
// floats. Returns false if there is none.
static bool find_split(ts_kernel kernel, uint32_t dim, uint64_t most, ts_attention_choice *choice)
{
    enum { LEAST = 8, MOST = 32 };
    const struct vectors vectors = vectors_of(kernel);
    const bool two_rows = kernel != TS_KERNEL_attention_backward_kv && choice->held;
    uint64_t least_cost = UINT64_MAX;
    uint32_t sums = 3; // steps of split_sum
    for (uint32_t split = LEAST; split <= MOST && split <= choice->subgroup_size; split *= 2) {
        for (uint32_t rows = two_rows ? 2 : 1; rows >= 1; rows--) {
            const uint64_t quads = ts_ceil_div(dim, 4 * (uint64_t)split);
            const uint64_t kept = choice->held
                                      ? rows * (vectors.inputs + vectors.sums) + vectors.loaded
                                      : vectors.sums + 1;
            // Of a row: its multiplications, its loads, which all rows of an invocation share and
            // which are the slower, and its sums.
            const uint64_t cost = split * (quads * (2 + 4 / rows) + sums);
            if (4 * quads * kept <= most && cost < least_cost) {
                least_cost = cost;
                choice->split = split;
                choice->per_lane = rows;
            }
        }
        sums++;
    }
    return least_cost < UINT64_MAX;
}

// How many invocations share a row in the shaders *_split, and how many rows they take. If a whole
// row is in one invocation's registers, only one subgroup fits at a time (RADV: 140, 208 and,
// spilling, 256 of Polaris's 256 registers), and a short batch has too few rows to fill a GPU. With
// GOOD floats, two to four subgroups fit. Nothing is spilled while they take no more than three
// quarters of the registers: of 128 on Intel, whose subgroups of eight let no more than eight share
// a row. Where it can, a group takes two query rows, which both use each key and value that is
// loaded: with one row, a GPU's first-level cache could not feed all of its adders. It takes only
// one key row, because there are fewer key rows: several heads of queries share one head of keys.
static ts_attention_choice split_rows(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t dim)
{
    enum { INVOCATIONS = 64, GOOD = 72, REGISTERS = 128 };
    const uint64_t most = (caps->registers > 0 ? caps->registers : REGISTERS) * 3 / 4;
    ts_attention_choice choice = {.subgroup_size = caps->full_subgroup, .held = 1};
    if (!find_split(kernel, dim, ts_min_u64(GOOD, most), &choice) &&
        !find_split(kernel, dim, most, &choice)) {
        choice.held = 0;
        if (!find_split(kernel, dim, most, &choice)) {
            find_split(kernel, dim, UINT64_MAX, &choice); // it will spill
        }
    }
    choice.lanes = (uint32_t)ts_max_u64(INVOCATIONS, choice.subgroup_size) / choice.split;
    return choice;
}

ts_attention_choice ts_attention_choose(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t dim)
{
    enum { SMALL = 16 }; // a head of this size fits one invocation, and eight would be half idle
    const uint32_t split_shader = ts_kernel_find(kernel, TS_NEEDS_EIGHT_LANES);
    ts_attention_choice choice;
    const struct vectors vectors = vectors_of(kernel);
    if (ts_cpu_choose_attention(caps, kernel, dim, vectors.inputs + vectors.sums, &choice)) {
        return choice;
    }
    if (dim > SMALL && ts_kernel_suits(caps, kernel, split_shader)) {
        choice = split_rows(caps, kernel, dim);
        choice.shader = split_shader;
        return choice;
    }
    return (ts_attention_choice){.shader = 0, .lanes = 64, .per_lane = 1, .split = 1, .held = 1};
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
        (args)->split = choice.split;                                                              \
        (args)->subgroup_size = choice.subgroup_size;                                              \
        (args)->held = choice.held;                                                                \
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
        args->per_lane = args->split = args->held = 1;
        args->subgroup_size = 0;
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
