// Mirrors of attention, forward and backward: softmax written out, one row and head at a time.
#include "ops/ref/ref.h"

#include <math.h>

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

// o[dim] = softmax(scale q.k) v over key rows first .. last, which lie `stride` apart; returns the
// log of the softmax's denominator.
static double attend(const double *q, const double *k, const double *v, size_t first, size_t last,
                     size_t stride, size_t dim, double scale, double *o)
{
    double total = 0, largest = -INFINITY;
    for (size_t s = first; s <= last; s++) {
        largest = fmax(largest, scale * dot(q, k + s * stride, dim));
    }
    for (size_t d = 0; d < dim; d++) {
        o[d] = 0;
    }
    for (size_t s = first; s <= last; s++) {
        double p = exp(scale * dot(q, k + s * stride, dim) - largest);
        total += p;
        for (size_t d = 0; d < dim; d++) {
            o[d] += p * v[s * stride + d];
        }
    }
    for (size_t d = 0; d < dim; d++) {
        o[d] /= total;
    }
    return largest + log(total);
}

void ts_ref_attention(const struct ts_attention_ref *a)
{
    size_t group = a->heads / a->kv_heads, stride = (size_t)a->kv_heads * a->dim;
    for (size_t t = 0; t < a->rows; t++) {
        for (size_t head = 0; head < a->heads; head++) {
            size_t i = t * a->heads + head, column = head / group * a->dim;
            a->lse[i] = attend(a->q + i * a->dim, a->k + column, a->v + column, a->first[t],
                               a->last[t], stride, a->dim, a->scale, a->o + i * a->dim);
        }
    }
}

void ts_ref_attention_decode(const struct ts_attention_decode_ref *a)
{
    size_t group = a->heads / a->kv_heads, stride = (size_t)a->kv_heads * a->dim;
    for (size_t t = 0; t < a->rows; t++) {
        for (size_t head = 0; head < a->heads; head++) {
            size_t i = t * a->heads + head, column = head / group * a->dim;
            attend(a->q + i * a->dim, a->k + column, a->v + column, a->first[t], a->last[t], stride,
                   a->dim, a->scale, a->o + i * a->dim);
        }
    }
}

void ts_ref_attention_backward_q(const struct ts_attention_backward_q_ref *a)
{
    size_t group = a->heads / a->kv_heads, dim = a->dim;
    for (size_t t = 0; t < a->rows; t++) {
        for (size_t head = 0; head < a->heads; head++) {
            size_t i = t * a->heads + head;
            a->delta[i] = dot(a->o + i * dim, a->dout + i * dim, dim);
            for (size_t d = 0; d < dim; d++) {
                a->dq[i * dim + d] = 0;
            }
            for (size_t s = a->first[t]; s <= t; s++) {
                size_t j = s * a->kv_heads + head / group;
                double p = exp(a->scale * dot(a->q + i * dim, a->k + j * dim, dim) - a->lse[i]);
                double dp = dot(a->dout + i * dim, a->v + j * dim, dim);
                for (size_t d = 0; d < dim; d++) {
                    a->dq[i * dim + d] += a->scale * p * (dp - a->delta[i]) * a->k[j * dim + d];
                }
            }
        }
    }
}

void ts_ref_attention_backward_kv(const struct ts_attention_backward_kv_ref *a)
{
    size_t group = a->heads / a->kv_heads, dim = a->dim;
    for (size_t s = 0; s < a->rows; s++) {
        for (size_t kv_head = 0; kv_head < a->kv_heads; kv_head++) {
            size_t j = s * a->kv_heads + kv_head;
            double *dk = a->dk + j * dim, *dv = a->dv + j * dim;
            for (size_t d = 0; d < dim; d++) {
                dk[d] = dv[d] = 0;
            }
            for (size_t t = s; t < a->end[s]; t++) {
                for (size_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
                    size_t i = t * a->heads + head;
                    const double *q = a->q + i * dim, *dout = a->dout + i * dim;
                    double p = exp(a->scale * dot(q, a->k + j * dim, dim) - a->lse[i]);
                    double dp = dot(dout, a->v + j * dim, dim);
                    for (size_t d = 0; d < dim; d++) {
                        dv[d] += p * dout[d];
                        dk[d] += a->scale * p * (dp - a->delta[i]) * q[d];
                    }
                }
            }
        }
    }
}
