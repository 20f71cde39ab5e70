// The mirrors of linear ops, where one is the backward of another. For y = A x and dx = A^T dy,
// <A x, w> = <x, A^T w> must hold for every x and w. Also AdamW against its formula, by hand.
#include "base/memory.h"
#include "ops/ref/ref.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static void fill(double *values, size_t count)
{
    static uint32_t state = 88172645u;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (state >> 8) * 0x1p-23 - 1;
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

static void check_equal(const char *what, double have, double want)
{
    cr_assert_leq(fabs(have - want), 1e-13 * (1 + fabs(want)), "%s: %.17g, not %.17g", what, have,
                  want);
}

// ---- Products: y[m, out] = x[m, in] W[out, in]^T forward is NT, dx = dy W is NN, dW = dy^T x is
// TN

enum { M = 5, OUT = 4, IN = 3 };

static void product(uint32_t layout, uint32_t m, uint32_t n, uint32_t k, const double *a,
                    const double *b, double *c)
{
    ts_ref_gemm(&(struct ts_gemm_ref){.a = a,
                                      .b = b,
                                      .c = c,
                                      .m = m,
                                      .n = n,
                                      .k = k,
                                      .lda = layout == 2 ? m : k,
                                      .ldb = layout == 0 ? k : n,
                                      .ldc = n,
                                      .alpha = 0.5,
                                      .layout = layout});
}

Test(adjoints, gemm)
{
    double x[M * IN], weight[OUT * IN], dy[M * OUT], y[M * OUT], dx[M * IN], dweight[OUT * IN];
    fill(x, TS_COUNT(x));
    fill(weight, TS_COUNT(weight));
    fill(dy, TS_COUNT(dy));
    product(0, M, OUT, IN, x, weight, y);
    product(1, M, IN, OUT, dy, weight, dx);
    product(2, OUT, IN, M, dy, x, dweight);
    check_equal("<y, dy> = <x, dx>", dot(x, dx, TS_COUNT(x)), dot(y, dy, TS_COUNT(y)));
    check_equal("<y, dy> = <W, dW>", dot(weight, dweight, TS_COUNT(weight)),
                dot(y, dy, TS_COUNT(y)));
    check_equal("an element by hand", y[1 * OUT + 2],
                0.5 * (x[3] * weight[6] + x[4] * weight[7] + x[5] * weight[8]));
}

Test(adjoints, gemm_accumulates_and_keeps_strides)
{
    const double a[2 * 3] = {1, 2, -1, 3, 4, -1}, b[2 * 2] = {5, 6, 7, 8};
    double c[2 * 3] = {100, 200, 1, 300, 400, 2};
    const struct ts_gemm_ref args = {.a = a,
                                     .b = b,
                                     .c = c,
                                     .m = 2,
                                     .n = 2,
                                     .k = 2,
                                     .lda = 3,
                                     .ldb = 2,
                                     .ldc = 3,
                                     .alpha = 1,
                                     .accumulate = 1,
                                     .layout = 1};
    const double expected[2 * 3] = {119, 222, 1, 343, 450, 2};
    ts_ref_gemm(&args);
    cr_assert_arr_eq(c, expected, sizeof c);
}

// Two LoRA pairs on one input: y = s t B^T with t = x A^T, s = 0.5 and 3. One element lies between
// their t's and dt's.
enum { R0 = 2, R1 = 3, OUT1 = 2, T1 = M * R0 + 1, B1 = OUT * R0, A1 = R0 * IN };

static void group_products(const double *x, const double *a, const double *b, const double *dy,
                           double *t, double *dt)
{
    struct ts_lora_products_ref product = {.a = x,
                                           .b = a,
                                           .c = t,
                                           .rows = M,
                                           .rank_0 = R0,
                                           .rank_1 = R1,
                                           .k_0 = IN,
                                           .k_1 = IN,
                                           .b_at_1 = A1,
                                           .c_at_1 = T1,
                                           .scale_0 = 1,
                                           .scale_1 = 1};
    ts_ref_lora_products(&product);
    product.a = dy, product.b = b, product.c = dt, product.layout = 1;
    product.k_0 = OUT, product.k_1 = OUT1, product.a_at_1 = M * OUT, product.b_at_1 = B1;
    product.scale_0 = 0.5, product.scale_1 = 3;
    ts_ref_lora_products(&product);
}

// y is linear in A and in B, so that <dA, A> = <dB, B> = <y, dy> = <t, dt>. The same where x is
// what a norm makes of it.
Test(adjoints, lora_group)
{
    double x[M * IN], a[A1 + R1 * IN], b[B1 + OUT1 * R1], dy[M * (OUT + OUT1)];
    double t[T1 + M * R1], dt[T1 + M * R1], gradients[(R0 + R1) * IN + B1 + OUT1 * R1];
    double rstd[M], weight[IN], norm[M * IN];
    fill(x, TS_COUNT(x)), fill(a, TS_COUNT(a)), fill(b, TS_COUNT(b)), fill(dy, TS_COUNT(dy));
    fill(t, TS_COUNT(t)), fill(dt, TS_COUNT(dt));
    fill(rstd, TS_COUNT(rstd)), fill(weight, TS_COUNT(weight));
    const double between[] = {t[T1 - 1], dt[T1 - 1]};
    ts_ref_rmsnorm_again(&(struct ts_rmsnorm_again_ref){
        .x = x, .weight = weight, .rstd = rstd, .y = norm, .rows = M, .cols = IN});
    for (uint32_t normed = 0; normed < 2; normed++) {
        group_products(normed ? norm : x, a, b, dy, t, dt);
        memset(gradients, 0, sizeof gradients);
        const struct ts_lora_gradients_ref args = {.dy = dy,
                                                   .t = t,
                                                   .x = x,
                                                   .weight = weight,
                                                   .rstd = rstd,
                                                   .dt = dt,
                                                   .gradients = gradients,
                                                   .rows = M,
                                                   .in_size = IN,
                                                   .out_size_0 = OUT,
                                                   .out_size_1 = OUT1,
                                                   .rank_0 = R0,
                                                   .rank_1 = R1,
                                                   .dy_at_1 = M * OUT,
                                                   .t_at_1 = T1,
                                                   .dt_at_1 = T1,
                                                   .da_at_1 = A1,
                                                   .db_at_0 = A1 + R1 * IN,
                                                   .db_at_1 = A1 + R1 * IN + B1,
                                                   .scale_0 = 0.5,
                                                   .scale_1 = 3,
                                                   .normed = normed};
        ts_ref_lora_gradients(&args);
        const double *db = gradients + A1 + R1 * IN;
        const double paired[] = {dot(t, dt, M * R0), dot(t + T1, dt + T1, M * R1)}; // <t, dt>
        check_equal("<dA, A>", dot(gradients, a, A1), paired[0]);
        check_equal("<dB, B>", dot(db, b, B1), paired[0]);
        check_equal("<dA, A> of pair 1", dot(gradients + A1, a + A1, R1 * IN), paired[1]);
        check_equal("<dB, B> of pair 1", dot(db + B1, b + B1, OUT1 * R1), paired[1]);
        check_equal("an element by hand", dt[T1 + R1 + 2],
                    3 * (dy[M * OUT + 2] * b[B1 + 2] + dy[M * OUT + 3] * b[B1 + R1 + 2]));
        cr_assert(t[T1 - 1] == between[0] && dt[T1 - 1] == between[1]);
    }
}

// With a pair beside the weight: y = x W^T + s t B^T forward is NT, dx = dy W + s dt A is NN.
Test(adjoints, gemm_with_an_extra_pair)
{
    enum { R = 2 };
    double x[M * IN], weight[OUT * IN], t[M * R], b[OUT * R], y[M * OUT], dy[M * OUT];
    double joined[M * (IN + R)], wide[OUT * (IN + R)], expected[M * OUT], dx[M * IN], a[R * IN];
    fill(x, TS_COUNT(x));
    fill(weight, TS_COUNT(weight));
    fill(t, TS_COUNT(t));
    fill(b, TS_COUNT(b));
    fill(dy, TS_COUNT(dy));
    fill(a, TS_COUNT(a));
    for (size_t i = 0; i < M + OUT; i++) { // [x | 3 t] [W | B]^T
        double *row = i < M ? &joined[i * (IN + R)] : &wide[(i - M) * (IN + R)];
        for (size_t l = 0; l < IN + R; l++) {
            row[l] = i < M ? (l < IN ? x[i * IN + l] : 3 * t[i * R + l - IN])
                           : (l < IN ? weight[(i - M) * IN + l] : b[(i - M) * R + l - IN]);
        }
    }
    struct ts_gemm_ref args = {.a = x,
                               .b = weight,
                               .c = y,
                               .extra_a = t,
                               .extra_b = b,
                               .m = M,
                               .n = OUT,
                               .k = IN,
                               .lda = IN,
                               .ldb = IN,
                               .ldc = OUT,
                               .alpha = 0.5,
                               .extra_k = R,
                               .extra_scale = 3,
                               .extra = 1};
    ts_ref_gemm(&args);
    product(0, M, OUT, IN + R, joined, wide, expected);
    for (size_t i = 0; i < M * OUT; i++) {
        check_equal("an element", y[i], expected[i]);
    }
    args.a = dy, args.c = dx, args.extra_b = a, args.layout = 1;
    args.n = args.ldb = args.ldc = IN, args.k = args.lda = OUT;
    ts_ref_gemm(&args);
    double by_hand = 3 * (t[4] * a[1] + t[5] * a[IN + 1]);
    for (size_t l = 0; l < OUT; l++) {
        by_hand += dy[2 * OUT + l] * weight[l * IN + 1];
    }
    check_equal("dx[2][1]", dx[2 * IN + 1], 0.5 * by_hand);
}

// ---- Rows: embedding and gathering read rows, scattering adds them back

enum { ROWS = 3, COLS = 2, SOURCE = 5 };

Test(adjoints, gather_and_scatter)
{
    const uint32_t index[ROWS] = {4, 0, 3};
    double x[SOURCE * COLS], y[ROWS * COLS], dy[ROWS * COLS], dx[SOURCE * COLS] = {0};
    fill(x, TS_COUNT(x));
    fill(dy, TS_COUNT(dy));
    ts_ref_gather_rows(&(struct ts_gather_rows_ref){
        .x = x, .index = index, .y = y, .rows = ROWS, .cols = COLS, .source_rows = SOURCE});
    ts_ref_scatter_rows(&(struct ts_scatter_rows_ref){
        .x = dy, .index = index, .y = dx, .rows = ROWS, .cols = COLS, .target_rows = SOURCE});
    check_equal("<gather x, dy> = <x, scatter dy>", dot(x, dx, TS_COUNT(x)),
                dot(y, dy, TS_COUNT(y)));
    cr_assert_eq(dx[1 * COLS], 0, "a row that no index names stays as it was");
}

Test(adjoints, embedding_is_a_gather)
{
    const uint32_t ids[ROWS] = {2, 2, 0}; // a token may occur twice
    double table[SOURCE * COLS], embedded[ROWS * COLS], gathered[ROWS * COLS];
    fill(table, TS_COUNT(table));
    ts_ref_embed(&(struct ts_embed_ref){.ids = ids,
                                        .table = table,
                                        .y = embedded,
                                        .rows = ROWS,
                                        .cols = COLS,
                                        .vocab = SOURCE,
                                        .scale = 1});
    ts_ref_gather_rows(&(struct ts_gather_rows_ref){.x = table,
                                                    .index = ids,
                                                    .y = gathered,
                                                    .rows = ROWS,
                                                    .cols = COLS,
                                                    .source_rows = SOURCE});
    cr_assert_arr_eq(embedded, gathered, sizeof embedded);
    cr_assert_eq(embedded[0], table[2 * COLS]);
}

Test(adjoints, add)
{
    double y[3] = {1, 2, 3};
    const double x[3] = {10, 20, 30}, expected[3] = {11, 22, 33};
    ts_ref_add(&(struct ts_add_ref){.y = y, .x = x, .count = 3});
    cr_assert_arr_eq(y, expected, sizeof y);
}

// ---- Dropout: a diagonal matrix of zeros and scales, so its own transpose

enum { COUNT = 1001 };

static void drop(const double *x, double *y, uint32_t stream, uint32_t accumulate)
{
    ts_ref_dropout(&(struct ts_dropout_ref){.x = x,
                                            .y = y,
                                            .count = COUNT,
                                            .seed_low = 7,
                                            .seed_high = 1,
                                            .stream = stream,
                                            .drop = 0x4000, // a quarter
                                            .scale = 4.0 / 3,
                                            .accumulate = accumulate});
}

Test(adjoints, dropout)
{
    static double x[COUNT], w[COUNT], y[COUNT], dx[COUNT], other[COUNT];
    size_t dropped = 0, differing = 0;
    fill(x, COUNT);
    fill(w, COUNT);
    drop(x, y, 3, 0);
    memcpy(dx, x, sizeof dx);
    drop(w, dx, 3, 1); // as the backward pass adds it to what is there
    for (size_t i = 0; i < COUNT; i++) {
        dx[i] -= x[i];
        dropped += y[i] == 0;
        cr_assert(y[i] == 0 || y[i] == x[i] * (4.0 / 3));
    }
    check_equal("<drop x, w> = <x, drop w>", dot(x, dx, COUNT), dot(y, w, COUNT));
    cr_assert_leq(fabs(dropped - COUNT / 4.0), 60, "%zu of %d dropped", dropped, COUNT);
    drop(x, other, 4, 0);
    for (size_t i = 0; i < COUNT; i++) {
        differing += (other[i] == 0) != (y[i] == 0);
    }
    cr_assert_gt(differing, COUNT / 4, "streams share their masks");
}

// ---- What follows the backward pass

Test(adjoints, norm_and_clipping)
{
    static double x[COUNT];
    double partial[256], norm[2];
    fill(x, COUNT);
    ts_ref_sum_squares(&(struct ts_sum_squares_ref){.x = x, .partial = partial, .count = COUNT});
    const struct {
        double max_norm, factor;
    } cases[] = {{0, 1}, {1e6, 1}, {2, 2 / (sqrt(dot(x, x, COUNT)) + 1e-6)}};
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_ref_clip_factor(&(struct ts_clip_factor_ref){
            .partial = partial, .norm = norm, .max_norm = cases[i].max_norm});
        check_equal("norm", norm[0], sqrt(dot(x, x, COUNT)));
        check_equal("clipping factor", norm[1], cases[i].factor);
    }
}

