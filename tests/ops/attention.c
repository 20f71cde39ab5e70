// Attention to a cache by the kernel that the device uses, against the mirror. The number of heads
// that share a key is that of a workgroup's lanes, twice that, less, or no divisor of it.
#include "ops/attention.h"

#include "base/memory.h"
#include "device.h"

#include <math.h>
#include <string.h>

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

// ---- Gradients on matrix units

// A pass as training has it, one packed batch: o and lse in f32, then gradients as `precision`
// says.
enum { PASS_ROWS = 150, PASS_HEADS = 4, PASS_KV_HEADS = 2, PASS_DIM = 64 };
enum {
    PASS_QUERIES = PASS_ROWS * PASS_HEADS * PASS_DIM,
    PASS_KEYS = PASS_ROWS * PASS_KV_HEADS * PASS_DIM
};
struct gradients {
    float q[PASS_QUERIES], k[PASS_KEYS], v[PASS_KEYS];
};

// How large values and the gradient of the output are in the first row and in the last, in powers
// of two.
struct sizes {
    int v_first, v_last, dout_first, dout_last;
};

static ts_view upload_rows(ts_gpu_arena *arena, size_t width, uint32_t seed, int first, int last)
{
    ts_view view;
    const size_t count = PASS_ROWS * width;
    float *values = calloc(count, sizeof *values);
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        const int power = first + (last - first) * (int)(i / width) / (PASS_ROWS - 1);
        values[i] = ldexpf((float)(int32_t)seed, power - 31);
    }
    MUST(ts_gpu_alloc(arena, TS_F32, count, &view, err));
    MUST(ts_gpu_upload(arena->gpu, view, values, count * sizeof *values, err));
    free(values);
    return view;
}

// Of each row the first of its sequence, or one past the last.
static ts_view upload_sequences(ts_gpu_arena *arena, bool firsts)
{
    static const uint32_t begins[] = {0, 21, 137, PASS_ROWS};
    ts_view view;
    uint32_t values[PASS_ROWS];
    for (uint32_t row = 0, s = 0; row < PASS_ROWS; row++) {
        s += row == begins[s + 1];
        values[row] = firsts ? begins[s] : begins[s + 1];
    }
    MUST(ts_gpu_alloc(arena, TS_U32, PASS_ROWS, &view, err));
    MUST(ts_gpu_upload(arena->gpu, view, values, sizeof values, err));
    return view;
}

static ts_view room(ts_gpu_arena *arena, size_t count)
{
    ts_view view;
    MUST(ts_gpu_alloc(arena, TS_F32, count, &view, err));
    return view;
}

static struct ts_attention_args forward_of(ts_gpu_arena *arena, const struct sizes *sizes)
{
    const size_t wide = PASS_HEADS * PASS_DIM, narrow = PASS_KV_HEADS * PASS_DIM;
    uint32_t rows[PASS_ROWS];
    ts_view last;
    for (uint32_t row = 0; row < PASS_ROWS; row++) {
        rows[row] = row;
    }
    MUST(ts_gpu_alloc(arena, TS_U32, PASS_ROWS, &last, err));
    MUST(ts_gpu_upload(arena->gpu, last, rows, sizeof rows, err));
    return (struct ts_attention_args){
        .q = upload_rows(arena, wide, 1, 0, 0),
        .k = upload_rows(arena, narrow, 2, 0, 0),
        .v = upload_rows(arena, narrow, 3, sizes->v_first, sizes->v_last),
        .first = upload_sequences(arena, true),
        .last = last,
        .o = room(arena, PASS_QUERIES),
        .lse = room(arena, PASS_ROWS * PASS_HEADS),
        .rows = PASS_ROWS,
        .kv_rows = PASS_ROWS,
        .heads = PASS_HEADS,
        .kv_heads = PASS_KV_HEADS,
        .scale = 0.5f,
        .dim = PASS_DIM};
}

