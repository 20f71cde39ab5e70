// Products in 16 bits (ts_matmul_rounded), on devices that offer them: exact where the operands
// are exact in 16 bits, correct for operands of any size, and infinite or NaN where an operand is.
#include "base/memory.h"
#include "device.h"
#include "filled.h"
#include "ops/gemm.h"
#include "ops/tune.h"

#include <math.h>

enum { M = 70, N = 72, K = 80, R = 11 }; // no multiples of any tile
static const float EXTRA_SCALE = 1.5f;

struct product {
    ts_gpu *gpu;
    ts_gpu_arena arena;
    ts_recorder *recorder;
    ts_rounding rounding;
    ts_view a, b, c, extra_a, extra_b;
    float *a_values, *b_values, *c_values, *extra_a_values, *extra_b_values;
};

static void open_product(struct product *p, ts_gpu *gpu, ts_precision precision)
{
    *p = (struct product){.gpu = gpu, .arena = {.gpu = gpu, .block_bytes = 1 << 20}};
    p->rounding.precision = precision;
    MUST(ts_recorder_open(gpu, &p->recorder, err));
    const struct {
        ts_view *view;
        uint64_t count;
    } wishes[] = {{&p->rounding.largest_a, 256},
                  {&p->rounding.largest_b, 256},
                  {&p->a, M * K},
                  {&p->b, N * K},
                  {&p->c, M * N},
                  {&p->extra_a, M * R},
                  {&p->extra_b, N * R}};
    for (size_t i = 0; i < TS_COUNT(wishes); i++) {
        MUST(ts_gpu_alloc(&p->arena, TS_F32, wishes[i].count, wishes[i].view, err));
    }
    p->a_values = calloc(M * K, sizeof(float));
    p->b_values = calloc(N * K, sizeof(float));
    p->c_values = calloc(M * N, sizeof(float));
    p->extra_a_values = calloc(M * R, sizeof(float));
    p->extra_b_values = calloc(N * R, sizeof(float));
}

static void close_product(struct product *p)
{
    free(p->a_values);
    free(p->b_values);
    free(p->c_values);
    free(p->extra_a_values);
    free(p->extra_b_values);
    ts_recorder_close(p->recorder);
    ts_gpu_arena_close(&p->arena);
}

// Whole numbers of at most 7 bits, exact in f16 and bf16, times a power of two.
static void fill(float *values, size_t count, float power, uint32_t *state)
{
    for (size_t i = 0; i < count; i++) {
        *state = *state * 1664525u + 1013904223u;
        values[i] = power * (float)((int32_t)(*state >> 24) - 128);
    }
}

static void run(struct product *p, ts_layout layout, float alpha, bool accumulate)
{
    MUST(ts_gpu_upload(p->gpu, p->a, p->a_values, M * K * sizeof(float), err));
    MUST(ts_gpu_upload(p->gpu, p->b, p->b_values, N * K * sizeof(float), err));
    MUST(ts_gpu_upload(p->gpu, p->c, p->c_values, M * N * sizeof(float), err));
    MUST(ts_gpu_upload(p->gpu, p->extra_a, p->extra_a_values, M * R * sizeof(float), err));
    MUST(ts_gpu_upload(p->gpu, p->extra_b, p->extra_b_values, N * R * sizeof(float), err));
    ts_product product = {.layout = layout,
                          .m = M,
                          .n = N,
                          .k = K,
                          .a = p->a,
                          .b = p->b,
                          .c = p->c,
                          .alpha = alpha,
                          .accumulate = accumulate};
    if (layout != TS_TN) {
        product.extra = (ts_product_extra){p->extra_a, p->extra_b, R, EXTRA_SCALE};
    }
    ts_matmul_rounded(p->recorder, &p->rounding, &product);
    MUST(ts_recorder_run(p->recorder, err));
}

