// Products of so few tiles that workgroups share their k (shaders/include/partials.glsl).
#include "base/memory.h"
#include "device.h"
#include "filled.h"
#include "ops/gemm.h"

#include <math.h>

enum { FEW = 40, ACROSS = 72, LONG = 2048, THIN = 5 };
static const float ALPHA = 0.5f, EXTRA_SCALE = 1.5f;

// A product of few tiles: its operands, on the device and here.
struct long_product {
    ts_layout layout;
    ts_view views[4]; // a, b, the extra pair
    float *values[4];
};

static void fill_long(struct long_product *p, ts_gpu_arena *arena)
{
    const uint64_t counts[] = {FEW * LONG, ACROSS * LONG, FEW * THIN, ACROSS * THIN};
    for (uint32_t i = 0; i < TS_COUNT(counts); i++) {
        p->views[i] = test_filled(arena, counts[i], i);
        p->values[i] = malloc(counts[i] * sizeof(float));
        MUST(
            ts_gpu_download(arena->gpu, p->views[i], p->values[i], counts[i] * sizeof(float), err));
    }
}

static double expect_long(const struct long_product *p, size_t i, size_t j)
{
    const bool nt = p->layout == TS_NT;
    double sum = 0;
    for (size_t l = 0; l < LONG; l++) {
        sum +=
            (double)p->values[0][i * LONG + l] * p->values[1][nt ? j * LONG + l : l * ACROSS + j];
    }
    for (size_t l = 0; l < THIN; l++) {
        const double b = p->values[3][nt ? j * THIN + l : l * ACROSS + j];
        sum += (double)EXTRA_SCALE * p->values[2][i * THIN + l] * b;
    }
    return ALPHA * sum;
}

static void check_long(ts_recorder *recorder, const ts_rounding *rounding,
                       const struct long_product *p, const ts_view *c)
{
    // Of the precisions: what rounding operands costs.
    static const double most[] = {2e-6, 1e-3, 8e-3};
    static float values[2][FEW * ACROSS], left[TS_PARTIAL_TILES + FEW * ACROSS];
    ts_gpu *gpu = ts_recorder_gpu(recorder);
    double difference = 0, norm = 0, sums = 0;
    for (int i = 0; i < 2; i++) {
        ts_matmul_rounded(recorder, rounding,
                          &(ts_product){.layout = p->layout,
                                        .m = FEW,
                                        .n = ACROSS,
                                        .k = LONG,
                                        .a = p->views[0],
                                        .b = p->views[1],
                                        .c = c[i],
                                        .alpha = ALPHA,
                                        .extra = {p->views[2], p->views[3], THIN, EXTRA_SCALE}});
    }
    MUST(ts_recorder_run(recorder, err));
    for (int i = 0; i < 2; i++) {
        MUST(ts_gpu_download(gpu, c[i], values[i], sizeof values[i], err));
    }
    MUST(ts_gpu_download(gpu, ts_recorder_partials(recorder), left, sizeof left, err));
    for (size_t e = 0; e < FEW * ACROSS; e++) {
        const double want = expect_long(p, e / ACROSS, e % ACROSS);
        difference += pow(values[0][e] - want, 2);
        norm += pow(want, 2);
        sums += fabsf(left[TS_PARTIAL_TILES + e]);
    }
    const char *name = ts_precision_name(rounding->precision);
    cr_expect_leq(sqrt(difference / norm), most[rounding->precision], "%s, layout %d: off by %g",
                  name, p->layout, sqrt(difference / norm));
    cr_expect_eq(memcmp(values[0], values[1], sizeof values[0]), 0, "%s", name);
    cr_expect_gt(sums, 0, "%s: nobody has left parts of sums", name);
    for (size_t t = 0; t < TS_PARTIAL_TILES; t++) {
        cr_assert_eq(left[t], 0, "%s: tile %zu", name, t);
    }
}

// Where tiles are few, several workgroups of a GPU's shaders share k: the product is right, the
// same bits each time, and no workgroup is left counted.
Test(partials, few_tiles_divide_k)
{
    ts_gpu *gpu = test_gpu_open_masked("cpu-driver");
    ts_gpu_arena arena = {.gpu = gpu, .block_bytes = 1 << 20};
    ts_rounding rounding = {0};
    struct long_product product = {0};
    ts_view c[2];
    fill_long(&product, &arena);
    MUST(ts_gpu_alloc(&arena, TS_F32, 256, &rounding.largest_a, err));
    MUST(ts_gpu_alloc(&arena, TS_F32, 256, &rounding.largest_b, err));
    MUST(ts_gpu_alloc(&arena, TS_F32, FEW * ACROSS, &c[0], err));
    MUST(ts_gpu_alloc(&arena, TS_F32, FEW * ACROSS, &c[1], err));
    for (int i = 0; i < 2 * 3; i++) {
        ts_recorder *recorder;
        product.layout = i % 2 == 0 ? TS_NT : TS_NN;
        rounding.precision = (ts_precision)(i / 2);
        if (ts_precision_offered(ts_gpu_capabilities(gpu), rounding.precision)) {
            MUST(ts_recorder_open(gpu, &recorder, err));
            check_long(recorder, &rounding, &product, c);
            ts_recorder_close(recorder);
        }
    }
    for (size_t i = 0; i < TS_COUNT(product.values); i++) {
        free(product.values[i]);
    }
    ts_gpu_arena_close(&arena);
    ts_gpu_close(gpu);
}
