// Every kernel of the registry, every shader of its row, against its double mirror, over shapes
// that are awkward: one, odd, prime, one past a tile, a long row. The shapes come from lists of
// values by the name of the scalar, so a new row is tested as soon as it exists.
#include "base/memory.h"
#include "base/rng.h"
#include "device.h"
#include "ops/attention.h"
#include "ops/gemm.h"

#include <criterion/parameterized.h>
#include <math.h>
#include <string.h>

enum { SHAPES = 24 };

static uint32_t pick(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(*state >> 4) * below >> 28);
}

static bool same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

// A value for the U32 scalar or constant called `name`.
static uint32_t scalar_value(const char *name, uint32_t *state)
{
    static const struct {
        const char *name;
        uint32_t values[8];
    } lists[] = {
        {"rows", {1, 2, 3, 17, 63, 65, 100, 129}},
        {"cols", {1, 3, 64, 65, 127, 129, 500, 1003}},
        {"vocab", {2, 5, 127, 129, 320, 1003, 2048, 4099}},
        {"count", {1, 2, 255, 256, 257, 1003, 4096, 70001}},
        {"heads", {1, 2, 3, 4, 4, 6, 8, 12}},
        {"dim", {16, 16, 20, 32, 64, 64, 96, 128}},
        {"m", {1, 2, 5, 31, 33, 64, 65, 130}},
        {"n", {1, 3, 8, 31, 64, 65, 172, 257}},
        {"k", {1, 2, 5, 8, 16, 43, 64, 259}},
        {"source_rows", {1, 2, 3, 7, 64, 65, 200, 300}},
        {"positions", {1, 2, 3, 7, 64, 65, 200, 300}},
        {"gradient", {0, 1, 1, 1, 1, 1, 1, 1}},
        {"accumulate", {0, 1, 0, 1, 0, 1, 0, 1}},
        {"layout", {0, 1, 2, 0, 1, 2, 0, 1}},
        {"seed_low", {0, 1, 42, 43, 44, 45, 46, 0xFFFFFFFF}},
        {"seed_high", {0, 1, 0, 0, 0, 0, 0, 0xFFFFFFFF}},
        {"stream", {0, 1, 2, 3, 4, 5, 6, 7}},
        {"drop", {0, 1, 0x10000000, 0x80000000, 0x19999999, 0x40000000, 0xF0000000, 0xFFFFFFFF}},
    };
    for (size_t i = 0; i < TS_COUNT(lists); i++) {
        if (same(lists[i].name, name)) {
            return lists[i].values[pick(state, 8)];
        }
    }
    return 0; // a scalar that others decide (below)
}

static float float_value(const char *name, uint32_t *state)
{
    if (same(name, "sign")) {
        return pick(state, 2) ? 1 : -1;
    }
    if (same(name, "eps")) {
        return 1e-5f;
    }
    if (same(name, "max_norm")) {
        return (float)pick(state, 3) * 10;
    }
    if (same(name, "beta1") || same(name, "beta2")) {
        return 0.9f;
    }
    if (same(name, "rest1") || same(name, "rest2")) {
        return 0.1f;
    }
    if (same(name, "step") || same(name, "decay")) {
        return 0.01f;
    }
    return 0.5f;
}

static uint32_t *field_of(ts_kernel kernel, ts_dispatch *dispatch, const char *name)
{
    uint32_t *push = dispatch->push, *constant = dispatch->pipeline.constants + 1;
    for (const ts_kernel_field *f = ts_kernels[kernel].fields; f->name != NULL; f++) {
        uint32_t *place = f->kind == 'c' ? constant++ : push++;
        if (same(f->name, name)) {
            return place;
        }
    }
    return NULL;
}

