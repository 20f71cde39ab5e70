// Mirror of the matrix product: three loops.
#include "ops/ref/ref.h"

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
            *c = a->alpha * sum + (a->accumulate ? *c : 0);
        }
    }
}
