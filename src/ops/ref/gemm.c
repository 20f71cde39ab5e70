// Mirrors of the matrix products, as three plain loops. The mirror of gemm_rounded does not round
// its operands, so that comparing with it measures the rounding.
#include "ops/ref/ref.h"

#include <math.h>

static double extra_of(const struct ts_gemm_ref *a, size_t i, size_t j)
{
    const size_t columns[] = {a->extra_k, a->extra_k_1, a->extra_k_2};
    const size_t from_a[] = {0, a->extra_a_1, a->extra_a_2};
    const size_t from_b[] = {0, a->extra_b_1, a->extra_b_2};
    double sum = 0;
    for (size_t term = 0; term <= a->added; term++) {
        const double *left = a->extra_a + from_a[term], *right = a->extra_b + from_b[term];
        const size_t k = columns[term];
        for (size_t l = 0; l < k; l++) {
            sum += left[i * k + l] * right[a->layout == 0 ? j * k + l : l * a->n + j];
        }
    }
    return a->extra_scale * sum;
}

// Element (i, j) of a b.
static double product_of(const struct ts_gemm_ref *a, size_t i, size_t j)
{
    double sum = 0;
    for (size_t l = 0; l < a->k; l++) {
        double left = a->layout == 2 ? a->a[l * a->lda + i] : a->a[i * a->lda + l];
        sum += left * (a->layout == 0 ? a->b[j * a->ldb + l] : a->b[l * a->ldb + j]);
    }
    return sum;
}

// The same of a sum of `terms` products, NN, whose a are dense.
static double sum_of(const struct ts_gemm_ref *a, size_t i, size_t j)
{
    const size_t begin[] = {0, a->term_1, a->added < 2 ? a->k : a->term_2, a->k};
    const size_t from_a[] = {0, a->a_1, a->a_2}, from_b[] = {0, a->b_1, a->b_2};
    double sum = 0;
    for (size_t term = 0; term <= a->added; term++) {
        struct ts_gemm_ref one = *a;
        one.a += from_a[term];
        one.b += from_b[term];
        one.k = one.lda = (uint32_t)(begin[term + 1] - begin[term]);
        sum += product_of(&one, i, j);
    }
    return sum;
}

// Stores an element of c and does what follows from it (epilogue). c and gated may lie where gate
// and up do, whose element is read before.
static void store(const struct ts_gemm_ref *a, size_t at, double value)
{
    const double gate = a->epilogue != 0 ? a->gate[at] : 0;
    const double up = a->epilogue == 2 ? a->up[at] : 0;
    if (a->epilogue == 1) {
        ts_ref_swiglu(&(struct ts_swiglu_ref){
            .gate = &gate, .up = &value, .y = &a->gated[at], .count = 1, .gelu = a->gelu});
    } else if (a->epilogue == 2) {
        ts_ref_swiglu_backward(&(struct ts_swiglu_backward_ref){.gate = &gate,
                                                                .up = &up,
                                                                .dy = &value,
                                                                .dgate = &a->c[at],
                                                                .dup = &a->gated[at],
                                                                .count = 1,
                                                                .gelu = a->gelu});
        return;
    }
    a->c[at] = value + (a->epilogue == 3 ? gate : 0);
}

void ts_ref_gemm(const struct ts_gemm_ref *a)
{
    for (size_t i = 0; i < a->m; i++) {
        for (size_t j = 0; j < a->n; j++) {
            const size_t at = i * a->ldc + j;
            double sum = a->added > 0 ? sum_of(a, i, j) : product_of(a, i, j);
            sum += a->extra ? extra_of(a, i, j) : 0;
            store(a, at, a->alpha * sum + (a->accumulate ? a->c[at] : 0));
        }
    }
}