static double expected(const struct product *p, ts_layout layout, size_t i, size_t j)
{
    double sum = 0;
    for (size_t l = 0; l < K; l++) {
        double a = p->a_values[layout == TS_TN ? l * M + i : i * K + l];
        double b = p->b_values[layout == TS_NT ? j * K + l : l * N + j];
        sum += a * b;
    }
    for (size_t l = 0; l < R && layout != TS_TN; l++) {
        double b = p->extra_b_values[layout == TS_NT ? j * R + l : l * N + j];
        sum += (double)EXTRA_SCALE * p->extra_a_values[i * R + l] * b;
    }
    return sum;
}

// The extra pair has more bits than the matrix units take.
static void fill_extra(struct product *p, float power, uint32_t *state)
{
    for (size_t i = 0; i < M * R; i++) {
        *state = *state * 1664525u + 1013904223u;
        p->extra_a_values[i] = power * 0x1p-20f * (float)(int32_t)*state;
    }
    for (size_t i = 0; i < N * R; i++) {
        *state = *state * 1664525u + 1013904223u;
        p->extra_b_values[i] = 0x1p-31f * (float)(int32_t)*state;
    }
}

static void check(struct product *p, ts_layout layout, float power_a, float power_b, float alpha)
{
    uint32_t state = 7;
    float *have = calloc(M * N, sizeof *have);
    fill(p->a_values, M * K, power_a, &state);
    fill(p->b_values, N * K, power_b, &state);
    fill(p->c_values, M * N, power_a * power_b * 64, &state);
    fill_extra(p, power_a * power_b, &state);
    run(p, layout, alpha, true);
    MUST(ts_gpu_download(p->gpu, p->c, have, M * N * sizeof *have, err));
    double difference = 0, norm = 0;
    for (size_t i = 0; i < M; i++) {
        for (size_t j = 0; j < N; j++) {
            double want =
                (double)alpha * expected(p, layout, i, j) + (double)p->c_values[i * N + j];
            difference += pow((have[i * N + j] - want) / power_a / power_b, 2);
            norm += pow(want / power_a / power_b, 2);
        }
    }
    double error = sqrt(difference / norm);
    cr_expect_leq(error, 3e-7, "%s, layout %d, a in %g, b in %g: off by %.2e",
                  ts_precision_name(p->rounding.precision), layout, (double)power_a,
                  (double)power_b, error);
    free(have);
}

static void check_infinite(struct product *p)
{
    uint32_t state = 7;
    float have[N];
    fill(p->a_values, M * K, 1, &state);
    fill(p->b_values, N * K, 1, &state);
    p->a_values[3 * K + 5] = INFINITY;
    p->a_values[4 * K + 5] = NAN;
    run(p, TS_NT, 1, false);
    for (size_t i = 2; i < 5; i++) {
        MUST(ts_gpu_download(p->gpu, ts_view_slice(p->c, i * N, N), have, sizeof have, err));
        for (size_t j = 0; j < N; j++) {
            cr_expect_eq(isfinite(have[j]) != 0, i == 2, "row %zu is %g", i, (double)have[j]);
        }
    }
}

static void check_precision(ts_gpu *gpu, ts_precision precision)
{
    const float powers[][2] = {{1, 1},
                               {0x1p-40f, 1},
                               {0x1p40f, 1},
                               {1, 0x1p-40f},
                               {0x1p-60f, 0x1p-60f},
                               {0x1p50f, 0x1p50f},
                               {0x1p-115f, 0x1p90f}};
    struct product p;
    open_product(&p, gpu, precision);
    for (ts_layout layout = TS_NT; layout <= TS_TN; layout++) {
        for (size_t i = 0; i < TS_COUNT(powers); i++) {
            check(&p, layout, powers[i][0], powers[i][1], 0.5f);
        }
    }
    check_infinite(&p);
    close_product(&p);
}