// What the device lacks is not tested on it: the matrix units that gemm_cm's shaders need, the
// values passed between lanes that those of CPU drivers do.
static bool can_run(ts_kernel kernel, uint32_t shader, const ts_gpu_caps *caps)
{
    ts_gpu_caps as_cpu = *caps;
    as_cpu.type = VK_PHYSICAL_DEVICE_TYPE_CPU;
    if (strcmp(ts_kernels[kernel].shaders[shader], "gemv_simd") == 0) {
        return ts_gpu_is_simd(&as_cpu) && caps->has_int64;
    }
    if (strstr(ts_kernels[kernel].shaders[shader], "_simd") != NULL) {
        return ts_gpu_is_simd(&as_cpu);
    }
    if (strstr(ts_kernels[kernel].shaders[shader], "_split") != NULL) {
        return (caps->subgroup_operations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT) &&
               caps->subgroup_size >= 4;
    }
    return kernel != TS_KERNEL_gemm_cm ||
           ts_precision_offered(caps, shader == 0 ? TS_PRECISION_F16 : TS_PRECISION_BF16);
}

// As many invocations as the device runs together, or as a mask leaves it.
static void assert_fits(ts_kernel kernel, ts_dispatch *dispatch, const ts_gpu_caps *caps)
{
    const char *const names[] = {"local_size", "lanes"};
    for (size_t i = 0; i < TS_COUNT(names); i++) {
        const uint32_t *invocations = field_of(kernel, dispatch, names[i]);
        cr_assert(invocations == NULL || *invocations <= caps->max_invocations,
                  "%s: workgroups of %u, the device has %u", ts_kernels[kernel].name, *invocations,
                  caps->max_invocations);
    }
}

static void settle_gemm_cm(ts_dispatch *d, uint32_t shader, ts_dtype dtype, const ts_gpu_caps *caps,
                           ts_layout layout)
{
    struct ts_gemm_cm_args args = {.b.dtype = dtype,
                                   .m = d->push[0],
                                   .n = d->push[1],
                                   .k = d->push[2],
                                   .lda = d->push[3],
                                   .ldb = d->push[4],
                                   .ldc = d->push[5]};
    ts_gemm_cm_choose(caps, shader == 0 ? TS_PRECISION_F16 : TS_PRECISION_BF16, layout, &args);
    const uint32_t chosen[] = {args.layout,   args.aligned,  args.local_size,    args.tile_m,
                               args.tile_n,   args.k_step,   args.rows,          args.matrix_m,
                               args.matrix_n, args.matrix_k, args.subgroup_size, args.scaled};
    memcpy(d->pipeline.constants + 1, chosen, sizeof chosen);
}

