// Sums of products: one dispatch where the operands lie side by side, one for each product where
// they do not or where a term has no whole steps of k, and the same numbers. What follows from a
// product, too, with its sums or behind it.
#include "base/memory.h"
#include "filled.h"
#include "ops/gemm.h"

#include <math.h>

enum { TERMS = 3, M = 70, N = 96, MOST_K = 96, RANK = 5 };

struct sum {
    ts_gpu *gpu;
    ts_gpu_arena arena;
    ts_recorder *recorder;
    ts_product products[TERMS];
    ts_view c;
    float result[M * N];
};

// Three products with k of 64, `middle` and 32; the second has no extra pair. Small blocks put
// every tensor into a buffer of its own.
static void open_sum(struct sum *s, ts_gpu *gpu, uint64_t block_bytes, uint32_t middle)
{
    const uint32_t k[TERMS] = {64, middle, 32};
    ts_product *p = s->products;
    *s = (struct sum){.gpu = gpu, .arena = {.gpu = gpu, .block_bytes = block_bytes}};
    MUST(ts_recorder_open(gpu, &s->recorder, err));
    s->c = test_filled(&s->arena, M * N, 1);
    for (uint32_t i = 0; i < TERMS; i++) { // kind by kind, so that each lies in the terms' order
        p[i] = (ts_product){
            .layout = TS_NN, .m = M, .n = N, .k = k[i], .c = s->c, .alpha = 1, .accumulate = true};
        p[i].a = test_filled(&s->arena, (uint64_t)M * k[i], 10 + i);
    }
    for (uint32_t i = 0; i < TERMS; i++) {
        p[i].b = test_filled(&s->arena, (uint64_t)k[i] * N, 20 + i);
    }
    for (uint32_t i = 0; i < TERMS; i += 2) {
        p[i].extra = (ts_product_extra){.k = RANK + i, .scale = 0.5f};
        p[i].extra.a = test_filled(&s->arena, (uint64_t)M * p[i].extra.k, 30 + i);
    }
    for (uint32_t i = 0; i < TERMS; i += 2) {
        p[i].extra.b = test_filled(&s->arena, (uint64_t)N * p[i].extra.k, 40 + i);
    }
}

// Returns how many dispatches it took.
static uint64_t run_sum(struct sum *s)
{
    MUST(ts_recorder_run(s->recorder, err));
    MUST(ts_gpu_download(s->gpu, s->c, s->result, sizeof s->result, err));
    const uint64_t dispatches = ts_recorder_statistics(s->recorder).dispatches;
    ts_recorder_close(s->recorder);
    ts_gpu_arena_close(&s->arena);
    return dispatches;
}

static void expect_close(const struct sum *have, const struct sum *want, const char *what)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < TS_COUNT(want->result); i++) {
        difference += pow((double)have->result[i] - (double)want->result[i], 2);
        norm += pow((double)want->result[i], 2);
    }
    cr_expect_lt(sqrt(difference), 1e-6 * sqrt(norm), "%s: off by %.1e", what,
                 sqrt(difference / norm));
}

static struct sum together, apart;

Test(sums, terms_side_by_side_are_one_dispatch)
{
    static const uint32_t middles[] = {96, 20}; // whole steps of k, and none
    const ts_rounding exact = {0};
    ts_gpu *gpu = test_gpu_open_masked("cpu-driver");
    for (size_t i = 0; i < TS_COUNT(middles); i++) {
        open_sum(&together, gpu, 1 << 20, middles[i]);
        open_sum(&apart, gpu, 1, middles[i]);
        ts_matmul_sum(together.recorder, &exact, together.products, TERMS);
        ts_matmul_sum(apart.recorder, &exact, apart.products, TERMS);
        cr_expect_eq(run_sum(&together), i == 0 ? 1 : TERMS);
        cr_expect_eq(run_sum(&apart), TERMS);
        expect_close(&together, &apart, "sum");
    }
    test_gpu_close(gpu);
}

// A product's addend: with the sums on a GPU, by `add` behind the product on a CPU driver.
Test(sums, an_addend_is_added_either_way)
{
    static const char *const masks[] = {"cpu-driver", ""};
    struct sum *const sums[] = {&together, &apart};
    for (size_t i = 0; i < TS_COUNT(masks); i++) {
        ts_gpu *gpu = test_gpu_open_masked(masks[i]);
        const bool simd = ts_gpu_is_simd(ts_gpu_capabilities(gpu));
        open_sum(sums[i], gpu, 1 << 20, 32);
        ts_product product = sums[i]->products[0];
        product.accumulate = false;
        product.addend = test_filled(&sums[i]->arena, M * N, 50);
        ts_matmul(sums[i]->recorder, &product);
        cr_expect_eq(run_sum(sums[i]), simd ? 2 : 1, "%s", masks[i]);
        test_gpu_close(gpu);
    }
    expect_close(&together, &apart, "addend");
}