// From zero moments and with no decay, AdamW's first step is -lr g / (|g| + eps) whatever the
// betas; the second, for the same gradient, is the same again.
Test(adjoints, adamw_by_hand)
{
    const double lr = 0.01, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, clip = 0.25, decay = 0.1;
    const double g[3] = {3, -0.002, 0}, norm[2] = {0, clip};
    double p[3] = {1, -2, 0.5}, m[3] = {0}, v[3] = {0}, expected[3] = {1, -2, 0.5};
    for (int step = 1; step <= 2; step++) {
        ts_ref_adamw(&(struct ts_adamw_ref){.p = p,
                                            .m = m,
                                            .v = v,
                                            .g = g,
                                            .norm = norm,
                                            .count = 3,
                                            .step = lr / (1 - pow(beta1, step)),
                                            .decay = lr * decay,
                                            .beta1 = beta1,
                                            .rest1 = 1 - beta1,
                                            .beta2 = beta2,
                                            .rest2 = 1 - beta2,
                                            .eps = eps,
                                            .root_correction = 1 / sqrt(1 - pow(beta2, step))});
        for (size_t i = 0; i < 3; i++) {
            double clipped = g[i] * clip;
            expected[i] -= lr * decay * expected[i];
            expected[i] -= lr * clipped / (fabs(clipped) + eps);
            check_equal("parameter", p[i], expected[i]);
        }
    }
    check_equal("first moment", m[0], (1 - beta1 * beta1) * g[0] * clip);
    check_equal("second moment", v[0], (1 - beta2 * beta2) * g[0] * clip * g[0] * clip);
}
