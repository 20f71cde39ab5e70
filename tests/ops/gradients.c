// Every mirror's backward against central finite differences of its forward, in double. So the
// mirrors, which kernels.c compares the kernels with, are themselves compared with calculus.
//
// Throughout, the loss is L = sum(w y) for fixed random w, so that dL/dy = w.
#include "base/memory.h"
#include "ops/ref/ref.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double STEP = 1e-5, TOLERANCE = 1e-8;

static uint32_t next_random(void)
{
    static uint32_t state = 2463534242u; // xorshift32 (Marsaglia 2003)
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static void fill(double *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        values[i] = next_random() * 0x1p-31 - 1;
    }
}

static double dot(const double *a, const double *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

// Compares `gradient` of loss(user) with respect to x[0..count) with finite differences.
static void check_gradient(const char *what, double (*loss)(void *user), void *user, double *x,
                           size_t count, const double *gradient)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        double kept = x[i];
        x[i] = kept + STEP;
        double above = loss(user);
        x[i] = kept - STEP;
        double below = loss(user);
        x[i] = kept;
        double slope = (above - below) / (2 * STEP);
        difference += (gradient[i] - slope) * (gradient[i] - slope);
        norm += slope * slope;
    }
    double error = sqrt(difference) / (norm > 0 ? sqrt(norm) : 1);
    cr_assert_leq(error, TOLERANCE, "%s: off by %.2e from finite differences", what, error);
    cr_assert_gt(norm, 0, "%s: a gradient of nothing tests nothing", what);
}

// ---- RMSNorm

enum { ROWS = 3, COLS = 7 };

struct norm_case {
    double x[ROWS * COLS], weight[COLS], w[ROWS * COLS], y[ROWS * COLS], rstd[ROWS];
};

static double norm_loss(void *user)
{
    struct norm_case *c = user;
    ts_ref_rmsnorm(&(struct ts_rmsnorm_ref){.x = c->x,
                                            .weight = c->weight,
                                            .y = c->y,
                                            .rstd = c->rstd,
                                            .rows = ROWS,
                                            .cols = COLS,
                                            .eps = 1e-2});
    return dot(c->w, c->y, TS_COUNT(c->y));
}

Test(gradients, rmsnorm)
{
    struct norm_case c;
    double dx[ROWS * COLS], before[ROWS * COLS], again[ROWS * COLS];
    fill(c.x, TS_COUNT(c.x));
    fill(c.weight, TS_COUNT(c.weight));
    fill(c.w, TS_COUNT(c.w));
    fill(before, TS_COUNT(before)); // the kernel adds to what is there
    memcpy(dx, before, sizeof dx);
    norm_loss(&c);
    ts_ref_rmsnorm_backward(&(struct ts_rmsnorm_backward_ref){.x = c.x,
                                                              .weight = c.weight,
                                                              .rstd = c.rstd,
                                                              .dy = c.w,
                                                              .dx = dx,
                                                              .rows = ROWS,
                                                              .cols = COLS});
    for (size_t i = 0; i < TS_COUNT(dx); i++) {
        dx[i] -= before[i];
    }
    ts_ref_rmsnorm_again(&(struct ts_rmsnorm_again_ref){
        .x = c.x, .weight = c.weight, .rstd = c.rstd, .y = again, .rows = ROWS, .cols = COLS});
    cr_assert_arr_eq(again, c.y, sizeof again);
    check_gradient("rmsnorm", norm_loss, &c, c.x, TS_COUNT(c.x), dx);
}

// ---- Rotation

enum { HEADS = 2, DIM = 6, POSITIONS = 5 };

struct rope_case {
    // two heads of queries and one of keys
    double x[ROWS * (HEADS + 1) * DIM], w[ROWS * (HEADS + 1) * DIM], table[POSITIONS * DIM];
    uint32_t position[ROWS];
};

static double rope_loss(void *user)
{
    struct rope_case *c = user;
    double y[ROWS * (HEADS + 1) * DIM];
    memcpy(y, c->x, sizeof y);
    ts_ref_rope(&(struct ts_rope_ref){.q = y,
                                      .k = y + ROWS * HEADS * DIM,
                                      .position = c->position,
                                      .table = c->table,
                                      .rows = ROWS,
                                      .heads = HEADS,
                                      .kv_heads = 1,
                                      .dim = DIM,
                                      .positions = POSITIONS});
    return dot(c->w, y, TS_COUNT(y));
}