// The fields that the arguments of all three have.
#define OF_PASS(forward)                                                                           \
    .q = (forward).q, .k = (forward).k, .v = (forward).v, .lse = (forward).lse, .rows = PASS_ROWS, \
    .heads = PASS_HEADS, .kv_heads = PASS_KV_HEADS, .scale = (forward).scale, .dim = PASS_DIM

static void differentiate(ts_gpu *gpu, ts_precision precision, const struct sizes *sizes,
                          struct gradients *out)
{
    ts_gpu_arena arena = {.gpu = gpu, .block_bytes = 1 << 20};
    ts_recorder *recorder;
    MUST(ts_recorder_open(gpu, &recorder, err));
    struct ts_attention_args forward = forward_of(&arena, sizes);
    struct ts_attention_backward_q_args of_q = {
        OF_PASS(forward),
        .dout = upload_rows(&arena, PASS_HEADS * PASS_DIM, 4, sizes->dout_first, sizes->dout_last),
        .o = forward.o,
        .first = forward.first,
        .dq = room(&arena, PASS_QUERIES),
        .delta = room(&arena, PASS_ROWS * PASS_HEADS)};
    struct ts_attention_backward_kv_args of_kv = {OF_PASS(forward),
                                                  .dout = of_q.dout,
                                                  .delta = of_q.delta,
                                                  .end = upload_sequences(&arena, false),
                                                  .dk = room(&arena, PASS_KEYS),
                                                  .dv = room(&arena, PASS_KEYS)};
    ts_attend(recorder, &forward);
    ts_attend_backward_q_rounded(recorder, precision, &of_q);
    ts_attend_backward_kv_rounded(recorder, precision, &of_kv, (ts_view){0});
    MUST(ts_recorder_run(recorder, err));
    MUST(ts_gpu_download(gpu, of_q.dq, out->q, sizeof out->q, err));
    MUST(ts_gpu_download(gpu, of_kv.dk, out->k, sizeof out->k, err));
    MUST(ts_gpu_download(gpu, of_kv.dv, out->v, sizeof out->v, err));
    ts_recorder_close(recorder);
    ts_gpu_arena_close(&arena);
}

static double distance(const float *have, const float *want, size_t count)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        difference += pow((double)have[i] - want[i], 2);
        norm += pow(want[i], 2);
    }
    return sqrt(difference / norm);
}

// f16 holds neither what is below 6e-8 nor what is beyond 65504. Values and dout of any size must
// give gradients as exact as others, whether they grow or shrink along the rows.
Test(attention, gradients_on_matrix_units_at_any_size)
{
    static const struct sizes sizes[] = {{0, 0, 0, 0},      {12, 12, 0, 0},    {-10, -10, 0, 0},
                                         {0, 0, 30, 30},    {0, 0, -40, -40},  {-4, 12, -10, 10},
                                         {12, -4, 10, -10}, {10, 10, -60, -20}};
    static struct gradients have, want;
    ts_gpu *gpu = test_gpu_open(), *mirror = NULL;
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    bool any = false;
    MUST(ts_gpu_open_mirror(&mirror, err));
    for (ts_precision p = TS_PRECISION_F16; p <= TS_PRECISION_BF16; p++) {
        const double most = p == TS_PRECISION_BF16 ? 1.6e-2 : 2e-3;
        for (size_t i = 0; ts_precision_offered(caps, p) && i < TS_COUNT(sizes); i++) {
            any = true;
            differentiate(gpu, p, &sizes[i], &have);
            differentiate(mirror, p, &sizes[i], &want);
            const double q = distance(have.q, want.q, PASS_QUERIES),
                         k = distance(have.k, want.k, PASS_KEYS),
                         v = distance(have.v, want.v, PASS_KEYS);
            cr_expect(q <= most && k <= most && v <= most,
                      "%s, sizes %zu: dq, dk and dv are off by %.1e, %.1e and %.1e",
                      ts_precision_name(p), i, q, k, v);
        }
    }
    ts_gpu_close(mirror);
    test_gpu_close(gpu);
    if (!any) {
        cr_skip_test("no matrix units");
    }
}

