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

// dk and dv of key row s and key head kv_head, from the queries with numbers from .. behind - 1.
static void backward_of_key(const struct ts_attention_backward_kv_ref *a, size_t s, size_t kv_head,
                            size_t from, size_t behind, double *dk, double *dv)
{
    const size_t group = a->heads / a->kv_heads, dim = a->dim, j = s * a->kv_heads + kv_head;
    for (size_t d = 0; d < dim; d++) {
        dk[d] = dv[d] = 0;
    }
    for (size_t number = from; number < behind; number++) {
        const size_t i = number / group * a->heads + kv_head * group + number % group;
        const double *q = a->q + i * dim, *dout = a->dout + i * dim;
        if (number / group < s || number / group >= a->end[s]) {
            continue;
        }
        const double p = exp(a->scale * dot(q, a->k + j * dim, dim) - a->lse[i]);
        const double dp = dot(dout, a->v + j * dim, dim);
        for (size_t d = 0; d < dim; d++) {
            dv[d] += p * dout[d];
            dk[d] += a->scale * p * (dp - a->delta[i]) * q[d];
        }
    }
}

void ts_ref_attention_backward_kv(const struct ts_attention_backward_kv_ref *a)
{
    const size_t count = (size_t)a->rows * (a->heads / a->kv_heads),
                 keys = (size_t)a->rows * a->kv_heads;
    for (size_t part = 0; part < a->parts; part++) {
        const size_t from = count / a->parts * part,
                     behind = part + 1 < a->parts ? count / a->parts * (part + 1) : count;
        for (size_t key = 0; key < keys; key++) {
            const size_t at = (part * keys + key) * a->dim;
            backward_of_key(a, key / a->kv_heads, key % a->kv_heads, from, behind, a->dk + at,
                            a->dv + at);
        }
    }
}

// The mirrors of the shaders on matrix units do not round their operands.
void ts_ref_attention_rounded(const struct ts_attention_rounded_ref *a)
{
    ts_ref_attention(&(struct ts_attention_ref){.q = a->q,
                                                .k = a->k,
                                                .v = a->v,
                                                .first = a->first,
                                                .last = a->last,
                                                .o = a->o,
                                                .lse = a->lse,
                                                .rows = a->rows,
                                                .kv_rows = a->kv_rows,
                                                .heads = a->heads,
                                                .kv_heads = a->kv_heads,
                                                .scale = a->scale,
                                                .dim = a->dim});
}

void ts_ref_attention_backward_q_rounded(const struct ts_attention_backward_q_rounded_ref *a)
{
    ts_ref_attention_backward_q(&(struct ts_attention_backward_q_ref){.q = a->q,
                                                                      .k = a->k,
                                                                      .v = a->v,
                                                                      .dout = a->dout,
                                                                      .lse = a->lse,
                                                                      .o = a->o,
                                                                      .first = a->first,
                                                                      .dq = a->dq,
                                                                      .delta = a->delta,
                                                                      .rows = a->rows,
                                                                      .heads = a->heads,
                                                                      .kv_heads = a->kv_heads,
                                                                      .scale = a->scale,
                                                                      .dim = a->dim});
}

void ts_ref_attention_backward_kv_rounded(const struct ts_attention_backward_kv_rounded_ref *a)
{
    ts_ref_attention_backward_kv(&(struct ts_attention_backward_kv_ref){.q = a->q,
                                                                        .k = a->k,
                                                                        .v = a->v,
                                                                        .dout = a->dout,
                                                                        .lse = a->lse,
                                                                        .delta = a->delta,
                                                                        .end = a->end,
                                                                        .dk = a->dk,
                                                                        .dv = a->dv,
                                                                        .rows = a->rows,
                                                                        .heads = a->heads,
                                                                        .kv_heads = a->kv_heads,
                                                                        .scale = a->scale,
                                                                        .parts = a->parts,
                                                                        .dim = a->dim});
}