Test(gradients, rope)
{
    struct rope_case c = {.position = {0, 4, 2}};
    double dx[ROWS * (HEADS + 1) * DIM], parts[2][ROWS * DIM], dv[ROWS * DIM];
    fill(c.x, TS_COUNT(c.x));
    fill(c.w, TS_COUNT(c.w));
    for (int p = 0; p < POSITIONS; p++) {
        for (int i = 0; i < DIM / 2; i++) {
            c.table[p * DIM + 2 * i] = cos(p * pow(10, -i));
            c.table[p * DIM + 2 * i + 1] = sin(p * pow(10, -i));
        }
    }
    memcpy(dx, c.w, sizeof dx);
    for (int i = 0; i < ROWS * DIM; i++) {
        parts[0][i] = 3 * c.w[ROWS * HEADS * DIM + i];
        parts[1][i] = -2 * c.w[ROWS * HEADS * DIM + i];
    }
    ts_ref_rope_backward(&(struct ts_rope_backward_ref){.dq = dx,
                                                        .dk_parts = parts[0],
                                                        .dv_parts = parts[0],
                                                        .dk = dx + ROWS * HEADS * DIM,
                                                        .dv = dv,
                                                        .position = c.position,
                                                        .table = c.table,
                                                        .rows = ROWS,
                                                        .heads = HEADS,
                                                        .kv_heads = 1,
                                                        .dim = DIM,
                                                        .positions = POSITIONS,
                                                        .parts = 2,
                                                        .rotated = 1});
    for (int i = 0; i < ROWS * DIM; i++) { // values are added up, and not rotated
        cr_assert_float_eq(dv[i], parts[0][i] + parts[1][i], 1e-12);
    }
    check_gradient("rope", rope_loss, &c, c.x, TS_COUNT(c.x), dx);
}

// ---- Attention: three sequences of 1, 4 and 3 rows, two query heads to a key

enum { T = 8, Q_HEADS = 4, KV_HEADS = 2, D = 4 };

struct attention_case {
    double q[T * Q_HEADS * D], k[T * KV_HEADS * D], v[T * KV_HEADS * D], w[T * Q_HEADS * D];
    double o[T * Q_HEADS * D], lse[T * Q_HEADS], delta[T * Q_HEADS];
    double dq[T * Q_HEADS * D], dk[T * KV_HEADS * D], dv[T * KV_HEADS * D];
    uint32_t first[T], last[T], end[T];
};

static double attention_loss(void *user)
{
    struct attention_case *c = user;
    ts_ref_attention(&(struct ts_attention_ref){.q = c->q,
                                                .k = c->k,
                                                .v = c->v,
                                                .first = c->first,
                                                .last = c->last,
                                                .o = c->o,
                                                .lse = c->lse,
                                                .rows = T,
                                                .kv_rows = T,
                                                .heads = Q_HEADS,
                                                .kv_heads = KV_HEADS,
                                                .scale = 0.7,
                                                .dim = D});
    return dot(c->w, c->o, TS_COUNT(c->o));
}

static void attention_backward(struct attention_case *c)
{
    ts_ref_attention_backward_q(&(struct ts_attention_backward_q_ref){.q = c->q,
                                                                      .k = c->k,
                                                                      .v = c->v,
                                                                      .dout = c->w,
                                                                      .lse = c->lse,
                                                                      .o = c->o,
                                                                      .first = c->first,
                                                                      .dq = c->dq,
                                                                      .delta = c->delta,
                                                                      .rows = T,
                                                                      .heads = Q_HEADS,
                                                                      .kv_heads = KV_HEADS,
                                                                      .scale = 0.7,
                                                                      .dim = D});
    ts_ref_attention_backward_kv(&(struct ts_attention_backward_kv_ref){.q = c->q,
                                                                        .k = c->k,
                                                                        .v = c->v,
                                                                        .dout = c->w,
                                                                        .lse = c->lse,
                                                                        .delta = c->delta,
                                                                        .end = c->end,
                                                                        .dk = c->dk,
                                                                        .dv = c->dv,
                                                                        .rows = T,
                                                                        .heads = Q_HEADS,
                                                                        .kv_heads = KV_HEADS,
                                                                        .scale = 0.7,
                                                                        .parts = 1,
                                                                        .dim = D});
}

Test(gradients, attention)
{
    static const uint32_t cuts[] = {0, 1, 5, T};
    struct attention_case c;
    for (size_t s = 0; s + 1 < TS_COUNT(cuts); s++) {
        for (uint32_t t = cuts[s]; t < cuts[s + 1]; t++) {
            c.first[t] = cuts[s];
            c.last[t] = t;
            c.end[t] = cuts[s + 1];
        }
    }
    fill(c.q, TS_COUNT(c.q));
    fill(c.k, TS_COUNT(c.k));
    fill(c.v, TS_COUNT(c.v));
    fill(c.w, TS_COUNT(c.w));
    attention_loss(&c);
    attention_backward(&c);
    check_gradient("attention, q", attention_loss, &c, c.q, TS_COUNT(c.q), c.dq);
    check_gradient("attention, k", attention_loss, &c, c.k, TS_COUNT(c.k), c.dk);
    check_gradient("attention, v", attention_loss, &c, c.v, TS_COUNT(c.v), c.dv);
}

