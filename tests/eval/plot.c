#include "eval/plot.h"

#include "sample.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 60 };
static double loss[N], rate[N], norm[N], step[N];

static void fill(void)
{
    for (int i = 0; i < N; i++) {
        step[i] = 10 * (i + 1);
        loss[i] = 2.0 / (1 + 0.1 * i);
        rate[i] = 5e-5 * (N - i) / N;
        norm[i] = 1 + i % 3;
    }
}

static ts_text draw(const ts_curve *curve, size_t *drawn)
{
    ts_text png = {0};
    ts_error err = {0};
    cr_assert_eq(ts_plot_png(curve, &png, &err), TS_OK, "%s", err.message);
    decoded d = sample_decode(&png);
    cr_assert(d.width == 1400 && d.height == 860);
    *drawn = sample_drawn(&d);
    sample_decoded_free(&d);
    return png;
}

Test(plot, smoothed_by_a_triangle)
{
    double values[] = {0, 3, 0, NAN, 8}, out[5];
    ts_plot_smooth(values, 5, 1, out);
    double expected[] = {(2 * 0 + 3) / 3.0, (0 + 2 * 3 + 0) / 4.0, (3 + 0) / 3.0, (0 + 8) / 2.0, 8};
    for (int i = 0; i < 5; i++) {
        cr_assert_float_eq(out[i], expected[i], 1e-12, "%d: %f", i, out[i]);
    }
    ts_plot_smooth(values, 3, 100, out);
    cr_assert_float_eq(out[1], 101 * 3 / (101.0 + 100 + 100), 1e-12);
    ts_plot_smooth(values + 3, 1, 0, out);
    cr_assert(isnan(out[0]));
}

Test(plot, means_of_stretches)
{
    double values[] = {1, 3, NAN, 8, 5}, place[3], mean[3];
    cr_assert_eq(ts_plot_means(values, 5, 2, place, mean), 3);
    cr_assert(place[0] == 1.5 && place[1] == 3.5 && place[2] == 5);
    cr_assert(mean[0] == 2 && mean[1] == 8 && mean[2] == 5);
    cr_assert_eq(ts_plot_means(values, 5, 100, place, mean), 1);
    cr_assert(place[0] == 3 && mean[0] == 17 / 4.0);
    cr_assert_eq(ts_plot_means(values, 0, 2, place, mean), 0);
}

// More steps than the picture has columns do not cost one line each.
Test(plot, four_hundred_thousand_steps, .timeout = 20)
{
    enum { MANY = 400000 };
    size_t drawn, few;
    double *losses = malloc(MANY * sizeof *losses), *norms = malloc(MANY * sizeof *norms);
    for (int i = 0; i < MANY; i++) {
        losses[i] = 3.0 / (1 + i * 1e-5) + 0.3 * (i % 7);
        norms[i] = 1 + i % 3;
    }
    losses[MANY / 2] = NAN;
    const size_t intervals[] = {0, 10, 1000};
    for (size_t i = 0; i < 3; i++) {
        ts_curve curve = {.count = MANY,
                          .loss = losses,
                          .grad_norm = norms,
                          .learning_rate = norms,
                          .interval = intervals[i]};
        ts_text png = draw(&curve, &drawn);
        ts_text_free(&png);
        curve.count = 1000;
        png = draw(&curve, &few);
        ts_text_free(&png);
        cr_assert(drawn > few / 2 && few > 10000, "%zu and %zu pixels", drawn, few);
    }
    free(losses);
    free(norms);
}

Test(plot, ticks_are_round)
{
    static const struct {
        double low, high, step;
    } cases[] = {
        {0, 10, 1}, {0.3, 2.6, 0.25}, {1, 225, 25}, {0, 5e-5, 5e-6}, {-3, 3, 1}, {1000, 1001, 0.1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double first, found;
        ts_plot_ticks(cases[i].low, cases[i].high, 10, &first, &found);
        cr_assert_float_eq(found, cases[i].step, 1e-9 * cases[i].high, "case %zu: %g", i, found);
        double multiple = first / found;
        cr_assert_float_eq(multiple, round(multiple), 1e-6, "case %zu: %g", i, first);
        cr_assert(first >= cases[i].low - 1e-9 && first < cases[i].low + found, "case %zu", i);
    }
}

Test(plot, same_bytes_twice, .init = fill)
{
    size_t drawn;
    ts_curve curve = {"Training", N, step, loss, rate, norm};
    ts_text first = draw(&curve, &drawn), second = draw(&curve, &drawn);
    cr_assert_eq(first.len, second.len);
    cr_assert_eq(memcmp(first.bytes, second.bytes, first.len), 0);
    ts_text_free(&first), ts_text_free(&second);
}

Test(plot, each_line_shows, .init = fill)
{
    size_t bare, with_rate, with_norm, empty;
    ts_curve curve = {.count = N, .loss = loss};
    ts_text png = draw(&curve, &bare);
    ts_text_free(&png);
    curve.learning_rate = rate;
    png = draw(&curve, &with_rate);
    ts_text_free(&png);
    curve.grad_norm = norm;
    png = draw(&curve, &with_norm);
    ts_text_free(&png);
    curve = (ts_curve){.count = 0};
    png = draw(&curve, &empty);
    ts_text_free(&png);
    cr_assert(empty > 0 && bare > empty + 1000 && with_rate > bare + 1000);
    cr_assert_neq(with_norm, with_rate);
}

Test(plot, odd_values, .init = fill)
{
    static double extreme[] = {NAN, INFINITY, -INFINITY, 1e300, -1e300, 0, 5e-324, 1e29};
    size_t drawn;
    for (size_t count = 0; count <= 8; count++) {
        ts_curve curve = {"\xFF\x1B\n", count, NULL, extreme, extreme, extreme};
        ts_text png = draw(&curve, &drawn);
        ts_text_free(&png);
        curve = (ts_curve){.count = count, .step = extreme, .loss = loss, .grad_norm = norm};
        png = draw(&curve, &drawn);
        ts_text_free(&png);
    }
    for (int i = 0; i < N; i++) {
        loss[i] = 0, rate[i] = 7;
    }
    ts_curve flat = {"Flat", N, NULL, loss, rate, rate};
    ts_text png = draw(&flat, &drawn);
    ts_text_free(&png);
}