Test(rounded, right_at_any_size)
{
    ts_gpu *gpu = test_gpu_open();
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    bool any = false;
    for (ts_precision p = TS_PRECISION_F16; p <= TS_PRECISION_BF16; p++) {
        if (ts_precision_offered(caps, p)) {
            any = true;
            double error;
            MUST(ts_precision_test(gpu, p, &error, err));
            cr_expect_leq(error, 1e-6, "%s: off by %.2e", ts_precision_name(p), error);
            check_precision(gpu, p);
        }
    }
    test_gpu_close(gpu);
    if (!any) {
        cr_skip_test("no matrix units");
    }
}

// The halves of a gated MLP and their gradients, [M, N] each.
struct gating {
    ts_view gate, up, dy, y, dgate, dup;
};

static void open_gating(struct product *p, ts_dtype type, struct gating *g)
{
    float *values = calloc(M * N, sizeof *values);
    uint32_t state = 3;
    fill(values, M * N, 0x1p-5f, &state);
    ts_view *const views[] = {&g->gate, &g->up, &g->dy, &g->y, &g->dgate, &g->dup};
    for (size_t i = 0; i < TS_COUNT(views); i++) {
        MUST(ts_gpu_alloc(&p->arena, type, M * N, views[i], err));
        uint8_t *stored = calloc(M * N, sizeof(float));
        for (size_t e = 0; e < M * N; e++) {
            ts_dtype_store(type, stored, e, values[e]);
        }
        MUST(ts_gpu_upload(p->gpu, *views[i], stored, ts_dtype_size(type, M * N), err));
        free(stored);
    }
    free(values);
}

// up = a b^T, and y from it: `joined` to the product or by a kernel of its own.
static void gate_forward(struct product *p, const struct gating *g, bool joined)
{
    const struct ts_swiglu_args swiglu = {
        .gate = g->gate, .up = g->up, .y = g->y, .count = M * N, .gelu = true};
    ts_matmul_rounded(p->recorder, &p->rounding,
                      &(ts_product){.m = M,
                                    .n = N,
                                    .k = K,
                                    .a = p->a,
                                    .b = p->b,
                                    .c = g->up,
                                    .alpha = 0x1p-14f,
                                    .swiglu = joined ? &swiglu : NULL});
    if (!joined) {
        ts_swiglu(p->recorder, &swiglu);
    }
    MUST(ts_recorder_run(p->recorder, err));
}

// dy = a b, and dgate and dup from it. Joined, these are written over gate and up.
static void gate_backward(struct product *p, const struct gating *g, bool joined)
{
    const struct ts_swiglu_backward_args back = {.gate = g->gate,
                                                 .up = g->up,
                                                 .dy = g->dy,
                                                 .dgate = joined ? g->gate : g->dgate,
                                                 .dup = joined ? g->up : g->dup,
                                                 .count = M * N};
    ts_matmul_rounded(p->recorder, &p->rounding,
                      &(ts_product){.layout = TS_NN,
                                    .m = M,
                                    .n = N,
                                    .k = K,
                                    .a = p->a,
                                    .b = p->b,
                                    .c = g->dy,
                                    .alpha = 0x1p-14f,
                                    .swiglu_backward = joined ? &back : NULL});
    if (!joined) {
        ts_swiglu_backward(p->recorder, &back);
    }
    MUST(ts_recorder_run(p->recorder, err));
}

static void download(struct product *p, ts_view view, double *out)
{
    uint8_t *stored = calloc(M * N, sizeof(float));
    MUST(ts_gpu_download(p->gpu, view, stored, ts_dtype_size(view.dtype, M * N), err));
    for (size_t e = 0; e < M * N; e++) {
        out[e] = ts_dtype_load(view.dtype, stored, e);
    }
    free(stored);
}

