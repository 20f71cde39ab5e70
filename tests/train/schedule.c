// Learning rates as transformers' get_scheduler (5.12) gives them for a peak of 5e-5: known
// answers.
#include "train/optimiser.h"

#include "base/memory.h"

#include <criterion/criterion.h>
#include <math.h>

Test(schedule, known_answers_of_transformers)
{
    enum { MOST = 11 };
    static const struct {
        ts_schedule schedule;
        uint64_t warmup, steps;
        double rates[MOST]; // of steps 0 to `steps`
    } cases[] = {
        {TS_SCHEDULE_LINEAR,
         0,
         7,
         {5e-05, 4.2857142857142856e-05, 3.571428571428572e-05, 2.857142857142857e-05,
          2.1428571428571428e-05, 1.4285714285714285e-05, 7.142857142857143e-06, 0.0}},
        {TS_SCHEDULE_LINEAR,
         3,
         10,
         {0.0, 1.6666666666666667e-05, 3.3333333333333335e-05, 5e-05, 4.2857142857142856e-05,
          3.571428571428572e-05, 2.857142857142857e-05, 2.1428571428571428e-05,
          1.4285714285714285e-05, 7.142857142857143e-06, 0.0}},
        {TS_SCHEDULE_LINEAR, 5, 5, {0.0, 1e-05, 2e-05, 3e-05, 4e-05, 0.0}},
        {TS_SCHEDULE_COSINE,
         0,
         7,
         {5e-05, 4.752422169756048e-05, 4.058724504646834e-05, 3.056302334890786e-05,
          1.9436976651092144e-05, 9.412754953531663e-06, 2.475778302439524e-06, 0.0}},
        {TS_SCHEDULE_COSINE,
         3,
         10,
         {0.0, 1.6666666666666667e-05, 3.3333333333333335e-05, 5e-05, 4.752422169756048e-05,
          4.058724504646834e-05, 3.056302334890786e-05, 1.9436976651092144e-05,
          9.412754953531663e-06, 2.475778302439524e-06, 0.0}},
        {TS_SCHEDULE_CONSTANT, // with warm-up: constant_with_warmup
         3,
         5,
         {0.0, 1.6666666666666667e-05, 3.3333333333333335e-05, 5e-05, 5e-05, 5e-05}},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        for (uint64_t step = 0; step <= cases[i].steps; step++) {
            double rate =
                ts_schedule_rate(cases[i].schedule, 5e-5, step, cases[i].warmup, cases[i].steps);
            cr_expect_float_eq(
                rate, cases[i].rates[step], 1e-19, "%s, warm-up %llu of %llu, step %llu: %.17g",
                ts_schedule_name(cases[i].schedule), (unsigned long long)cases[i].warmup,
                (unsigned long long)cases[i].steps, (unsigned long long)step, rate);
        }
    }
}