// ---- SwiGLU

enum { COUNT = 9 };

struct swiglu_case {
    double gate[COUNT], up[COUNT], w[COUNT];
    uint32_t gelu;
};

static double swiglu_loss(void *user)
{
    struct swiglu_case *c = user;
    double y[COUNT];
    ts_ref_swiglu(&(struct ts_swiglu_ref){
        .gate = c->gate, .up = c->up, .y = y, .count = COUNT, .gelu = c->gelu});
    return dot(c->w, y, COUNT);
}

static void check_gate(uint32_t gelu)
{
    struct swiglu_case c = {.gelu = gelu};
    double dgate[COUNT], dup[COUNT];
    fill(c.gate, COUNT);
    fill(c.up, COUNT);
    fill(c.w, COUNT);
    c.gate[0] = -4, c.gate[1] = 5, c.gate[2] = 0;
    memcpy(dgate, c.gate, sizeof dgate); // dgate is computed in place, dup is not
    ts_ref_swiglu_backward(&(struct ts_swiglu_backward_ref){.gate = dgate,
                                                            .up = c.up,
                                                            .dy = c.w,
                                                            .dgate = dgate,
                                                            .dup = dup,
                                                            .count = COUNT,
                                                            .gelu = gelu});
    check_gradient("swiglu, gate", swiglu_loss, &c, c.gate, COUNT, dgate);
    check_gradient("swiglu, up", swiglu_loss, &c, c.up, COUNT, dup);
}

Test(gradients, swiglu)
{
    check_gate(0);
}

// The kernel computes GELU by a sigmoid, which must equal the formula with tanh.
Test(gradients, geglu)
{
    const double gate[] = {-4, -1, -0.1, 0, 0.3, 2, 5}, up[] = {1, 2, 3, 4, 5, 6, -7};
    double y[TS_COUNT(gate)];
    check_gate(1);
    ts_ref_swiglu(&(struct ts_swiglu_ref){
        .gate = gate, .up = up, .y = y, .count = TS_COUNT(gate), .gelu = 1});
    for (size_t i = 0; i < TS_COUNT(gate); i++) {
        double x = gate[i], inner = sqrt(2 / acos(-1)) * (x + 0.044715 * pow(x, 3));
        cr_expect_float_eq(y[i], 0.5 * x * (1 + tanh(inner)) * up[i], 1e-14);
    }
}

// ---- Cross-entropy: the gradient comes from the forward call itself

enum { VOCAB = 11 };

struct loss_case {
    double logits[ROWS * VOCAB], weight[ROWS], smoothing;
    uint32_t label[ROWS];
};

static double entropy(const struct loss_case *c, double *logits, uint32_t gradient)
{
    double log_probability[ROWS], loss = 0;
    ts_ref_cross_entropy(&(struct ts_cross_entropy_ref){.logits = logits,
                                                        .label = c->label,
                                                        .weight = c->weight,
                                                        .log_probability = log_probability,
                                                        .rows = ROWS,
                                                        .vocab = VOCAB,
                                                        .gradient = gradient,
                                                        .smoothing = c->smoothing,
                                                        .smoothed = c->smoothing > 0});
    for (int t = 0; t < ROWS; t++) {
        loss -= c->weight[t] * log_probability[t];
    }
    return loss;
}

static double entropy_loss(void *user)
{
    struct loss_case *c = user;
    return entropy(c, c->logits, 0);
}

Test(gradients, cross_entropy)
{
    struct loss_case c = {.weight = {0.3, -2, 0}, .label = {0, VOCAB - 1, 4}};
    double gradient[ROWS * VOCAB];
    fill(c.logits, TS_COUNT(c.logits));
    memcpy(gradient, c.logits, sizeof gradient);
    double with = entropy(&c, gradient, 1);
    cr_assert_eq(with, entropy_loss(&c), "asking for the gradient changes the loss");
    check_gradient("cross-entropy", entropy_loss, &c, c.logits, TS_COUNT(c.logits), gradient);
}

// PyTorch's label_smoothing: the mean of the label's loss and, with that weight, of all tokens'.
Test(gradients, smoothed_cross_entropy)
{
    struct loss_case c = {.weight = {0.3, -2, 1}, .smoothing = 0.2, .label = {0, VOCAB - 1, 4}};
    double gradient[ROWS * VOCAB], wanted = 0;
    fill(c.logits, TS_COUNT(c.logits));
    for (int t = 0; t < ROWS; t++) {
        const double *logits = c.logits + t * VOCAB;
        double total = 0, mean = 0;
        for (int v = 0; v < VOCAB; v++) {
            total += exp(logits[v]);
        }
        for (int v = 0; v < VOCAB; v++) {
            mean += (log(total) - logits[v]) / VOCAB;
        }
        wanted += c.weight[t] * (0.8 * (log(total) - logits[c.label[t]]) + 0.2 * mean);
    }
    cr_expect_float_eq(entropy_loss(&c), wanted, 1e-13);
    memcpy(gradient, c.logits, sizeof gradient);
    entropy(&c, gradient, 1);
    check_gradient("smoothed", entropy_loss, &c, c.logits, TS_COUNT(c.logits), gradient);
}

