// Mirrors of the kernels that treat rows or elements one by one.
#include "base/rng.h"
#include "ops/ref/ref.h"

#include <math.h>

void ts_ref_embed(const struct ts_embed_ref *a)
{
    for (size_t t = 0; t < a->rows; t++) {
        size_t id = (size_t)a->ids[t] - a->first_id;
        if (a->partial && (a->ids[t] < a->first_id || id >= a->vocab)) {
            continue;
        }
        for (size_t c = 0; c < a->cols; c++) {
            a->y[t * a->cols + c] = a->scale * a->table[id * a->cols + c];
        }
    }
}

void ts_ref_neftune(const struct ts_neftune_ref *a)
{
    const uint32_t key[2] = {a->seed_low, a->seed_high};
    for (uint32_t t = 0; t < a->rows; t++) {
        double most = a->alpha / sqrt((double)(a->end[t] - a->first[t]) * a->cols);
        for (uint32_t c = 0; c < a->cols; c++) {
            uint32_t words[4];
            ts_philox((uint32_t[4]){c / 4, t, a->stream, 0}, key, words);
            double noise = (words[c % 4] >> 8) * 0x1p-23 - 1;
            a->y[(size_t)t * a->cols + c] += most * noise;
        }
    }
}

void ts_ref_rmsnorm(const struct ts_rmsnorm_ref *a)
{
    for (size_t t = 0; t < a->rows; t++) {
        const double *x = a->x + t * a->cols;
        double squares = 0;
        for (size_t c = 0; c < a->cols; c++) {
            squares += x[c] * x[c];
        }
        a->rstd[t] = 1 / sqrt(squares / a->cols + a->eps);
        for (size_t c = 0; c < a->cols; c++) {
            a->y[t * a->cols + c] = x[c] * a->rstd[t] * a->weight[c];
        }
    }
}

void ts_ref_add_rmsnorm(const struct ts_add_rmsnorm_ref *a)
{
    ts_ref_add(&(struct ts_add_ref){.y = a->y, .x = a->x, .count = a->rows * a->cols});
    ts_ref_rmsnorm(&(struct ts_rmsnorm_ref){.x = a->y,
                                            .weight = a->weight,
                                            .y = a->norm,
                                            .rstd = a->rstd,
                                            .rows = a->rows,
                                            .cols = a->cols,
                                            .eps = a->eps});
}

void ts_ref_rmsnorm_again(const struct ts_rmsnorm_again_ref *a)
{
    for (size_t t = 0; t < a->rows; t++) {
        for (size_t c = 0; c < a->cols; c++) {
            a->y[t * a->cols + c] = a->x[t * a->cols + c] * a->rstd[t] * a->weight[c];
        }
    }
}

// The largest |x| of a row, or *largest if that is larger. NaN remains, where fmax would drop it.
static void keep_largest(double *largest, const double *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const double size = fabs(x[i]);
        *largest = size > *largest || isnan(size) ? size : *largest;
    }
}

void ts_ref_rmsnorm_backward(const struct ts_rmsnorm_backward_ref *a)
{
    for (size_t t = 0; t < a->rows; t++) {
        const double *x = a->x + t * a->cols, *dy = a->dy + t * a->cols;
        double *dx = a->dx + t * a->cols, r = a->rstd[t], mean = 0;
        for (size_t c = 0; c < a->cols; c++) {
            mean += a->weight[c] * dy[c] * x[c] * r / a->cols;
        }
        for (size_t c = 0; c < a->cols; c++) {
            dx[c] += r * (a->weight[c] * dy[c] - x[c] * r * mean);
        }
        if (a->finds_largest) {
            keep_largest(&a->largest[t % 256], dx, a->cols);
        }
    }
}

// Rotates a head's pairs by the angles [dim / 2, 2] of its row; sign -1 rotates back.
static void turn_head(double *x, const double *angles, size_t dim, double sign)
{
    const size_t pairs = dim / 2;
    for (size_t i = 0; i < pairs; i++) {
        const double c = angles[2 * i], s = sign * angles[2 * i + 1];
        const double low = x[i], high = x[i + pairs];
        x[i] = low * c - high * s;
        x[i + pairs] = high * c + low * s;
    }
}

void ts_ref_rope(const struct ts_rope_ref *a)
{
    for (size_t t = 0; t < a->rows; t++) {
        const double *angles = a->table + (size_t)a->position[t] * a->dim;
        for (size_t head = 0; head < a->heads; head++) {
            turn_head(a->q + (t * a->heads + head) * a->dim, angles, a->dim, 1);
        }
        for (size_t head = 0; head < a->kv_heads; head++) {
            turn_head(a->k + (t * a->kv_heads + head) * a->dim, angles, a->dim, 1);
        }
    }
}

