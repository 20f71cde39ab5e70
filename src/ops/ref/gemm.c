// Mirrors of the matrix products, as three plain loops. The mirror of gemm_cm does not round its
// operands, so that comparing with it measures the rounding.
#include "ops/ref/ref.h"

#include <math.h>

static double extra_of(const struct ts_gemm_ref *a, size_t i, size_t j)
{
    double sum = 0;
    for (size_t l = 0; l < a->extra_k; l++) {
        size_t right = a->layout == 0 ? j * a->extra_k + l : l * a->n + j;
        sum += a->extra_a[i * a->extra_k + l] * a->extra_b[right];
    }
    return a->extra_scale * sum;
}

void ts_ref_gemm(const struct ts_gemm_ref *a)
{
    for (size_t i = 0; i < a->m; i++) {
        for (size_t j = 0; j < a->n; j++) {
            double sum = 0;
            for (size_t l = 0; l < a->k; l++) {
                double left = a->layout == 2 ? a->a[l * a->lda + i] : a->a[i * a->lda + l];
                double right = a->layout == 0 ? a->b[j * a->ldb + l] : a->b[l * a->ldb + j];
                sum += left * right;
            }
            double *c = &a->c[i * a->ldc + j];
            sum += a->extra ? extra_of(a, i, j) : 0;
            *c = a->alpha * sum + (a->accumulate ? *c : 0);
        }
    }
}

void ts_ref_lora_gradients(const struct ts_lora_gradients_ref *a)
{
    for (size_t r = 0; r < a->rank; r++) {
        for (size_t i = 0; i < a->out_size; i++) {
            double sum = 0;
            for (size_t l = 0; l < a->rows; l++) {
                sum += a->dy[l * a->out_size + i] * a->t[l * a->rank + r];
            }
            a->db[i * a->rank + r] += a->scale * sum;
        }
        for (size_t i = 0; i < a->in_size; i++) {
            double sum = 0;
            for (size_t l = 0; l < a->rows; l++) {
                sum += a->dt[l * a->rank + r] * a->x[l * a->in_size + i];
            }
            a->da[r * a->in_size + i] += sum;
        }
    }
}

void ts_ref_pack_rows(const struct ts_pack_rows_ref *a)
{
    for (size_t tile = 0; tile < ((size_t)a->rows + 15) / 16; tile++) {
        for (size_t c = 0; c < a->cols; c++) {
            for (size_t r = 0; r < 16; r++) {
                size_t row = 16 * tile + r;
                a->y[(tile * a->cols + c) * 16 + r] = row < a->rows ? a->x[row * a->cols + c] : 0;
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
                double left = a->a[(i / 16 * a->lda + l) * 16 + i % 16];
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

void ts_ref_gemm_cm(const struct ts_gemm_cm_ref *a)
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
                                      .extra = a->extra});
    for (size_t i = 0; i < a->m && a->gating; i++) {
        const size_t row = i * a->ldc;
        if (a->gating == 1) {
            ts_ref_swiglu(&(struct ts_swiglu_ref){.gate = a->gate + row,
                                                  .up = a->c + row,
                                                  .y = a->gated + row,
                                                  .count = a->n,
                                                  .gelu = a->gelu});
        } else {
            ts_ref_swiglu_backward(&(struct ts_swiglu_backward_ref){.gate = a->gate + row,
                                                                    .up = a->up + row,
                                                                    .dy = a->c + row,
                                                                    .dgate = a->c + row,
                                                                    .dup = a->gated + row,
                                                                    .count = a->n,
                                                                    .gelu = a->gelu});
        }
    }
}