// Scalars that depend on others: how heads divide, strides, tiles.
static void settle(ts_kernel kernel, ts_dispatch *d, uint32_t shader, ts_dtype dtype,
                   const ts_gpu_caps *caps, uint32_t *state)
{
    uint32_t *kv_heads = field_of(kernel, d, "kv_heads"), *rows = field_of(kernel, d, "rows");
    uint32_t *kv_rows = field_of(kernel, d, "kv_rows"), *dim = field_of(kernel, d, "dim");
    uint32_t *target_rows = field_of(kernel, d, "target_rows");
    if (kv_heads != NULL) {
        uint32_t heads = *field_of(kernel, d, "heads");
        do {
            *kv_heads = 1 + pick(state, heads);
        } while (heads % *kv_heads != 0);
    }
    if (kv_rows != NULL) {
        // A cache is longer than one chunk of attention_decode, and much longer than the rows.
        *kv_rows = *rows + pick(state, kernel == TS_KERNEL_attention_decode ? 700 : 40);
    }
    if (kernel == TS_KERNEL_attention_decode && *dim == 16) {
        *dim = 256; // the widest head: an invocation for every quad
    }
    if (target_rows != NULL) {
        *target_rows = *rows + pick(state, 40);
    }
    if (dim != NULL && kernel == TS_KERNEL_rope && pick(state, 2)) {
        *dim = 6;
    }
    ts_gpu_caps asked = *caps; // the family under test, whatever this device would choose
    asked.type = strstr(ts_kernels[kernel].shaders[shader], "_simd") != NULL
                     ? VK_PHYSICAL_DEVICE_TYPE_CPU
                     : VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    if (field_of(kernel, d, "per_lane") != NULL) {
        if (shader == 0) {
            asked.subgroup_operations = 0;
        } else if (shader == 2) {
            *dim = (*dim + 15) / 16 * 16;
        }
        const ts_attention_choice choice = ts_attention_choose(&asked, kernel, *dim);
        *field_of(kernel, d, "lanes") = choice.lanes;
        *field_of(kernel, d, "per_lane") = choice.per_lane;
    }
    if (kernel == TS_KERNEL_gemm || kernel == TS_KERNEL_gemm_cm) {
        uint32_t layout = *field_of(kernel, d, "layout");
        uint32_t extra = pick(state, 3) * 2;
        if (strstr(ts_kernels[kernel].shaders[shader], "gemv") != NULL) {
            layout = TS_NT; // few rows, and k long enough to be shared
            d->push[0] = 1 + d->push[0] % (ts_gpu_is_simd(&asked) ? 2 : 8);
            d->push[2] += 512;
        }
        uint32_t m = d->push[0], n = d->push[1], k = d->push[2];
        uint32_t *c = d->pipeline.constants + 1;
        d->push[3] = (layout == TS_TN ? m : k) + extra;
        d->push[4] = (layout == TS_NT ? k : n) + extra;
        d->push[5] = n + extra;
        if (kernel == TS_KERNEL_gemm_cm) {
            settle_gemm_cm(d, shader, dtype, caps, layout);
            return;
        }
        struct ts_gemm_args args = {.b.dtype = dtype,
                                    .m = m,
                                    .n = n,
                                    .k = k,
                                    .lda = d->push[3],
                                    .ldb = d->push[4],
                                    .ldc = d->push[5]};
        asked.has_int64 &= shader > 1; // without it one row is gemm_simd's too
        ts_gemm_choose(&asked, layout, &args);
        cr_assert_eq(args.shader, shader);
        const uint32_t chosen[] = {args.layout, args.aligned, args.local_size,
                                   args.tile_m, args.tile_5,  args.k_step,
                                   args.rows,   args.columns, args.tile_n};
        memcpy(c, chosen, sizeof chosen);
    }
}

static void draw_shape(ts_kernel kernel, uint32_t shader, ts_dtype dtype, const ts_gpu_caps *caps,
                       ts_dispatch *dispatch, uint32_t *state)
{
    uint32_t *push = dispatch->push, *constant = dispatch->pipeline.constants + 1;
    for (const ts_kernel_field *f = ts_kernels[kernel].fields; f->name != NULL; f++) {
        if (f->kind == 'f') {
            float value = float_value(f->name, state);
            memcpy(push++, &value, sizeof value);
        } else {
            *(f->kind == 'c' ? constant++ : push++) = scalar_value(f->name, state);
        }
    }
    settle(kernel, dispatch, shader, dtype, caps, state);
}

// Sequences end to end over `rows`: first row, last row and end of each row's sequence.
static void fill_sequences(const char *name, uint32_t *out, uint64_t rows, uint64_t kv_rows,
                           uint32_t *state)
{
    uint64_t shift = kv_rows > rows ? kv_rows - rows : 0; // as in a cache: keys lie further on
    uint32_t fixed = 12345 + (uint32_t)rows;              // the same cuts for every buffer
    (void)state;
    for (uint64_t begin = 0; begin < rows;) {
        uint64_t end = ts_min_u64(begin + 1 + pick(&fixed, 70), rows);
        for (uint64_t t = begin; t < end; t++) {
            out[t] = (uint32_t)(same(name, "first")  ? begin + (kv_rows ? shift : 0)
                                : same(name, "last") ? t + shift
                                                     : end);
        }
        begin = end;
    }
}

// Any keys of the cache for each row: nothing is shared, nothing need be in order.
static void fill_ranges(const char *name, uint32_t *out, uint64_t rows, uint32_t kv_rows)
{
    uint32_t fixed = 12345 + (uint32_t)rows; // the same ranges for both buffers
    for (uint64_t t = 0; t < rows; t++) {
        uint32_t first = pick(&fixed, kv_rows), last = first + pick(&fixed, kv_rows - first);
        out[t] = same(name, "first") ? first : last;
    }
}

