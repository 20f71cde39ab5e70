// Mirrors of the loss and of what follows the backward pass: norm, clipping, AdamW.
#include "ops/ref/ref.h"

#include <math.h>
#include <stdbool.h>

void ts_ref_cross_entropy(const struct ts_cross_entropy_ref *a)
{
    for (size_t t = 0; t < a->rows; t++) {
        double *logits = a->logits + t * a->vocab, largest = -INFINITY, total = 0, sum = 0;
        const double smoothing = a->smoothed ? a->smoothing : 0;
        for (size_t c = 0; c < a->vocab; c++) {
            largest = fmax(largest, logits[c]);
        }
        for (size_t c = 0; c < a->vocab; c++) {
            total += exp(logits[c] - largest);
            sum += logits[c];
        }
        a->log_probability[t] = (1 - smoothing) * logits[a->label[t]] + smoothing * sum / a->vocab -
                                (largest + log(total));
        for (size_t c = 0; c < a->vocab && a->gradient; c++) {
            double p = exp(logits[c] - largest) / total;
            double wanted = (1 - smoothing) * (c == a->label[t]) + smoothing / a->vocab;
            logits[c] = a->weight[t] * (p - wanted);
        }
    }
}

void ts_ref_argmax(const struct ts_argmax_ref *a)
{
    for (size_t t = 0; t < a->rows; t++) {
        const double *logits = a->logits + t * a->vocab;
        uint32_t best = 0;
        bool finite = true;
        for (uint32_t c = 0; c < a->vocab; c++) {
            best = logits[c] > logits[best] ? c : best;
            finite = finite && isfinite(logits[c]);
        }
        a->best[t] = finite ? best : UINT32_MAX;
    }
}

void ts_ref_sum_squares(const struct ts_sum_squares_ref *a)
{
    size_t width = ((size_t)a->count + 1023) / 1024 * 4;
    for (size_t piece = 0; piece < 256; piece++) {
        a->partial[piece] = 0;
        for (size_t i = piece * width; i < (piece + 1) * width && i < a->count; i++) {
            a->partial[piece] += a->x[i] * a->x[i];
        }
    }
}

void ts_ref_clip_factor(const struct ts_clip_factor_ref *a)
{
    double squares = 0;
    for (size_t i = 0; i < 256; i++) {
        squares += a->partial[i];
    }
    a->norm[0] = sqrt(squares);
    a->norm[1] = a->max_norm > 0 ? fmin(1, a->max_norm / (a->norm[0] + 1e-6)) : 1;
}

void ts_ref_adamw(const struct ts_adamw_ref *a)
{
    for (size_t i = 0; i < a->count; i++) {
        double g = a->g[i] * a->norm[1];
        a->m[i] = a->beta1 * a->m[i] + a->rest1 * g;
        a->v[i] = a->beta2 * a->v[i] + a->rest2 * g * g;
        a->p[i] = a->p[i] * (1 - a->decay) -
                  a->step * a->m[i] / (sqrt(a->v[i]) * a->root_correction + a->eps);
    }
}