static void expect_near(struct product *p, ts_view have, ts_view want, double tolerance,
                        const char *what)
{
    double *values = calloc(2 * M * N, sizeof *values), difference = 0, norm = 0;
    download(p, have, values);
    download(p, want, values + M * N);
    for (size_t e = 0; e < M * N; e++) {
        difference += pow(values[e] - values[M * N + e], 2);
        norm += pow(values[M * N + e], 2);
    }
    cr_expect_gt(norm, 0);
    cr_expect_leq(sqrt(difference / norm), tolerance, "%s, %s: off by %.2e",
                  ts_dtype_name(have.dtype), what, sqrt(difference / norm));
    free(values);
}

static void check_gating(ts_gpu *gpu, ts_precision precision, ts_dtype type)
{
    struct product p;
    struct gating joined, apart;
    uint32_t state = 7;
    open_product(&p, gpu, precision);
    open_gating(&p, type, &joined);
    open_gating(&p, type, &apart);
    fill(p.a_values, M * K, 1, &state);
    fill(p.b_values, N * K, 1, &state);
    MUST(ts_gpu_upload(gpu, p.a, p.a_values, M * K * sizeof(float), err));
    MUST(ts_gpu_upload(gpu, p.b, p.b_values, N * K * sizeof(float), err));
    gate_forward(&p, &joined, true);
    gate_forward(&p, &apart, false);
    expect_near(&p, joined.up, apart.up, 0, "up");
    expect_near(&p, joined.y, apart.y, 0, "y");
    gate_backward(&p, &joined, true); // in place
    gate_backward(&p, &apart, false); // its dy is stored, and so rounded
    const double tolerance = type == TS_F32 ? 1e-6 : type == TS_F16 ? 1e-3 : 8e-3;
    expect_near(&p, joined.gate, apart.dgate, tolerance, "dgate");
    expect_near(&p, joined.up, apart.dup, tolerance, "dup");
    close_product(&p);
}

Test(rounded, what_follows_a_product_is_the_same_in_its_kernel)
{
    ts_gpu *gpu = test_gpu_open();
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    bool any = false;
    for (ts_precision p = TS_PRECISION_F16; p <= TS_PRECISION_BF16; p++) {
        if (ts_precision_offered(caps, p)) {
            any = true;
            check_gating(gpu, p, TS_F32);
            check_gating(gpu, p, p == TS_PRECISION_F16 ? TS_F16 : TS_BF16);
        }
    }
    check_gating(gpu, TS_PRECISION_F32, TS_F32); // two kernels in any case
    test_gpu_close(gpu);
    if (!any) {
        cr_skip_test("no matrix units");
    }
}

// Weights in BF16 of all sizes that f16 holds, as ordinary numbers, with fewer bits and as none,
// and in `halves` the same rounded to F16.
static void fill_weights(uint16_t brains[N * K], uint16_t halves[N * K])
{
    uint32_t state = 11;
    for (size_t i = 0; i < N * K; i++) {
        state = state * 1664525u + 1013904223u;
        brains[i] = ts_f32_to_bf16(ldexpf((float)(int32_t)state, -31 - (int)(i % 32)));
    }
    ts_bf16_to_f16(brains, N * K, halves);
}

static void multiply_held(struct product *p, ts_layout layout, ts_view b, float out[M * N])
{
    ts_matmul_rounded(
        p->recorder, &p->rounding,
        &(ts_product){
            .layout = layout, .m = M, .n = N, .k = K, .a = p->a, .b = b, .c = p->c, .alpha = 1});
    MUST(ts_recorder_run(p->recorder, err));
    MUST(ts_gpu_download(p->gpu, p->c, out, M * N * sizeof *out, err));
}