static void fill_index(ts_kernel kernel, ts_dispatch *d, const char *name, uint32_t *out,
                       uint64_t count, uint32_t *state)
{
    const struct {
        const char *buffer, *limit;
    } limits[] = {
        {"ids", "vocab"}, {"label", "vocab"}, {"position", "positions"}, {"index", "source_rows"}};
    if (same(name, "first") || same(name, "last") || same(name, "end")) {
        uint32_t *kv_rows = field_of(kernel, d, "kv_rows");
        if (kernel == TS_KERNEL_attention_decode) {
            fill_ranges(name, out, count, *kv_rows);
            return;
        }
        fill_sequences(name, out, count, kv_rows != NULL ? *kv_rows : 0, state);
        return;
    }
    if (kernel == TS_KERNEL_scatter_rows) {
        for (uint64_t i = 0; i < count; i++) {
            out[i] = (uint32_t)(count - 1 - i); // distinct
        }
        return;
    }
    for (size_t l = 0; l < TS_COUNT(limits); l++) {
        uint32_t *limit = field_of(kernel, d, limits[l].limit);
        if (same(limits[l].buffer, name) && limit != NULL) {
            for (uint64_t i = 0; i < count; i++) {
                out[i] = pick(state, *limit);
            }
        }
    }
}

static void fill_floats(const char *name, float *out, uint64_t count, uint32_t *state)
{
    bool positive = same(name, "rstd") || same(name, "v") || same(name, "lse") ||
                    same(name, "partial") || same(name, "norm");
    for (uint64_t i = 0; i < count; i++) {
        float u = (float)pick(state, 1 << 20) / (1 << 19) - 1;
        out[i] = positive ? 0.5f + fabsf(u) : u;
        if (same(name, "largest_a") || same(name, "largest_b")) {
            out[i] = 1; // no element is larger
        }
    }
}

struct side {
    ts_gpu *gpu;
    ts_gpu_arena arena;
    ts_recorder *recorder;
    ts_view views[10];
};

static void open_side(struct side *side, ts_gpu *gpu)
{
    *side = (struct side){.gpu = gpu, .arena = {.gpu = gpu, .block_bytes = 1 << 20}};
    MUST(ts_recorder_open(gpu, &side->recorder, err));
}

static void close_side(struct side *side)
{
    ts_recorder_close(side->recorder);
    ts_gpu_arena_close(&side->arena);
}

// The same content on both sides; weights in the storage type `dtype`.
static void fill_buffers(ts_kernel kernel, ts_dispatch *d, const uint64_t *elements, ts_dtype dtype,
                         struct side *device, struct side *mirror, uint32_t *state)
{
    const ts_kernel_buffer *buffers = ts_kernels[kernel].buffers;
    for (uint32_t b = 0; buffers[b].name != NULL; b++) {
        ts_dtype type = buffers[b].type == TS_BUFFER_INDEX    ? TS_U32
                        : buffers[b].type == TS_BUFFER_WEIGHT ? dtype
                                                              : TS_F32;
        uint64_t count = elements[b], len = count * ts_dtype_bytes(type);
        float *values = malloc(count * sizeof *values);
        uint16_t *halves = malloc(count * sizeof *halves);
        const void *bytes = values;
        if (type == TS_U32) {
            memset(values, 0, len);
            fill_index(kernel, d, buffers[b].name, (uint32_t *)values, count, state);
        } else {
            fill_floats(buffers[b].name, values, count, state);
        }
        if (type == TS_F16 || type == TS_BF16) {
            for (uint64_t i = 0; i < count; i++) {
                halves[i] = type == TS_F16 ? ts_f32_to_f16(values[i]) : ts_f32_to_bf16(values[i]);
            }
            bytes = halves;
        }
        MUST(ts_gpu_alloc(&device->arena, type, count, &device->views[b], err));
        MUST(ts_gpu_alloc(&mirror->arena, type, count, &mirror->views[b], err));
        MUST(ts_gpu_upload(device->gpu, device->views[b], bytes, len, err));
        MUST(ts_gpu_upload(mirror->gpu, mirror->views[b], bytes, len, err));
        free(values);
        free(halves);
    }
}

