// Times the products with each of TinyLlama's weights, held as a model stored in bf16 has them,
// forward and backward.
#include "check/bench_parts.h"

#include "base/memory.h"

#include <stdlib.h>

enum { MOST_ROWS = 512, WIDEST = 5632, HIDDEN = 2048 };

struct product {
    ts_product with;
    ts_rounding rounding;
};

static void record(ts_recorder *recorder, void *user)
{
    const struct product *p = user;
    // Forgets the largest element of a, so that every run searches for it.
    ts_recorder_derived(recorder, (ts_view){0}, (ts_view){0});
    ts_matmul_rounded(recorder, &p->rounding, &p->with);
}

static ts_status fill(ts_bench_run *run, ts_gpu_arena *arena, struct product *product,
                      ts_error *err)
{
    ts_status status = TS_OK;
    const size_t activations = (size_t)MOST_ROWS * WIDEST, weights = (size_t)WIDEST * HIDDEN;
    const ts_dtype type = ts_precision_weights(run->params->precision, TS_BF16);
    float *values = NULL;
    uint16_t *halves = NULL;
    product->rounding.precision = run->params->precision;
    TS_TRY(ts_gpu_alloc(arena, TS_F32, activations, &product->with.a, err));
    TS_TRY(ts_gpu_alloc(arena, type, weights, &product->with.b, err));
    TS_TRY(ts_gpu_alloc(arena, TS_F32, activations, &product->with.c, err));
    TS_TRY(ts_gpu_alloc(arena, TS_F32, 256, &product->rounding.largest_a, err));
    TS_TRY(ts_gpu_alloc(arena, TS_F32, 256, &product->rounding.largest_b, err));
    TS_TRY(ts_alloc(activations, sizeof *values, &values, err));
    TS_TRY(ts_alloc(weights, sizeof *halves, &halves, err));
    for (size_t i = 0; i < activations; i++) {
        values[i] = (float)(i % 1009) / 1009 - 0.5f;
    }
    for (size_t i = 0; i < weights; i++) {
        ts_dtype_store(type, halves, i, (double)values[i % activations]);
    }
    TS_TRY(ts_gpu_upload(run->gpu, product->with.a, values, product->with.a.bytes, err));
    TS_TRY(ts_gpu_upload(run->gpu, product->with.b, halves, product->with.b.bytes, err));
out:
    free(values);
    free(halves);
    return status;
}

// Times the products of `rows` tokens with one weight, [out, in].
static ts_status time_product(ts_bench_run *run, struct product *p, uint32_t rows, uint32_t out,
                              uint32_t in, ts_error *err)
{
    p->with.m = rows;
    p->with.n = p->with.layout == TS_NT ? out : in;
    p->with.k = p->with.layout == TS_NT ? in : out;
    ts_bench_row *row =
        ts_bench_add_row(run, TS_BENCH_PRODUCT, "%s %4u x %5u x %5u",
                         p->with.layout == TS_NT ? "y = x W^T  (NT)" : "dx = dy W  (NN)", rows,
                         p->with.n, p->with.k);
    row->product_flops = 2.0 * rows * out * in;
    row->bytes = 2.0 * out * in + 4.0 * rows * ((double)out + in);
    return ts_bench_time(run, record, p, row, err);
}

ts_status ts_bench_products(ts_bench_run *run, ts_error *err)
{
    // q and o, k and v, gate and up, down
    static const uint32_t weights[][2] = {{2048, 2048}, {256, 2048}, {5632, 2048}, {2048, 5632}};
    static const uint32_t rows[] = {128, 512};
    ts_status status = TS_OK;
    ts_gpu_arena arena = {.gpu = run->gpu, .block_bytes = 1 << 20};
    struct product product = {.with.alpha = 1};
    TS_TRY(fill(run, &arena, &product, err));
    for (product.with.layout = TS_NT; product.with.layout <= TS_NN; product.with.layout++) {
        for (size_t r = 0; r < TS_COUNT(rows); r++) {
            for (size_t w = 0; w < TS_COUNT(weights); w++) {
                ts_bench_report_progress(run, "matrix products %zu of 16", run->result->count + 1);
                TS_TRY(time_product(run, &product, rows[r], weights[w][0], weights[w][1], err));
            }
        }
    }
out:
    ts_gpu_arena_close(&arena);
    return status;
}