// So models may hold them so (model/quantise.h). What f16 cannot hold is infinite in either
// product.
Test(rounded, weights_in_bf16_give_the_bits_of_f16)
{
    static uint16_t brains[N * K], halves[N * K];
    static float from_brains[M * N], from_halves[M * N];
    ts_gpu *gpu = test_gpu_open();
    const bool able = ts_precision_offered(ts_gpu_capabilities(gpu), TS_PRECISION_F16);
    struct product p;
    ts_view held[2];
    uint32_t state = 5;
    open_product(&p, gpu, TS_PRECISION_F16);
    MUST(ts_gpu_alloc(&p.arena, TS_BF16, N * K, &held[0], err));
    MUST(ts_gpu_alloc(&p.arena, TS_F16, N * K, &held[1], err));
    fill(p.a_values, M * K, 0x1p-30f, &state);
    MUST(ts_gpu_upload(gpu, p.a, p.a_values, M * K * sizeof(float), err));
    fill_weights(brains, halves);
    for (int large = 0; large < 2 && able; large++) {
        brains[3] = large == 1 ? ts_f32_to_bf16(65536) : brains[3];
        halves[3] = large == 1 ? ts_f32_to_f16(65536) : halves[3];
        MUST(ts_gpu_upload(gpu, held[0], brains, sizeof brains, err));
        MUST(ts_gpu_upload(gpu, held[1], halves, sizeof halves, err));
        for (ts_layout layout = TS_NT; layout <= TS_NN; layout++) {
            const size_t infinite = layout == TS_NT ? 0 : 3; // the column that weight 3 is in
            multiply_held(&p, layout, held[0], from_brains);
            multiply_held(&p, layout, held[1], from_halves);
            for (size_t i = 0; i < M * N; i++) {
                const bool finite = large == 0 || i % N != infinite;
                cr_assert_eq(isfinite(from_brains[i]) != 0, finite, "%zu", i);
                cr_assert_eq(isfinite(from_halves[i]) != 0, finite, "%zu", i);
                cr_assert(!finite || from_brains[i] == from_halves[i], "layout %d, %zu: %g, %g",
                          layout, i, (double)from_brains[i], (double)from_halves[i]);
            }
        }
    }
    close_product(&p);
    test_gpu_close(gpu);
    if (!able) {
        cr_skip_test("no matrix units for f16");
    }
}

Test(rounded, precision_by_name)
{
    const ts_matrix_shape shape = {16, 16, 16};
    const ts_gpu_caps none = {.type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU};
    const ts_gpu_caps old = {.type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, .matrix_f16 = shape};
    const ts_gpu_caps new = {
        .type = VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU, .matrix_f16 = shape, .matrix_bf16 = shape};
    const ts_gpu_caps cpu = {.type = VK_PHYSICAL_DEVICE_TYPE_CPU, .matrix_f16 = shape};
    const ts_gpu_caps pairs = {.type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, .f16_pairs = true};
    const ts_gpu_caps dots = {
        .type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, .has_f16_dots = true, .f16_pairs = true};
    const struct {
        const char *name;
        const ts_gpu_caps *caps;
        ts_precision precision;
    } cases[] = {
        {"auto", &none, TS_PRECISION_F32}, {"auto", &old, TS_PRECISION_F16},
        {"auto", &new, TS_PRECISION_BF16}, {"auto", &cpu, TS_PRECISION_F32},
        {"f16", &cpu, TS_PRECISION_F16},   {"bf16", &cpu, TS_PRECISION_F32},
        {"bf16", &new, TS_PRECISION_BF16}, {"f16", &none, TS_PRECISION_F32},
        {"f32", &new, TS_PRECISION_F32},   {"auto", &dots, TS_PRECISION_F16},
        {"bf16", &dots, TS_PRECISION_F32}, {"auto", &pairs, TS_PRECISION_F32},
        {"f16", &pairs, TS_PRECISION_F16},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_precision got;
        MUST(ts_precision_choose(cases[i].name, cases[i].caps, &got, err));
        cr_expect_eq(got, cases[i].precision, "case %zu: %s", i, ts_precision_name(got));
    }
    ts_precision got;
    ts_error err = {0};
    cr_assert_eq(ts_precision_choose("fp16", &new, &got, &err), TS_ERR_ARGUMENT);
}

