// The pace (gpu/pace.h) on a made-up device. Its times are computed, so the rates that are
// estimated and the length of submits do not depend on how busy the machine is.
#include "gpu/pace.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { PIPELINES = 3, DISPATCHES = 400 };

struct device {
    double rates[PIPELINES]; // seconds per unit of work
};

struct outcome {
    int submits;
    double longest_s, total_s;
};

// Runs a step as the recorder does. A dispatch too long for one submit goes in pieces, and a submit
// is sent when the next piece would overfill it. The pace is updated after each submit.
static struct outcome run_step(ts_pace *pace, const struct device *device, double full_s)
{
    struct outcome outcome = {0};
    ts_tally tally = {0};
    double truth = 0;
    for (int d = 0; d <= DISPATCHES; d++) {
        uint32_t pipeline = (uint32_t)d % PIPELINES;
        const double works[] = {4e9, 1e6, 3e7};
        double seconds = ts_pace_estimate(pace, pipeline, works[pipeline]);
        double pieces = fmax(1, ceil(seconds / full_s)), work = works[pipeline] / pieces;
        for (double p = 0; p < pieces; p++) {
            double estimate = ts_pace_estimate(pace, pipeline, work);
            if (tally.count > 0 && (tally.seconds + estimate > full_s || d == DISPATCHES)) {
                ts_pace_learn(pace, &tally, truth);
                outcome.submits++;
                outcome.longest_s = fmax(outcome.longest_s, truth);
                outcome.total_s += truth;
                memset(&tally, 0, sizeof tally);
                truth = 0;
            }
            ts_pace_add(pace, &tally, pipeline, work);
            truth += work * device->rates[pipeline];
        }
    }
    return outcome;
}

static ts_pace open_pace(void)
{
    ts_pace pace = {0};
    ts_error err = {0};
    cr_assert_eq(ts_pace_reserve(&pace, PIPELINES, &err), TS_OK);
    return pace;
}

// An integrated GPU of 0.3 TFLOP/s used at a third: a dispatch takes up to 80 ms. No submit of the
// very first step is longer than 200 ms.
Test(pace, careful_on_an_unknown_slow_device)
{
    const struct device slow = {{2e-11, 1.5e-10, 1.2e-10}};
    ts_pace pace = open_pace();
    for (int step = 0; step < 4; step++) {
        struct outcome o = run_step(&pace, &slow, TS_PACE_FULL_S);
        cr_assert_leq(o.longest_s, 0.2, "step %d: %.3f s", step, o.longest_s);
        if (step > 1) { // and few are sent once the rates are known
            cr_assert_leq(o.submits, 2 * o.total_s / TS_PACE_FULL_S + 2, "step %d: %d", step,
                          o.submits);
        }
    }
    ts_pace_free(&pace);
}

// A thousand times as fast: the first step is too careful, then a submit holds milliseconds of
// work.
Test(pace, few_submits_on_a_fast_device)
{
    const struct device fast = {{5e-14, 2e-12, 1.5e-12}};
    ts_pace pace = open_pace();
    struct outcome first = run_step(&pace, &fast, TS_PACE_FULL_S), later = first;
    for (int step = 0; step < 4; step++) {
        later = run_step(&pace, &fast, TS_PACE_FULL_S);
    }
    cr_assert_geq(first.submits, later.submits);
    cr_assert_leq(later.submits, 3, "%d", later.submits);
    cr_assert_leq(later.longest_s, 0.06);
    ts_pace_free(&pace);
}

// It follows a device that becomes eight times slower (clocks, another program) within a step.
Test(pace, follows_a_device_that_slows_down)
{
    struct device device = {{5e-12, 1e-11, 2e-11}};
    ts_pace pace = open_pace();
    run_step(&pace, &device, TS_PACE_FULL_S);
    run_step(&pace, &device, TS_PACE_FULL_S);
    for (int i = 0; i < PIPELINES; i++) {
        device.rates[i] *= 8;
    }
    run_step(&pace, &device, TS_PACE_FULL_S);
    struct outcome o = run_step(&pace, &device, TS_PACE_FULL_S);
    cr_assert_leq(o.longest_s, 2 * TS_PACE_FULL_S, "%.3f s", o.longest_s);
    ts_pace_free(&pace);
}

// A smaller limit is respected like the usual one.
Test(pace, keeps_a_small_limit)
{
    const struct device device = {{2e-11, 1.5e-10, 1.2e-10}};
    ts_pace pace = open_pace();
    struct outcome o = {0};
    for (int step = 0; step < 3; step++) {
        o = run_step(&pace, &device, 0.005);
    }
    cr_assert_leq(o.longest_s, 0.01, "%.4f s", o.longest_s);
    ts_pace_free(&pace);
}

// One submit in which the driver compiled for five seconds is soon forgotten, and a measured time
// of zero does not make a rate zero.
Test(pace, one_odd_time_is_forgotten)
{
    const struct device device = {{5e-12, 1e-11, 2e-11}};
    ts_pace pace = open_pace();
    run_step(&pace, &device, TS_PACE_FULL_S);
    const double odd[] = {5, 0};
    for (int i = 0; i < 2; i++) {
        ts_tally tally = {0};
        ts_pace_add(&pace, &tally, 0, 1e6);
        ts_pace_learn(&pace, &tally, odd[i]);
        cr_assert_gt(ts_pace_estimate(&pace, 0, 1), 0);
        run_step(&pace, &device, TS_PACE_FULL_S);
        double error = ts_pace_estimate(&pace, 0, 1) / device.rates[0];
        cr_assert(error > 0.5 && error < 2, "off by %g", error);
    }
    ts_pace_free(&pace);
}