static void run_side(struct side *side, ts_kernel kernel, uint32_t shader, const ts_dispatch *shape)
{
    ts_dispatch dispatch = *shape;
    memcpy(dispatch.views, side->views, sizeof dispatch.views);
    ts_kernel_record(side->recorder, kernel, shader, &dispatch);
    MUST(ts_recorder_run(side->recorder, err));
}

static void compare(ts_kernel kernel, uint32_t shader, const uint64_t *elements,
                    struct side *device, struct side *mirror, int shape)
{
    const ts_kernel_info *info = &ts_kernels[kernel];
    for (uint32_t b = 0; info->buffers[b].name != NULL; b++) {
        if (!(info->buffers[b].access & TS_WRITE)) {
            continue;
        }
        double difference = 0, norm = 0;
        float *got = malloc(elements[b] * sizeof *got);
        MUST(ts_gpu_download(device->gpu, device->views[b], got, elements[b] * sizeof *got, err));
        const void *expected = ts_view_host(mirror->views[b]);
        for (uint64_t i = 0; i < elements[b]; i++) {
            bool index = info->buffers[b].type == TS_BUFFER_INDEX;
            double want = index ? ((const uint32_t *)expected)[i] : ((const double *)expected)[i];
            double have = index ? ((uint32_t *)got)[i] : got[i];
            difference += (have - want) * (have - want);
            norm += want * want;
        }
        free(got);
        double error = sqrt(difference) / (norm > 0 ? sqrt(norm) : 1), tolerance = info->tolerance;
        if (kernel == TS_KERNEL_gemm_cm && shader == 1) {
            tolerance *= 8; // bf16 has three bits less than f16
        }
        cr_assert(error <= tolerance, "%s, shape %d: %s is off by %.2e, tolerance %.2e",
                  info->shaders[shader], shape, info->buffers[b].name, error, tolerance);
    }
}

static void test_kernel(ts_kernel kernel, uint32_t shader, ts_gpu *gpu, ts_gpu *mirror_gpu)
{
    uint32_t state = 1000u * (uint32_t)kernel + shader;
    for (int shape = 0; shape < SHAPES; shape++) {
        struct side device, mirror;
        ts_dispatch dispatch = {0};
        uint64_t elements[10] = {0}, groups[2];
        open_side(&device, gpu);
        open_side(&mirror, mirror_gpu);
        ts_dtype dtype = (ts_dtype)(shape % 3);
        draw_shape(kernel, shader, dtype, ts_gpu_capabilities(gpu), &dispatch, &state);
        assert_fits(kernel, &dispatch, ts_gpu_capabilities(gpu));
        ts_kernel_sizes(kernel, &dispatch, elements, groups);
        fill_buffers(kernel, &dispatch, elements, dtype, &device, &mirror, &state);
        run_side(&device, kernel, shader, &dispatch);
        run_side(&mirror, kernel, shader, &dispatch);
        compare(kernel, shader, elements, &device, &mirror, shape);
        close_side(&device);
        close_side(&mirror);
    }
}

ParameterizedTestParameters(kernels, against_mirror)
{
    static int kernels[TS_KERNEL_COUNT];
    for (int i = 0; i < TS_KERNEL_COUNT; i++) {
        kernels[i] = i;
    }
    return cr_make_param_array(int, kernels, TS_KERNEL_COUNT);
}

ParameterizedTest(int *kernel, kernels, against_mirror)
{
    ts_gpu *gpu = test_gpu_open(), *mirror = NULL;
    MUST(ts_gpu_open_mirror(&mirror, err));
    for (uint32_t shader = 0; ts_kernels[*kernel].shaders[shader] != NULL; shader++) {
        if (can_run((ts_kernel)*kernel, shader, ts_gpu_capabilities(gpu))) {
            test_kernel((ts_kernel)*kernel, shader, gpu, mirror);
        }
    }
    ts_gpu_close(mirror);
    test_gpu_close(gpu);
}
