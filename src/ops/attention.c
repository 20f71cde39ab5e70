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

uint32_t ts_attention_tiled(ts_kernel kernel)
{
    return kernel == TS_KERNEL_attention              ? TS_SHADER_attention_tiled
           : kernel == TS_KERNEL_attention_backward_q ? TS_SHADER_attention_backward_q_tiled
                                                      : TS_SHADER_attention_backward_kv_tiled;
}

bool ts_attention_is_tiled(ts_kernel kernel, uint32_t shader)
{
    return shader == ts_attention_tiled(kernel);
}

// Of an invocation, where the device does not say; with no more than these, loops are not unrolled.
enum { USUAL_REGISTERS = 128 };

// Whether the device has room for a tile (include/attention_tiles.glsl): of shared memory for the
// stream's tiles and the scores, of registers for a lane's sums and scores, what it multiplies, and
// addresses.
static bool tile_fits(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t dim,
                      const ts_attention_choice *c)
{
    enum { OTHERS = 44, MOST_QUADS = 24, FEW_QUADS = 8 };
    const bool of_keys = kernel == TS_KERNEL_attention_backward_kv;
    const uint64_t streams = of_keys ? 2 : 1, sums = of_keys ? 2 : 1,
                   scores = kernel == TS_KERNEL_attention ? 1 : 2;
    const uint64_t own = (uint64_t)c->lanes * c->per_lane, invocations = c->lanes * c->split,
                   rows = 4 * (uint64_t)c->split, quads = ts_ceil_div(dim, rows);
    const uint64_t shared = 16 * (streams * rows * (dim / 4 | 1) + own * (c->split | 1)) +
                            8 * ts_max_u64(own, rows) + 32;
    const uint64_t registers = 4 * c->per_lane * (sums * quads + scores) + OTHERS;
    const uint64_t has = caps->registers > 0 ? caps->registers : USUAL_REGISTERS;
    if (c->per_lane * quads > MOST_QUADS) { // 32 are more than 64 KB of AMD's code
        return false;
    }
    // More than this, and Qualcomm's compiler kept registers in memory.
    if (!c->held && c->per_lane * quads * scores > FEW_QUADS) {
        return false;
    }
    return invocations <= caps->max_invocations && invocations % caps->full_subgroup == 0 &&
           shared <= caps->shared_bytes && registers <= (c->held ? has * 3 / 4 : has * 7 / 8);
}

bool ts_attention_choose_tile(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t dim,
                              uint32_t passed, ts_attention_choice *out)
{
    // {lanes down, rows of a lane, lanes across}
    static const uint32_t tiles[][3] = {{16, 4, 16}, {16, 4, 8},  {8, 4, 16},
                                        {8, 4, 8},   {16, 2, 16}, {16, 2, 8}};
    const uint32_t shader = ts_attention_tiled(kernel);
    if (ts_gpu_is_cpu(caps) || !ts_kernel_suits(caps, kernel, shader)) {
        return false;
    }
    for (size_t i = 0; i < TS_COUNT(tiles); i++) {
        const ts_attention_choice choice = {.shader = shader,
                                            .lanes = tiles[i][0],
                                            .per_lane = tiles[i][1],
                                            .split = tiles[i][2],
                                            .subgroup_size = caps->full_subgroup,
                                            .held = caps->registers > USUAL_REGISTERS};
        if (tile_fits(caps, kernel, dim, &choice) && passed-- == 0) {
            *out = choice;
            return true;
        }
    }
    return false;
}

// Cards with matrix units have attention_rounded, and need the general shaders only for what that
// does not take. Tiles for them, with loops unrolled whole, were up to 103 KB of code on Arc, and
// 168 KB by Mesa on NVIDIA's.
static bool is_for_tiles(const ts_gpu_caps *caps)
{
    return !caps->has_matrix_attention;
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
    if (dim > SMALL && is_for_tiles(caps) &&
        ts_attention_choose_tile(caps, kernel, dim, 0, &choice)) {
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

static uint64_t gradient_count(const struct ts_attention_backward_kv_args *args)
{
    return (uint64_t)args->rows * args->kv_heads * args->dim; // of dk, and of dv
}

// Where the parts of dv begin, behind those of dk: aligned as views are.
static uint64_t parts_offset(uint64_t parts, uint64_t count)
{
    return ts_align_up(parts * count, 64);
}

uint32_t ts_attention_parts(uint32_t rows, uint32_t heads, uint32_t kv_heads, uint32_t dim,
                            uint64_t most)
{
    enum { STEPS = 2048, FEWEST_STEPS = 256, TILE = 64, ENOUGH = 256 };
    const uint64_t count = (uint64_t)rows * kv_heads * dim;
    const uint64_t queries = (uint64_t)rows * (heads / kv_heads); // of a key's head
    const uint64_t filling = ts_ceil_div(ENOUGH, ts_ceil_div(rows, TILE) * kv_heads);
    uint64_t parts = ts_max_u64(ts_ceil_div(queries, STEPS),
                                ts_min_u64(filling, ts_max_u64(1, queries / FEWEST_STEPS)));
    while (parts > 1 && parts_offset(parts, count) + parts * count > most) {
        parts--;
    }
    return (uint32_t)parts;
}

uint64_t ts_attention_parts_count(uint32_t rows, uint32_t kv_heads, uint32_t dim, uint32_t parts)
{
    const uint64_t count = (uint64_t)rows * kv_heads * dim;
    return parts > 1 ? parts_offset(parts, count) + parts * count : 0;
}

void ts_attention_divide(struct ts_attention_backward_kv_args *args, ts_view scratch,
                         uint64_t steps)
{
    const uint64_t count = gradient_count(args);
    const uint64_t room = scratch.buffer != NULL ? ts_dtype_count(scratch.dtype, scratch.bytes) : 0;
    args->parts = ts_attention_parts(args->rows, args->heads, args->kv_heads, args->dim, room);
    args->parts = (uint32_t)ts_ceil_div(args->parts, steps);
    if (args->parts > 1) {
        args->dk = ts_view_slice(scratch, 0, args->parts * count);
        args->dv = ts_view_slice(scratch, parts_offset(args->parts, count), args->parts * count);
    }
}

void ts_attend_backward_kv(ts_recorder *recorder, struct ts_attention_backward_kv_args *args,
                           ts_view scratch)
{
    const ts_gpu_caps *caps = ts_gpu_capabilities(ts_recorder_gpu(recorder));
    // A CPU driver has few threads, and enough workgroups for them.
    ts_attention_divide(args, ts_gpu_is_cpu(caps) ? (ts_view){0} : scratch, 1);
    RECORD(attention_backward_kv, recorder, args);
}
