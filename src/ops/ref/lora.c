// Mirrors of the kernels for a group of LoRA pairs, one pair after the other.
#include "ops/ref/ref.h"

enum { PAIRS = 3 };
#define OF_PAIRS(name)                                                                             \
    {                                                                                              \
        a->name##_0, a->name##_1, a->name##_2                                                      \
    }

void ts_ref_lora_products(const struct ts_lora_products_ref *a)
{
    const size_t ranks[] = OF_PAIRS(rank), ks[] = OF_PAIRS(k), a_at[] = OF_PAIRS(a_at),
                 b_at[] = OF_PAIRS(b_at), c_at[] = OF_PAIRS(c_at);
    const double scale[] = OF_PAIRS(scale);
    for (size_t p = 0; p < PAIRS; p++) {
        const size_t rank = ranks[p], k = ks[p];
        for (size_t i = 0; i < a->rows * rank; i++) {
            const size_t row = i / rank, r = i % rank;
            const double *left = a->a + a_at[p] + row * k, *right = a->b + b_at[p];
            double sum = 0;
            for (size_t l = 0; l < k; l++) {
                sum += left[l] * right[a->layout == 0 ? r * k + l : l * rank + r];
            }
            a->c[c_at[p] + i] = scale[p] * sum;
        }
    }
}

// The input of the layers: x, or what its norm makes of it.
static double input_of(const struct ts_lora_gradients_ref *a, size_t row, size_t column)
{
    const double x = a->x[row * a->in_size + column];
    return a->normed ? x * a->rstd[row] * a->weight[column] : x;
}

void ts_ref_lora_gradients(const struct ts_lora_gradients_ref *a)
{
    const size_t outs[] = OF_PAIRS(out_size), ranks[] = OF_PAIRS(rank), dy_at[] = OF_PAIRS(dy_at),
                 t_at[] = OF_PAIRS(t_at), dt_at[] = OF_PAIRS(dt_at), da_at[] = OF_PAIRS(da_at),
                 db_at[] = OF_PAIRS(db_at);
    const double scale[] = OF_PAIRS(scale);
    for (size_t p = 0; p < PAIRS; p++) {
        const size_t rank = ranks[p], out = outs[p];
        for (size_t i = 0; i < out * rank; i++) {
            double sum = 0;
            for (size_t l = 0; l < a->rows; l++) {
                sum += a->dy[dy_at[p] + l * out + i / rank] * a->t[t_at[p] + l * rank + i % rank];
            }
            a->gradients[db_at[p] + i] += scale[p] * sum;
        }
        for (size_t i = 0; i < rank * a->in_size; i++) {
            double sum = 0;
            for (size_t l = 0; l < a->rows; l++) {
                sum += a->dt[dt_at[p] + l * rank + i / a->in_size] * input_of(a, l, i % a->in_size);
            }
            a->gradients[da_at[p] + i] += sum;
        }
    }
}