// Shared memory of a tile as the shader declares it, in bytes.
static uint32_t tile_bytes(const struct ts_gemm_rounded_args *args)
{
    const uint32_t subgroups = args->local_size / args->subgroup_size;
    const uint32_t lines = args->tile_m + args->tile_n;
    const uint32_t tiles = 16 * args->buffers * lines * (args->k_step / 8 + 1);
    const uint32_t edge = 4 * subgroups * args->matrix_m * args->matrix_n;
    const uint32_t afterwards =
        16 * (args->extra ? 3 * lines : 0) + (args->subgroup_size > 1 ? edge : 0);
    return (tiles > afterwards ? tiles : afterwards) + 16;
}

static void check_tile(const ts_gpu_caps *caps, const struct ts_gemm_rounded_args *args)
{
    uint32_t subgroups = args->local_size / args->subgroup_size, columns = subgroups / args->rows;
    cr_assert_leq(args->local_size, caps->max_invocations);
    if (args->subgroup_size > 1) {
        cr_assert_leq(subgroups, caps->max_subgroups);
    } else {
        cr_assert_eq(args->tile_n / columns % 4, 0, "an invocation stores quads");
    }
    cr_assert_leq(tile_bytes(args), caps->shared_bytes);
    cr_assert_eq(args->tile_m / args->rows % args->matrix_m, 0);
    cr_assert_eq(args->tile_n / columns % args->matrix_n, 0);
    cr_assert_eq(args->k_step % args->matrix_k, 0);
}

// Turing's shapes, AMD's and a CPU driver's, and pairs without any, on rich devices and the poorest
// that Vulkan allows.
Test(rounded, tiles_fit_the_device)
{
    static const ts_matrix_shape shapes[] = {{16, 8, 8}, {16, 16, 16}, {8, 8, 8}, {16, 16, 8}};
    static const uint32_t shared[] = {16 << 10, 48 << 10, 64 << 10}, subgroups[] = {8, 32, 64};
    static const uint32_t invocations[] = {128, 256, 1024}, sizes[] = {16, 70, 512, 5632};
    static const uint32_t registers[] = {0, 16, 64, 128, 255};
    for (uint32_t i = 0; i < 4 * 3 * 3 * 3 * 4 * 3 * 5; i++) {
        const ts_gpu_caps caps = {.type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
                                  .matrix_f16 = shapes[i % 4],
                                  .shared_bytes = shared[i / 4 % 3],
                                  .full_subgroup = subgroups[i / 12 % 3],
                                  .max_invocations = invocations[i / 36 % 3],
                                  .registers = registers[i / 1296],
                                  .max_subgroups = i % 2 == 0 ? 4 : 64};
        ts_layout layout = (ts_layout)(i / 432 % 3);
        uint32_t m = sizes[i / 108 % 4];
        struct ts_gemm_rounded_args args = {.m = m, .n = 5632, .k = 64, .lda = 64, .ldb = 64};
        for (args.extra = 0; args.extra < 2; args.extra++) { // with it 64 registers are too few
            cr_assert(ts_gemm_rounded_choose(&caps, TS_SHADER_gemm_cm_f16, layout, &args));
            check_tile(&caps, &args);
            cr_assert(ts_gemm_rounded_choose(&caps, TS_SHADER_gemm_dot, layout, &args));
            check_tile(&caps, &args);
            ts_tile tiles[TS_TILES];
            const uint32_t count = ts_tile_candidates_rounded(&caps, &args, tiles);
            for (uint32_t t = 0; t < count; t++) {
                ts_tile_set_rounded(&tiles[t], &args);
                check_tile(&caps, &args);
            }
        }
    }
}