// ---- Choices

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

// Whether the tile is one of those that the test before use tries.
static bool is_tried(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t dim,
                     const ts_attention_rounded_choice *tile)
{
    ts_attention_rounded_choice tried[TS_ATTENTION_TILES] = {0};
    const uint32_t count = ts_attention_rounded_tiles(caps, TS_PRECISION_F16, kernel, dim, tried);
    for (uint32_t i = 0; i < count; i++) {
        if (memcmp(&tried[i], tile, sizeof *tile) == 0) {
            return true;
        }
    }
    return false;
}

// Every tile that attention is given on matrix units fits the device and is tried before use, and
// heads of 64 and 128 have one on all of these.
Test(attention, tiles_on_matrix_units_fit)
{
    static const struct {
        uint32_t lanes, registers, shared_kib;
        ts_matrix_shape matrix;
    } devices[] = {{32, 255, 48, {16, 16, 16}}, // NVIDIA
                   {64, 255, 64, {16, 16, 16}}, // AMD
                   {32, 255, 64, {16, 16, 16}}, // AMD, in subgroups of 32
                   {8, 128, 48, {8, 8, 16}},    // Intel's Arc
                   {16, 128, 128, {8, 16, 16}}, // Intel's Xe2
                   {8, 0, 32, {8, 8, 8}}};      // llvmpipe, which has no such limit
    static const ts_kernel kernels[] = {TS_KERNEL_attention_rounded,
                                        TS_KERNEL_attention_backward_q_rounded,
                                        TS_KERNEL_attention_backward_kv_rounded};
    for (size_t i = 0; i < TS_COUNT(devices) * TS_COUNT(kernels) * 2; i++) {
        const size_t d = i / 2 % TS_COUNT(devices);
        const ts_kernel kernel = kernels[i / 2 / TS_COUNT(devices)];
        const ts_gpu_caps caps = {.type = devices[d].registers > 0
                                              ? VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU
                                              : VK_PHYSICAL_DEVICE_TYPE_CPU,
                                  .subgroup_operations = VK_SUBGROUP_FEATURE_SHUFFLE_BIT,
                                  .full_subgroup = devices[d].lanes,
                                  .registers = devices[d].registers,
                                  .shared_bytes = devices[d].shared_kib << 10,
                                  .max_invocations = 1024,
                                  .max_subgroups = 64,
                                  .matrix_f16 = devices[d].matrix,
                                  .has_matrix_attention = true};
        for (uint32_t dim = 16; dim <= 256; dim += 16) {
            ts_attention_rounded_choice c = {0};
            bool found = ts_attention_rounded_choose(&caps, TS_PRECISION_F16, kernel,
                                                     i % 2 ? 1 << 20 : 64, dim, &c);
            // Intel has neither registers nor shared memory for gradients of heads of 128.
            const bool must =
                dim == 64 ||
                (dim == 128 && (kernel == TS_KERNEL_attention_rounded || (d != 3 && d != 4)));
            cr_assert(found || !must, "%s, heads of %u, device %zu", ts_kernels[kernel].name, dim,
                      d);
            if (found) {
                const uint32_t columns = c.local_size / c.subgroup_size / c.bands;
                cr_assert_eq(c.own % (c.bands * c.matrix_m), 0);
                cr_assert_eq(c.stream % (columns * c.matrix_n), 0);
                cr_assert_eq(dim % (columns * c.matrix_n), 0);
                cr_assert_eq(c.stream % c.matrix_k, 0);
                cr_assert_eq(c.local_size % c.own, 0);
                cr_assert_geq(c.stream * c.own / c.local_size, 8, "a lane's scores are octets");
                cr_assert_leq(c.local_size, caps.max_invocations);
                cr_assert(is_tried(&caps, kernel, dim, &c));
            }
        }
        ts_gpu_caps hidden = caps;
        ts_attention_rounded_choice c;
        hidden.has_matrix_attention = false;
        cr_assert_not(
            ts_attention_rounded_choose(&hidden, TS_PRECISION_F16, kernel, 1 << 20, 64, &c));
        cr_assert_not(
            ts_attention_rounded_choose(&caps, TS_PRECISION_BF16, kernel, 1 << 20, 64, &c));
        cr_assert_not(
            ts_attention_rounded_choose(&caps, TS_PRECISION_F32, kernel, 1 << 20, 64, &c));
    }
}

