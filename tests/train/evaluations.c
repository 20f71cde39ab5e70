// Which measurement on held-out rows is the best, and when training stops early.
#include "train/evaluations.h"

#include "base/memory.h"
#include "device.h"

static ts_evaluations made_of(const double *losses, size_t count)
{
    ts_evaluations evaluations = {0};
    for (size_t i = 0; i < count; i++) {
        MUST(ts_evaluations_push(&evaluations, 10 * (i + 1), losses[i], err));
    }
    return evaluations;
}

Test(evaluations, the_best_is_the_first_of_the_least)
{
    const double losses[] = {3, 1, 2, 1};
    ts_evaluations e = made_of(losses, TS_COUNT(losses));
    cr_assert_eq(ts_evaluations_best(&e), 1);
    cr_assert_eq(ts_evaluations_best_step(&e), 20);
    ts_evaluations_free(&e);
    cr_assert_eq(ts_evaluations_best(&e), SIZE_MAX);
    cr_assert_eq(ts_evaluations_best_step(&e), 0);
}

// What transformers' EarlyStoppingCallback does with the same series: after how many measurements
// it stops, or 0.
Test(evaluations, training_stops_where_transformers_does)
{
    const struct {
        double losses[6];
        uint64_t patience;
        double threshold;
        size_t stops;
    } cases[] = {
        {{3, 2, 1, 0.9, 0.8, 0.7}, 1, 0, 0},
        {{3, 2, 2, 1, 0.5, 0.4}, 1, 0, 3},      // an equal loss is no progress
        {{3, 2, 2.5, 1, 1.5, 2}, 2, 0, 6},      // progress begins the count anew
        {{3, 2, 1.9, 1.8, 1.7, 1}, 2, 0.15, 4}, // too little each time, though always the best
        {{3, 4, 5, 6, 7, 8}, 5, 0, 6},
        {{3, 4, 5, 6, 7, 8}, 6, 0, 0},
        {{3, 4, 5, 6, 7, 8}, 0, 0, 0},
    };
    for (size_t c = 0; c < TS_COUNT(cases); c++) {
        ts_evaluations e = made_of(cases[c].losses, 6);
        size_t stops = 0;
        for (size_t count = 1; count <= 6 && stops == 0; count++) {
            e.count = count;
            stops = ts_evaluations_stop(&e, cases[c].patience, cases[c].threshold) ? count : 0;
        }
        cr_assert_eq(stops, cases[c].stops, "case %zu stops after %zu, expected %zu", c, stops,
                     cases[c].stops);
        ts_evaluations_free(&e);
    }
}
