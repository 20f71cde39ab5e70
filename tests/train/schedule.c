// Learning rates as transformers' get_scheduler (5.12) gives them for a peak of 5e-5: known
// answers.
#include "train/settings.h"

#include "base/memory.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { MOST = 11 };
static const struct {
    ts_schedule schedule;
    uint64_t warmup, steps;
    double min_ratio;   // min_lr_rate of cosine_with_min_lr
    uint64_t cycles;    // num_cycles of cosine_with_restarts
    double rates[MOST]; // of steps 0 to `steps`
} cases[] = {
    {TS_SCHEDULE_LINEAR,
     0,
     7,
     0,
     0,
     {5e-05, 4.2857142857142856e-05, 3.571428571428572e-05, 2.857142857142857e-05,
      2.1428571428571428e-05, 1.4285714285714285e-05, 7.142857142857143e-06, 0.0}},
    {TS_SCHEDULE_LINEAR,
     3,
     10,
     0,
     0,
     {0.0, 1.6666666666666667e-05, 3.3333333333333335e-05, 5e-05, 4.2857142857142856e-05,
      3.571428571428572e-05, 2.857142857142857e-05, 2.1428571428571428e-05, 1.4285714285714285e-05,
      7.142857142857143e-06, 0.0}},
    {TS_SCHEDULE_LINEAR, 5, 5, 0, 0, {0.0, 1e-05, 2e-05, 3e-05, 4e-05, 0.0}},
    {TS_SCHEDULE_COSINE,
     0,
     7,
     0,
     0,
     {5e-05, 4.752422169756048e-05, 4.058724504646834e-05, 3.056302334890786e-05,
      1.9436976651092144e-05, 9.412754953531663e-06, 2.475778302439524e-06, 0.0}},
    {TS_SCHEDULE_COSINE,
     3,
     10,
     0,
     0,
     {0.0, 1.6666666666666667e-05, 3.3333333333333335e-05, 5e-05, 4.752422169756048e-05,
      4.058724504646834e-05, 3.056302334890786e-05, 1.9436976651092144e-05, 9.412754953531663e-06,
      2.475778302439524e-06, 0.0}},
    {TS_SCHEDULE_CONSTANT, // with warm-up: constant_with_warmup
     3,
     5,
     0,
     0,
     {0.0, 1.6666666666666667e-05, 3.3333333333333335e-05, 5e-05, 5e-05, 5e-05}},
    {TS_SCHEDULE_COSINE,
     0,
     7,
     0.1,
     0,
     {5e-05, 4.777179952780443e-05, 4.1528520541821506e-05, 3.250672101401707e-05,
      2.249327898598293e-05, 1.3471479458178499e-05, 7.228200472195573e-06, 5e-06}},
    {TS_SCHEDULE_COSINE,
     3,
     10,
     0.25,
     0,
     {0.0, 1.6666666666666667e-05, 3.3333333333333335e-05, 5e-05, 4.814316627317036e-05,
      4.294043378485126e-05, 3.54222675116809e-05, 2.7077732488319106e-05, 1.955956621514875e-05,
      1.4356833726829644e-05, 1.25e-05}},
    {TS_SCHEDULE_COSINE, 1, 5, 1, 0, {0.0, 5e-05, 5e-05, 5e-05, 5e-05, 5e-05}},
    {TS_SCHEDULE_COSINE_WITH_RESTARTS,
     0,
     8,
     0,
     2,
     {5e-05, 4.267766952966369e-05, 2.5e-05, 7.3223304703363135e-06, 5e-05, 4.267766952966369e-05,
      2.5e-05, 7.3223304703363135e-06, 0.0}},
    {TS_SCHEDULE_COSINE_WITH_RESTARTS,
     2,
     10,
     0,
     3,
     {0.0, 2.5e-05, 5e-05, 3.456708580912725e-05, 7.3223304703363135e-06, 4.8096988312782174e-05,
      2.5e-05, 1.9030116872178316e-06, 4.267766952966369e-05, 1.5432914190872757e-05, 0.0}},
    {TS_SCHEDULE_COSINE_WITH_RESTARTS,
     0,
     3,
     0,
     7,
     {5e-05, 3.7500000000000024e-05, 1.2500000000000045e-05, 0.0}},
    {TS_SCHEDULE_COSINE_WITH_RESTARTS,
     3,
     10,
     0,
     0,
     {0.0, 1.6666666666666667e-05, 3.3333333333333335e-05, 5e-05, 4.752422169756048e-05,
      4.058724504646834e-05, 3.056302334890786e-05, 1.9436976651092144e-05, 9.412754953531663e-06,
      2.475778302439524e-06, 0.0}},
};

Test(schedule, known_answers_of_transformers)
{
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        for (uint64_t step = 0; step <= cases[i].steps; step++) {
            double rate = ts_learning_rate_at(&(ts_learning_rate){.schedule = cases[i].schedule,
                                                                  .peak = 5e-5,
                                                                  .min_ratio = cases[i].min_ratio,
                                                                  .cycles = cases[i].cycles,
                                                                  .warmup = cases[i].warmup,
                                                                  .steps = cases[i].steps},
                                              step);
            cr_expect_float_eq(
                rate, cases[i].rates[step], 1e-19, "%s, warm-up %llu of %llu, step %llu: %.17g",
                ts_schedule_name(cases[i].schedule), (unsigned long long)cases[i].warmup,
                (unsigned long long)cases[i].steps, (unsigned long long)step, rate);
        }
    }
}

Test(schedule, names_are_transformers)
{
    ts_error err = {0};
    ts_schedule schedule;
    for (ts_schedule i = 0; i < TS_SCHEDULE_COUNT; i++) {
        cr_assert_eq(ts_schedule_parse(ts_schedule_name(i), &schedule, &err), TS_OK);
        cr_assert_eq(schedule, i);
    }
    cr_assert_eq(ts_schedule_parse("constant_with_warmup", &schedule, &err), TS_OK);
    cr_assert_eq(schedule, TS_SCHEDULE_CONSTANT);
    cr_assert_eq(ts_schedule_parse("cosine_with_min_lr", &schedule, &err), TS_ERR_ARGUMENT);
    cr_assert_not_null(strstr(err.message, "--min-lr-ratio"), "%s", err.message);
    cr_assert_eq(ts_schedule_parse("polynomial", &schedule, &err), TS_ERR_ARGUMENT);
    cr_assert_not_null(strstr(err.message, "'polynomial'"), "%s", err.message);
}

Test(schedule, what_one_schedule_has_is_refused_with_another)
{
    ts_error err = {0};
    ts_train_settings settings = ts_train_defaults();
    settings.min_lr_ratio = 0.1;
    cr_assert_eq(ts_train_settings_check(&settings, &err), TS_ERR_ARGUMENT);
    cr_assert_not_null(strstr(err.message, "--min-lr-ratio"), "%s", err.message);
    settings.schedule = TS_SCHEDULE_COSINE;
    cr_assert_eq(ts_train_settings_check(&settings, &err), TS_OK);
    settings.lr_cycles = 2;
    cr_assert_eq(ts_train_settings_check(&settings, &err), TS_ERR_ARGUMENT);
    cr_assert_not_null(strstr(err.message, "--lr-cycles"), "%s", err.message);
    settings.schedule = TS_SCHEDULE_COSINE_WITH_RESTARTS;
    settings.min_lr_ratio = 0;
    cr_assert_eq(ts_train_settings_check(&settings, &err), TS_OK);
}