void ts_ref_pack_rows(const struct ts_pack_rows_ref *a)
{
    const size_t tile = a->tile;
    for (size_t i = 0; i < (a->rows + tile - 1) / tile; i++) {
        for (size_t c = 0; c < a->cols; c++) {
            for (size_t r = 0; r < tile; r++) {
                size_t row = tile * i + r;
                a->y[(i * a->cols + c) * tile + r] = row < a->rows ? a->x[row * a->cols + c] : 0;
            }
        }
    }
}

void ts_ref_gemm_packed(const struct ts_gemm_packed_ref *a)
{
    const struct ts_gemm_ref extra = {.n = a->n,
                                      .extra_a = a->extra_a,
                                      .extra_b = a->extra_b,
                                      .extra_k = a->extra_k,
                                      .extra_scale = a->extra_scale,
                                      .layout = a->layout};
    for (size_t i = 0; i < a->m; i++) {
        for (size_t j = 0; j < a->n; j++) {
            double sum = extra_of(&extra, i, j);
            for (size_t l = 0; l < a->k; l++) {
                double left = a->a[(i / a->tile * a->lda + l) * a->tile + i % a->tile];
                sum += left * (a->layout == 0 ? a->b[j * a->ldb + l] : a->b[l * a->ldb + j]);
            }
            double *c = &a->c[i * a->ldc + j];
            *c = a->alpha * sum + (a->accumulate ? *c : 0);
        }
    }
}

void ts_ref_absmax(const struct ts_absmax_ref *a)
{
    size_t width = ((size_t)a->count + 1023) / 1024 * 4;
    for (size_t piece = 0; piece < 256; piece++) {
        a->largest[piece] = 0;
        for (size_t i = piece * width; i < (piece + 1) * width && i < a->count; i++) {
            a->largest[piece] = fmax(a->largest[piece], fabs(a->x[i]));
        }
    }
}

// Each workgroup adds the largest |x| of its tile to one of the 256 words.
static void keep_largest(const struct ts_gemm_rounded_ref *a, const double *x)
{
    const size_t across = ((size_t)a->n + a->tile_n - 1) / a->tile_n;
    for (size_t i = 0; i < a->m && a->finds_largest; i++) {
        for (size_t j = 0; j < a->n; j++) {
            const size_t group = i / a->tile_m * across + j / a->tile_n;
            a->largest[group % 256] = fmax(a->largest[group % 256], fabs(x[i * a->ldc + j]));
        }
    }
}

void ts_ref_gemm_rounded(const struct ts_gemm_rounded_ref *a)
{
    ts_ref_gemm(&(struct ts_gemm_ref){.a = a->a,
                                      .b = a->b,
                                      .c = a->c,
                                      .extra_a = a->extra_a,
                                      .extra_b = a->extra_b,
                                      .m = a->m,
                                      .n = a->n,
                                      .k = a->k,
                                      .lda = a->lda,
                                      .ldb = a->ldb,
                                      .ldc = a->ldc,
                                      .alpha = a->alpha,
                                      .accumulate = a->accumulate,
                                      .extra_k = a->extra_k,
                                      .extra_scale = a->extra_scale,
                                      .layout = a->layout,
                                      .extra = a->extra,
                                      .added = a->added,
                                      .term_1 = a->term_1,
                                      .term_2 = a->term_2,
                                      .a_1 = a->a_1,
                                      .a_2 = a->a_2,
                                      .b_1 = a->b_1,
                                      .b_2 = a->b_2,
                                      .extra_k_1 = a->extra_k_1,
                                      .extra_k_2 = a->extra_k_2,
                                      .extra_a_1 = a->extra_a_1,
                                      .extra_a_2 = a->extra_a_2,
                                      .extra_b_1 = a->extra_b_1,
                                      .extra_b_2 = a->extra_b_2,
                                      .gate = a->gate,
                                      .up = a->up,
                                      .gated = a->gated,
                                      .epilogue = a->epilogue,
                                      .gelu = a->gelu});
    if (a->epilogue == 2) {
        keep_largest(a, a->c);
    }
    if (a->epilogue == 1 || a->epilogue == 2) {
        keep_largest(a, a->gated);
    }
}
