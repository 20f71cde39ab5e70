#include "eval/estimates.h"

#include "eval/metrics.h"

#include <criterion/criterion.h>
#include <math.h>

#define ASSERT_NEAR(a, b, e) cr_assert_float_eq((a), (b), (e), "%.9f, not %.9f", (a), (b))

// By hand: bins [0.2, 0.3) with 0.25 and 0.25, [0.7, 0.8) with 0.75, [0.9, 1] with 0.95 and 1.
// Gaps of sums: 1 - 0.5, 1 - 0.75, 1 - 1.95; squares: 0.5625, 0.0625, 0.0625, 0.0025, 1.
Test(estimates, calibration_by_hand)
{
    static const double p[] = {0.25, 0.95, 0.25, 0.75, 1};
    static const bool right[] = {true, true, false, true, false};
    ts_calibration found;
    cr_assert_eq(ts_calibration_make(p, right, 5, &found, NULL), TS_OK);
    cr_expect(found.prompts == 5 && found.right == 3);
    ASSERT_NEAR(found.confidence, 3.2 / 5, 1e-12);
    ASSERT_NEAR(found.error.value, (0.5 + 0.25 + 0.95) / 5, 1e-12);
    ASSERT_NEAR(found.brier.value, (0.5625 + 0.0625 + 0.0625 + 0.0025 + 1) / 5, 1e-12);
    cr_expect(found.brier.low <= found.brier.value && found.brier.value <= found.brier.high);
}

// Right as often as the probability says: no error. Sure and always wrong: all of it.
Test(estimates, calibration_at_its_ends)
{
    double p[10];
    bool right[10];
    ts_calibration found;
    for (int i = 0; i < 10; i++) {
        p[i] = 0.7;
        right[i] = i < 7;
    }
    cr_assert_eq(ts_calibration_make(p, right, 10, &found, NULL), TS_OK);
    ASSERT_NEAR(found.error.value, 0.0, 1e-12);
    ASSERT_NEAR(found.brier.value, 0.21, 1e-12);
    for (int i = 0; i < 10; i++) {
        p[i] = 1;
        right[i] = false;
    }
    cr_assert_eq(ts_calibration_make(p, right, 10, &found, NULL), TS_OK);
    cr_expect(found.error.value == 1 && found.error.low == 1 && found.error.high == 1);
    cr_expect(found.brier.value == 1);
}

Test(estimates, few_prompts)
{
    const double p = 0.5;
    const bool right = true;
    ts_calibration found;
    ts_estimate mean;
    cr_assert_eq(ts_calibration_make(&p, &right, 1, &found, NULL), TS_OK);
    cr_expect(found.error.value == 0.5 && isnan(found.error.low) && isnan(found.error.high));
    cr_assert_eq(ts_calibration_make(NULL, NULL, 0, &found, NULL), TS_OK);
    cr_expect(found.prompts == 0 && isnan(found.error.value) && isnan(found.confidence));
    cr_assert_eq(ts_estimate_mean(NULL, 0, &mean, NULL), TS_OK);
    cr_expect(isnan(mean.value) && isnan(mean.low));
}

// 100 values, half 0 and half 1: the mean's standard error is 0.05.
Test(estimates, interval_of_a_mean)
{
    double values[100];
    ts_estimate first, again;
    for (int i = 0; i < 100; i++) {
        values[i] = i % 2;
    }
    cr_assert_eq(ts_estimate_mean(values, 100, &first, NULL), TS_OK);
    cr_assert_eq(ts_estimate_mean(values, 100, &again, NULL), TS_OK);
    ASSERT_NEAR(first.value, 0.5, 1e-12);
    ASSERT_NEAR(first.low, 0.5 - 1.96 * 0.05, 0.0151);
    ASSERT_NEAR(first.high, 0.5 + 1.96 * 0.05, 0.0151);
    cr_assert(first.low == again.low && first.high == again.high);
}

Test(estimates, a_summary_has_them_of_the_chosen_prompts)
{
    enum { N = 4 };
    static const bool seen[N] = {false, false, true, false};
    ts_response responses[N] = {{.first_probability = 0.5, .first_right = true},
                                {.first_probability = 0.25},
                                {.first_probability = 1},
                                {0}};
    ts_score scores[N] = {
        {.category = TS_CATEGORY_SAFE, .words = 4, .reference_words = 2},
        {.category = TS_CATEGORY_SAFE, .words = 8, .reference_words = 3},
        {.category = TS_CATEGORY_SAFE, .words = 99, .reference_words = 99},
        {.category = TS_CATEGORY_LENGTH, .words = 3},
    };
    ts_paired found;
    scores[3].marks[TS_METRIC_LENGTH] = TS_MARK_YES;
    cr_assert_eq(ts_paired_make(responses, scores, NULL, NULL, N, seen, false, &found, NULL),
                 TS_OK);
    cr_expect(found.base.calibration.prompts == 2 && found.base.calibration.right == 1);
    ASSERT_NEAR(found.base.calibration.brier.value, (0.25 + 0.0625) / 2, 1e-12);
    const ts_length *safe = &found.base.lengths[TS_CATEGORY_SAFE];
    const ts_length *length = &found.base.lengths[TS_CATEGORY_LENGTH];
    cr_expect(safe->prompts == 2 && safe->words.value == 6 && safe->reference_words == 2.5);
    cr_expect_eq(safe->target.of, 0);
    cr_expect(length->prompts == 1 && length->words.value == 3 && isnan(length->reference_words));
    cr_expect(length->target.yes == 1 && length->target.of == 1);
    cr_expect_eq(found.base.lengths[TS_CATEGORY_OTHER].prompts, 0);
}
