// Weight-decomposed LoRA (Liu et al. 2024, https://arxiv.org/abs/2402.09353).
#include "ops/ref/ref.h"

#include <math.h>

void ts_ref_row_squares(const struct ts_row_squares_ref *a)
{
    for (size_t row = 0; row < a->rows; row++) {
        a->sums[row] = 0;
        for (size_t c = 0; c < a->cols; c++) {
            double w = a->w[row * a->cols + c];
            a->sums[row] += w * w;
        }
    }
}

void ts_ref_scale_columns(const struct ts_scale_columns_ref *a)
{
    for (size_t i = 0; i < (size_t)a->rows * a->cols; i++) {
        a->y[i] *= a->factor[i % a->cols];
    }
}

void ts_ref_dora_factor(const struct ts_dora_factor_ref *a)
{
    for (size_t c = 0; c < a->cols; c++) {
        double sum = 0;
        for (size_t j = 0; j < a->rank; j++) {
            sum += a->across[j * a->cols + c] * a->b[c * a->rank + j];
        }
        double square = a->squares[c] + 2 * a->scale * sum;
        double inverse = square > 0 ? 1 / sqrt(square) : 0;
        a->factor[c] = a->magnitude[c] * inverse;
        a->factor[a->cols + c] = inverse;
    }
}

void ts_ref_dora_backward(const struct ts_dora_backward_ref *a)
{
    for (size_t c = 0; c < a->cols; c++) {
        double sum = 0;
        for (size_t t = 0; t < a->rows; t++) {
            size_t i = t * a->cols + c;
            sum += a->dy[i] * a->u[i];
            a->u[i] = a->factor[c] * a->dy[i];
        }
        a->dmagnitude[c] += sum * a->factor[a->cols + c];
    }
}