// ---- DoRA's magnitudes, of a layer whose output u they multiply; the norms are constants

enum { PAIR = 2 };

struct dora_case {
    double across[PAIR * COLS], b[COLS * PAIR], squares[COLS], magnitude[COLS], factor[2 * COLS];
    double u[ROWS * COLS], w[ROWS * COLS];
};

static double dora_loss(void *user)
{
    struct dora_case *c = user;
    double y[ROWS * COLS];
    ts_ref_dora_factor(&(struct ts_dora_factor_ref){.across = c->across,
                                                    .b = c->b,
                                                    .squares = c->squares,
                                                    .magnitude = c->magnitude,
                                                    .factor = c->factor,
                                                    .cols = COLS,
                                                    .rank = PAIR,
                                                    .scale = 0.5});
    memcpy(y, c->u, sizeof y);
    ts_ref_scale_columns(
        &(struct ts_scale_columns_ref){.y = y, .factor = c->factor, .rows = ROWS, .cols = COLS});
    return dot(c->w, y, TS_COUNT(y));
}

Test(gradients, dora)
{
    struct dora_case c;
    double dmagnitude[COLS] = {0}, du[ROWS * COLS];
    fill(c.across, TS_COUNT(c.across));
    fill(c.b, TS_COUNT(c.b));
    fill(c.magnitude, TS_COUNT(c.magnitude));
    fill(c.u, TS_COUNT(c.u));
    fill(c.w, TS_COUNT(c.w));
    for (size_t i = 0; i < COLS; i++) {
        c.squares[i] = 4 + (double)i;
    }
    dora_loss(&c);
    memcpy(du, c.u, sizeof du);
    ts_ref_dora_backward(&(struct ts_dora_backward_ref){.dy = c.w,
                                                        .factor = c.factor,
                                                        .u = du,
                                                        .dmagnitude = dmagnitude,
                                                        .rows = ROWS,
                                                        .cols = COLS});
    check_gradient("dora: magnitudes", dora_loss, &c, c.magnitude, COLS, dmagnitude);
    check_gradient("dora: u", dora_loss, &c, c.u, TS_COUNT(c.u), du);
}

// The factors are those of the rows of W + scale B A, as a sum over all its elements has them.
Test(gradients, dora_norms)
{
    enum { IN = 5 };
    double weight[COLS * IN], a[PAIR * IN], factor[2 * COLS], across[PAIR * COLS],
        gram[PAIR * PAIR];
    double b[COLS * PAIR], squares[COLS], magnitude[COLS];
    fill(weight, TS_COUNT(weight));
    fill(a, TS_COUNT(a));
    fill(b, TS_COUNT(b));
    fill(magnitude, TS_COUNT(magnitude));
    ts_ref_row_squares(
        &(struct ts_row_squares_ref){.w = weight, .sums = squares, .rows = COLS, .cols = IN});
    for (size_t i = 0; i < PAIR; i++) {
        for (size_t j = 0; j < PAIR; j++) {
            gram[i * PAIR + j] = dot(a + i * IN, a + j * IN, IN);
        }
    }
    for (size_t i = 0; i < PAIR; i++) { // A W^T + scale / 2 (A A^T) B^T, with a scale of 0.5
        for (size_t c = 0; c < COLS; c++) {
            across[i * COLS + c] = dot(a + i * IN, weight + c * IN, IN) +
                                   0.25 * dot(gram + i * PAIR, b + c * PAIR, PAIR);
        }
    }
    ts_ref_dora_factor(&(struct ts_dora_factor_ref){.across = across,
                                                    .b = b,
                                                    .squares = squares,
                                                    .magnitude = magnitude,
                                                    .factor = factor,
                                                    .cols = COLS,
                                                    .rank = PAIR,
                                                    .scale = 0.5});
    for (size_t c = 0; c < COLS; c++) {
        double sum = 0;
        for (size_t i = 0; i < IN; i++) {
            double w = weight[c * IN + i];
            for (size_t j = 0; j < PAIR; j++) {
                w += 0.5 * b[c * PAIR + j] * a[j * IN + i];
            }
            sum += w * w;
        }
        cr_assert_float_eq(factor[c], magnitude[c] / sqrt(sum), 1e-12);
        cr_assert_float_eq(factor[COLS + c], 1 / sqrt(sum), 1e-12);
    }
}