static double sum_of_parts(const double *x, size_t parts, size_t count, size_t i)
{
    double sum = 0;
    for (size_t part = 0; part < parts; part++) {
        sum += x[part * count + i];
    }
    return sum;
}

void ts_ref_rope_backward(const struct ts_rope_backward_ref *a)
{
    const size_t count = (size_t)a->rows * a->kv_heads * a->dim;
    for (size_t i = 0; i < count; i++) {
        a->dk[i] = sum_of_parts(a->dk_parts, a->parts, count, i);
        a->dv[i] = a->parts > 1 ? sum_of_parts(a->dv_parts, a->parts, count, i) : a->dv[i];
    }
    for (size_t t = 0; t < a->rows && a->rotated; t++) {
        const double *angles = a->table + (size_t)a->position[t] * a->dim;
        for (size_t head = 0; head < a->heads; head++) {
            turn_head(a->dq + (t * a->heads + head) * a->dim, angles, a->dim, -1);
        }
        for (size_t head = 0; head < a->kv_heads; head++) {
            turn_head(a->dk + (t * a->kv_heads + head) * a->dim, angles, a->dim, -1);
        }
    }
    const size_t q_row = (size_t)a->heads * a->dim, k_row = (size_t)a->kv_heads * a->dim;
    for (size_t t = 0; t < a->rows && a->finds_largest; t++) {
        double *largest = &a->largest[t % 256];
        keep_largest(largest, a->dq + t * q_row, q_row);
        keep_largest(largest, a->dk + t * k_row, k_row);
        keep_largest(largest, (a->parts > 1 ? a->dv : a->dv_parts) + t * k_row, k_row);
    }
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

// The sigmoid's argument in an activation x * sigmoid(slant(x)): SiLU, or GELU as tanh approximates
// it.
static double slant(double x, uint32_t gelu)
{
    return gelu ? 2 * sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x) : x;
}

static double steepness(double x, uint32_t gelu)
{
    return gelu ? 2 * sqrt(2 / acos(-1)) * (1 + 3 * 0.044715 * x * x) : 1;
}

void ts_ref_swiglu(const struct ts_swiglu_ref *a)
{
    for (size_t i = 0; i < a->count; i++) {
        a->y[i] = a->gate[i] * sigmoid(slant(a->gate[i], a->gelu)) * a->up[i];
    }
}

void ts_ref_swiglu_backward(const struct ts_swiglu_backward_ref *a)
{
    for (size_t i = 0; i < a->count; i++) {
        double g = a->gate[i], u = a->up[i], s = sigmoid(slant(g, a->gelu));
        const double dy = a->dy[i];
        a->dgate[i] = dy * u * s * (1 + g * (1 - s) * steepness(g, a->gelu));
        a->dup[i] = dy * g * s;
    }
}

void ts_ref_add(const struct ts_add_ref *a)
{
    for (size_t i = 0; i < a->count; i++) {
        a->y[i] += a->x[i];
    }
}

void ts_ref_add_bias(const struct ts_add_bias_ref *a)
{
    for (size_t t = 0; t < a->rows; t++) {
        for (size_t c = 0; c < a->cols; c++) {
            a->y[t * a->cols + c] += a->bias[c];
        }
    }
}

void ts_ref_gather_rows(const struct ts_gather_rows_ref *a)
{
    for (size_t t = 0; t < a->rows; t++) {
        for (size_t c = 0; c < a->cols; c++) {
            a->y[t * a->cols + c] = a->x[(size_t)a->index[t] * a->cols + c];
        }
    }
}

void ts_ref_scatter_rows(const struct ts_scatter_rows_ref *a)
{
    for (size_t t = 0; t < a->rows; t++) {
        for (size_t c = 0; c < a->cols; c++) {
            a->y[(size_t)a->index[t] * a->cols + c] = a->x[t * a->cols + c];
        }
    }
}

void ts_ref_dropout(const struct ts_dropout_ref *a)
{
    const uint32_t key[2] = {a->seed_low, a->seed_high};
    for (uint32_t block = 0; block < (a->count + 7) / 8; block++) {
        uint32_t words[4];
        ts_philox((uint32_t[4]){block, 0, a->stream, 0}, key, words);
        for (uint32_t i = block * 8; i < block * 8 + 8 && i < a->count; i++) {
            uint32_t half = i % 8 < 4 ? words[i % 4] & 0xFFFF : words[i % 4] >> 16;
            double kept = half >= a->drop ? a->x[i] * a->scale : 0;
            a->y[i] = (a->accumulate ? a->y[i] : 0) + kept;
        }
    }
}