// Intel's Arc has subgroups of 8 lanes with 128 registers each: its compiler has room for 64 sums a
// lane if a step is short, but not where the extra pair's loops stand behind it. On NVIDIA's cards
// the largest tile has 64 sums in any case.
Test(rounded, tiles_leave_sums_in_registers)
{
    const ts_gpu_caps arc = {.type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
                             .matrix_bf16 = {8, 8, 16},
                             .shared_bytes = 48 << 10,
                             .full_subgroup = 8,
                             .max_invocations = 1024,
                             .max_subgroups = 64,
                             .registers = 128};
    ts_gpu_caps turing = arc;
    turing.full_subgroup = 32, turing.registers = 255;
    turing.matrix_bf16 = (ts_matrix_shape){16, 16, 16};
    for (uint32_t m = 16; m <= 4096; m *= 2) {
        struct ts_gemm_rounded_args args = {.a.dtype = TS_BF16,
                                            .b.dtype = TS_BF16,
                                            .m = m,
                                            .n = 5632,
                                            .k = 2048,
                                            .lda = 2048,
                                            .ldb = 2048};
        ts_tile tiles[TS_TILES];
        for (args.extra = 0; args.extra < 2; args.extra++) {
            ts_gemm_rounded_choose(&arc, TS_SHADER_gemm_cm_bf16, TS_NT, &args);
            cr_assert_eq(args.tile_m * args.tile_n / args.local_size,
                         m > 128 && !args.extra ? 64 : 32);
            uint32_t count = ts_tile_candidates_rounded(&arc, &args, tiles);
            for (uint32_t i = 0; i < count; i++) {
                ts_tile_set_rounded(&tiles[i], &args);
                check_tile(&arc, &args);
                cr_assert_leq(args.tile_m * args.tile_n / args.local_size, args.extra ? 32 : 64);
            }
        }
        args.extra = 0;
        ts_gemm_rounded_choose(&turing, TS_SHADER_gemm_cm_bf16, TS_NT, &args);
        cr_assert_eq(args.tile_m, m > 128 ? 128 : 64);
        cr_assert_eq(args.local_size, m > 128 ? 256 : 128);
    }
}

// A device whose shared memory holds no tile multiplies without matrix units.
Test(rounded, no_tile_fits_where_shared_memory_is_too_small)
{
    const ts_gpu_caps caps = {.type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
                              .matrix_f16 = {16, 16, 16},
                              .shared_bytes = 4 << 10,
                              .full_subgroup = 32,
                              .max_invocations = 256,
                              .max_subgroups = 8};
    struct ts_gemm_rounded_args args = {.m = 64, .n = 64, .k = 64, .lda = 64, .ldb = 64};
    cr_assert_not(ts_gemm_rounded_choose(&caps, TS_SHADER_gemm_cm_f16, TS_NT, &args));
}

// An invocation of gemm_vec has up to 8 x 8 sums where it has 255 registers, 8 x 4 where it has 128
// (there Intel's and Qualcomm's compilers kept some of 8 x 8 in memory), and 4 x 4 where it has 64.
Test(rounded, tiles_of_gemm_vec_leave_sums_in_registers)
{
    static const struct {
        uint32_t registers, sums;
    } devices[] = {{255, 64}, {128, 32}, {64, 16}};
    for (size_t d = 0; d < TS_COUNT(devices); d++) {
        const ts_gpu_caps caps = {.type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
                                  .shared_bytes = 32 << 10,
                                  .max_invocations = 256,
                                  .registers = devices[d].registers};
        struct ts_gemm_args args = {.m = 2048, .n = 2048, .k = 2048, .lda = 2048, .ldb = 2048};
        ts_tile tiles[TS_TILES];
        uint32_t most = 0;
        ts_gemm_choose(&caps, TS_NT, &args);
        const uint32_t count = ts_tile_candidates(&caps, &args, tiles);
        for (uint32_t i = 0; i < count; i++) {
            most = (uint32_t)ts_max_u64(most, tiles[i].m * tiles[i].n / tiles[i].local_size);
        }
        cr_assert_eq(most, devices[d].sums, "%u registers, %u sums", devices[d].registers, most);
        cr_assert_gt(count, 2, "there is something to choose from");
    }
}
