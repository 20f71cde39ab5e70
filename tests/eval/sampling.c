// Which token is chosen: the likeliest, or each as often as its probability says.
#include "eval/sampling.h"

#include "base/memory.h"
#include "device.h"

#include <math.h>

enum { VOCAB = 6, DRAWS = 20000 };

// Their probabilities are 0.4, 0.3, 0.15, 0.1, 0.04, 0.01, in another order than their ids.
static const double probabilities[VOCAB] = {0.1, 0.4, 0.01, 0.3, 0.04, 0.15};

static void make_logits(float *out)
{
    for (int i = 0; i < VOCAB; i++) {
        out[i] = (float)(log(probabilities[i]) + 3);
    }
}

static uint32_t sample(const ts_sampling *sampling, const uint32_t *before, size_t count,
                       uint64_t index)
{
    static ts_sampler sampler;
    float logits[VOCAB];
    uint32_t token;
    double log_probability;
    make_logits(logits);
    MUST(ts_sample(&sampler, sampling, logits, VOCAB, before, count, index, &token,
                   &log_probability, err));
    cr_assert_float_eq(log_probability, log(probabilities[token]), 1e-6);
    return token;
}

// How often each token comes is within four standard deviations of `expected`.
static void check_rates(const ts_sampling *sampling, const double *expected)
{
    unsigned counts[VOCAB] = {0};
    for (uint64_t i = 0; i < DRAWS; i++) {
        counts[sample(sampling, NULL, 0, i)]++;
    }
    for (int i = 0; i < VOCAB; i++) {
        double p = expected[i], error = 4 * sqrt(p * (1 - p) / DRAWS);
        cr_assert_float_eq((double)counts[i] / DRAWS, p, error + 1e-12, "token %d: %u of %d", i,
                           counts[i], DRAWS);
    }
}

Test(sampling, without_a_temperature_the_likeliest)
{
    cr_assert_eq(sample(&(ts_sampling){0}, NULL, 0, 0), 1);
    cr_assert_eq(sample(&(ts_sampling){.top_k = 1, .top_p = 0.1, .min_p = 1}, NULL, 0, 5), 1);
}

Test(sampling, what_came_before_becomes_less_likely)
{
    // Logits are 3 + log p: 2.08 of token 1, 1.80 of token 3, -1.61 of token 2.
    const uint32_t before[] = {1, 1, 1, 99};
    const ts_sampling penalised = {.repeat_penalty = 1.5}, little = {.repeat_penalty = 1.1};
    cr_assert_eq(sample(&penalised, before, 4, 0), 3);
    cr_assert_eq(sample(&little, before, 4, 0), 1, "once, however often it came");
}

Test(sampling, each_as_often_as_it_is_likely)
{
    check_rates(&(ts_sampling){.temperature = 1}, probabilities);
    check_rates(&(ts_sampling){.temperature = 1, .seed = 9}, probabilities);
    double halved[VOCAB], sum = 0;
    for (int i = 0; i < VOCAB; i++) {
        sum += pow(probabilities[i], 2);
    }
    for (int i = 0; i < VOCAB; i++) {
        halved[i] = pow(probabilities[i], 2) / sum;
    }
    check_rates(&(ts_sampling){.temperature = 0.5}, halved);
}

Test(sampling, cuts_leave_the_likeliest)
{
    const double two[VOCAB] = {0, 4 / 7.0, 0, 3 / 7.0, 0, 0};
    const double three[VOCAB] = {0, 0.4 / 0.85, 0, 0.3 / 0.85, 0, 0.15 / 0.85};
    const double one[VOCAB] = {0, 1, 0, 0, 0, 0};
    check_rates(&(ts_sampling){.temperature = 1, .top_k = 2}, two);
    check_rates(&(ts_sampling){.temperature = 1, .top_p = 0.65}, two);
    check_rates(&(ts_sampling){.temperature = 1, .top_p = 0.75}, three);
    check_rates(&(ts_sampling){.temperature = 1, .min_p = 0.3}, three);
    check_rates(&(ts_sampling){.temperature = 1, .min_p = 1}, one);
    check_rates(&(ts_sampling){.temperature = 1, .top_p = 1e-9}, one);
    check_rates(&(ts_sampling){.temperature = 1, .top_k = 99}, probabilities);
    // top_p counts what top_k left: 0.4 and 0.3 of 0.85 reach 0.8 of it.
    check_rates(&(ts_sampling){.temperature = 1, .top_k = 3, .top_p = 0.8}, two);
}

Test(sampling, logits_that_are_no_numbers_are_refused)
{
    const float values[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < TS_COUNT(values); i++) {
        ts_sampler sampler = {0};
        ts_error err = {0};
        const float logits[] = {1, values[i], 2};
        uint32_t token;
        double log_probability;
        cr_assert_eq(ts_sample(&sampler, &(ts_sampling){0}, logits, 3, NULL, 0, 0, &token,
                               &log_probability, &err),
                     TS_ERR_RUN);
        ts_sampler_free(&sampler);
    }
}