// The same where each invocation multiplies pairs for itself: heads of 64 and 128 have a tile with
// a GPU's registers and shared memory, and a CPU driver, on which others serve, has one for tests.
Test(attention, tiles_of_pairs_fit)
{
    static const struct {
        uint32_t lanes, registers, shared_kib;
    } devices[] = {{64, 255, 64}, {32, 255, 64}, {32, 255, 48}, {8, 0, 32}};
    static const ts_kernel kernels[] = {TS_KERNEL_attention_rounded,
                                        TS_KERNEL_attention_backward_q_rounded,
                                        TS_KERNEL_attention_backward_kv_rounded};
    for (size_t i = 0; i < TS_COUNT(devices) * TS_COUNT(kernels); i++) {
        const size_t d = i % TS_COUNT(devices);
        const ts_kernel kernel = kernels[i / TS_COUNT(devices)];
        const ts_gpu_caps caps = {.type = devices[d].registers > 0
                                              ? VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU
                                              : VK_PHYSICAL_DEVICE_TYPE_CPU,
                                  .subgroup_operations = VK_SUBGROUP_FEATURE_SHUFFLE_BIT,
                                  .full_subgroup = devices[d].lanes,
                                  .registers = devices[d].registers,
                                  .shared_bytes = devices[d].shared_kib << 10,
                                  .max_invocations = 1024,
                                  .max_subgroups = 64,
                                  .f16_pairs = true};
        for (uint32_t dim = 32; dim <= 256; dim += 16) {
            ts_attention_rounded_choice c = {0};
            bool found =
                ts_attention_rounded_choose(&caps, TS_PRECISION_F16, kernel, 1 << 20, dim, &c);
            cr_assert(found || dim != 64, "%s, device %zu", ts_kernels[kernel].name, d);
            if (found) {
                const uint32_t columns = c.local_size / c.bands;
                cr_assert_not(ts_attention_on_units(c.shader));
                cr_assert_eq(c.local_size % c.subgroup_size, 0);
                cr_assert_eq(c.own % c.bands, 0);
                cr_assert_eq(c.stream % (columns * 4), 0);
                cr_assert_eq(dim % (columns * 4), 0);
                cr_assert_geq(c.stream * c.own / c.local_size, 8, "a lane's scores are octets");
                cr_assert(is_tried(&caps, kernel, dim, &c));
            }
        }
        ts_gpu_caps hidden = caps;
        ts_attention_rounded_choice c;
        hidden.f16_pairs = false;
        cr_assert_not(
            ts_attention_rounded_choose(&hidden, TS_PRECISION_F16, kernel, 1 << 20, 64, &c));
        cr_assert_not(
            ts_attention_rounded_choose(&caps, TS_PRECISION_BF16, kernel, 1 << 20, 64, &c));
    }
}

