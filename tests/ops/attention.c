// Attention to a cache by the kernel that the device uses, against the mirror. The number of heads
// that share a key is that of a workgroup's lanes, twice that, less, or no divisor of it.
#include "ops/attention.h"

#include "base/memory.h"
#include "device.h"

#include <math.h>

enum { ROWS = 5, CAPACITY = 40, MOST_HEADS = 24, MOST_DIM = 64 };

// Sequence s is in slot slots[s] and has lengths[s] of the slot's CAPACITY tokens.
static const uint32_t slots[ROWS] = {3, 0, 6, 1, 5}, lengths[ROWS] = {1, 17, CAPACITY, 4, 29};
enum { KV_ROWS = 7 * CAPACITY };

static ts_view upload(ts_gpu_arena *arena, size_t count, uint32_t seed)
{
    ts_view view;
    float *values = calloc(count, sizeof *values);
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (float)(int32_t)seed * 0x1p-31f;
    }
    MUST(ts_gpu_alloc(arena, TS_F32, count, &view, err));
    MUST(ts_gpu_upload(arena->gpu, view, values, count * sizeof *values, err));
    free(values);
    return view;
}

static void attend(ts_gpu *gpu, uint32_t heads, uint32_t kv_heads, uint32_t dim, float *out)
{
    ts_gpu_arena arena = {.gpu = gpu, .block_bytes = 1 << 20};
    ts_recorder *recorder;
    ts_view first, last, o, lse;
    uint32_t firsts[ROWS], lasts[ROWS];
    const size_t kv = (size_t)KV_ROWS * kv_heads * dim, count = (size_t)ROWS * heads * dim;
    for (uint32_t s = 0; s < ROWS; s++) {
        firsts[s] = slots[s] * CAPACITY;
        lasts[s] = firsts[s] + lengths[s] - 1;
    }
    MUST(ts_recorder_open(gpu, &recorder, err));
    MUST(ts_gpu_alloc(&arena, TS_U32, ROWS, &first, err));
    MUST(ts_gpu_alloc(&arena, TS_U32, ROWS, &last, err));
    MUST(ts_gpu_alloc(&arena, TS_F32, count, &o, err));
    MUST(ts_gpu_alloc(&arena, TS_F32, (size_t)ROWS * heads, &lse, err));
    MUST(ts_gpu_upload(gpu, first, firsts, sizeof firsts, err));
    MUST(ts_gpu_upload(gpu, last, lasts, sizeof lasts, err));
    ts_attend_cached(recorder, &(struct ts_attention_args){.q = upload(&arena, count, 1),
                                                           .k = upload(&arena, kv, 2),
                                                           .v = upload(&arena, kv, 3),
                                                           .first = first,
                                                           .last = last,
                                                           .o = o,
                                                           .lse = lse,
                                                           .rows = ROWS,
                                                           .kv_rows = KV_ROWS,
                                                           .heads = heads,
                                                           .kv_heads = kv_heads,
                                                           .scale = 1.5f,
                                                           .dim = dim});
    MUST(ts_recorder_run(recorder, err));
    MUST(ts_gpu_download(gpu, o, out, count * sizeof *out, err));
    ts_recorder_close(recorder);
    ts_gpu_arena_close(&arena);
}

Test(attention, to_a_cache_equals_the_mirror)
{
    static const struct {
        uint32_t heads, kv_heads, dim;
    } shapes[] = {{16, 2, 64}, {16, 1, 8}, {12, 3, 16}, {6, 6, 4}, {24, 2, 8}};
    static float have[ROWS * MOST_HEADS * MOST_DIM], want[ROWS * MOST_HEADS * MOST_DIM];
    ts_gpu *gpu = test_gpu_open(), *mirror = NULL;
    MUST(ts_gpu_open_mirror(&mirror, err));
    for (size_t i = 0; i < TS_COUNT(shapes); i++) {
        const uint32_t heads = shapes[i].heads, kv_heads = shapes[i].kv_heads, dim = shapes[i].dim;
        double difference = 0, length = 0;
        attend(gpu, heads, kv_heads, dim, have);
        attend(mirror, heads, kv_heads, dim, want);
        for (size_t j = 0; j < (size_t)ROWS * heads * dim; j++) {
            difference += pow((double)have[j] - want[j], 2);
            length += pow(want[j], 2);
        }
        cr_assert_lt(sqrt(difference / length), 3e-6, "%u heads on %u of %u", heads, kv_heads, dim);
    }
    ts_gpu_close(mirror);
    test_gpu_close(gpu);
}

// What an invocation of a shader *_split keeps, in floats: its rows' inputs and sums, and the row
// that these are multiplied by.
static uint32_t floats_kept(ts_kernel kernel, uint32_t dim, const ts_attention_choice *choice)
{
    const uint32_t quads = (dim / 4 + choice->split - 1) / choice->split;
    const bool of_keys = kernel == TS_KERNEL_attention_backward_kv;
    const uint32_t sums = of_keys ? 2 : 1, inputs = kernel == TS_KERNEL_attention ? 1 : 2;
    return 4 * quads *
           (choice->held ? choice->per_lane * (inputs + sums) + (of_keys ? 2 : 1) : sums + 1);
}

// 128 registers hold a row's share of every head that transformers know, in subgroups of any size;
// so few that a row's share fits are asked for, and workgroups are whole subgroups.
Test(attention, divides_rows_among_the_lanes_of_one_subgroup)
{
    static const uint32_t sizes[] = {0, 4, 8, 16, 32, 64, 128};
    static const ts_kernel kernels[] = {TS_KERNEL_attention, TS_KERNEL_attention_backward_q,
                                        TS_KERNEL_attention_backward_kv};
    for (size_t i = 0; i < TS_COUNT(sizes) * TS_COUNT(kernels); i++) {
        const ts_kernel kernel = kernels[i % TS_COUNT(kernels)];
        const ts_gpu_caps caps = {.type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
                                  .subgroup_size = 32,
                                  .subgroup_operations = VK_SUBGROUP_FEATURE_SHUFFLE_BIT,
                                  .full_subgroup = sizes[i / TS_COUNT(kernels)]};
        for (uint32_t dim = 4; dim <= 256; dim += 4) {
            const ts_attention_choice choice = ts_attention_choose(&caps, kernel, dim);
            const bool split = caps.full_subgroup >= 8 && dim > 16;
            cr_assert_eq(choice.shader, split ? ts_kernel_find(kernel, TS_NEEDS_EIGHT_LANES) : 0);
            cr_assert_eq(choice.subgroup_size, split ? caps.full_subgroup : 0);
            if (split) {
                cr_assert_leq(choice.split, caps.full_subgroup);
                cr_assert_eq(choice.lanes * choice.split % caps.full_subgroup, 0);
                cr_assert_leq(choice.lanes * choice.split, 128);
                cr_assert_leq(floats_kept(kernel, dim, &choice), 96, "%s, heads of %u in %u",
                              ts_kernels[kernel].name, dim, caps.full_subgroup);
            }
        }
    }
}