// At 2,048 tokens dk and dv are divided so that none takes more than 2,048 steps alone, with fewer
// tokens so that a GPU is filled; where memory is short, into as many parts as fit.
Test(attention, divides_long_walks)
{
    cr_assert_eq(ts_attention_parts(2048, 32, 4, 64, UINT64_MAX), 8);
    cr_assert_eq(ts_attention_parts(2048, 32, 32, 64, UINT64_MAX), 1);
    cr_assert_eq(ts_attention_parts(512, 32, 4, 64, UINT64_MAX), 8);
    cr_assert_eq(ts_attention_parts(256, 32, 4, 64, UINT64_MAX), 8);
    cr_assert_eq(ts_attention_parts(63, 32, 4, 64, UINT64_MAX), 1);
    cr_assert_eq(ts_attention_parts(512, 32, 32, 64, UINT64_MAX), 1);
    cr_assert_eq(ts_attention_parts(2048, 32, 4, 64, 2 * 3 * 2048 * 256), 3);
    cr_assert_eq(ts_attention_parts(2048, 32, 4, 64, 0), 1);
    cr_assert_eq(ts_attention_parts_count(2048, 4, 64, 1), 0);
    cr_assert_eq(ts_attention_parts_count(3, 1, 4, 2), 64 + 24);
}

// With every tile that heads of these sizes may be given.
Test(attention, on_matrix_units_passes_its_test_before_use)
{
    static const uint32_t sizes[] = {64, 128};
    ts_gpu *gpu = test_gpu_open();
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    bool any = false;
    for (ts_precision p = TS_PRECISION_F16; p <= TS_PRECISION_BF16; p++) {
        for (size_t i = 0; ts_precision_offered(caps, p) && i < TS_COUNT(sizes); i++) {
            bool right = false;
            any = true;
            MUST(ts_attention_test(gpu, p, sizes[i], &right, err));
            cr_expect(right, "%s, heads of %u", ts_precision_name(p), sizes[i]);
        }
    }
    test_gpu_close(gpu);
    if (!any) {
        cr_skip_test("no matrix units");
    }
}

// Without matrix units heads of 64 and 128 go by tiles on all of these, and every tile fits the
// device; dk and dv of 128 have no room in 32 KiB.
Test(attention, tiles_without_matrix_units_fit)
{
    static const struct {
        uint32_t lanes, registers, shared_kib, invocations;
    } devices[] = {
        {64, 255, 64, 1024}, {64, 255, 32, 256}, {32, 255, 48, 1024}, {8, 128, 64, 1024}};
    static const ts_kernel kernels[] = {TS_KERNEL_attention, TS_KERNEL_attention_backward_q,
                                        TS_KERNEL_attention_backward_kv};
    for (size_t i = 0; i < TS_COUNT(devices) * TS_COUNT(kernels); i++) {
        const size_t d = i % TS_COUNT(devices);
        const ts_kernel kernel = kernels[i / TS_COUNT(devices)];
        const ts_gpu_caps caps = {.type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
                                  .subgroup_operations = VK_SUBGROUP_FEATURE_SHUFFLE_BIT,
                                  .full_subgroup = devices[d].lanes,
                                  .registers = devices[d].registers,
                                  .shared_bytes = devices[d].shared_kib << 10,
                                  .max_invocations = devices[d].invocations};
        for (uint32_t dim = 20; dim <= 256; dim += 4) {
            const ts_attention_choice c = ts_attention_choose(&caps, kernel, dim);
            const bool of_keys = kernel == TS_KERNEL_attention_backward_kv;
            const bool tiled = ts_attention_is_tiled(kernel, c.shader);
            // Intel has tiles for heads up to 64, and none for keys.
            const bool left = d == 3 ? dim == 128 || of_keys : of_keys && d == 1 && dim == 128;
            cr_assert(tiled || left || (dim != 64 && dim != 128), "%s, heads of %u, device %zu",
                      ts_kernels[kernel].name, dim, d);
            if (tiled) {
                const uint32_t own = c.lanes * c.per_lane, stream = 4 * c.split;
                cr_assert_eq(c.lanes * c.split % c.subgroup_size, 0);
                cr_assert_leq(c.lanes * c.split, caps.max_invocations);
                cr_assert_eq(c.split % c.per_lane, 0, "lanes share a row's scores alike");
                cr_assert_leq(c.split / c.per_lane, c.subgroup_size);
                cr_assert_leq(16 * ((of_keys ? 2 : 1) * stream * (dim / 4) + own * c.split),
                              caps.shared_bytes);
            }
        }
    }
}
