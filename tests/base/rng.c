#include "base/rng.h"

#include <criterion/criterion.h>
#include <math.h>

// Vectors of the authors' own test file kat_vectors (Random123).
Test(rng, philox_known_answers)
{
    static const struct {
        uint32_t counter[4], key[2], expected[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t out[4];
        ts_philox(cases[i].counter, cases[i].key, out);
        cr_assert_arr_eq(out, cases[i].expected, sizeof out, "case %zu", i);
    }
}

// The 10,000th output of mt19937 seeded with 5489 is fixed by the C++ standard.
Test(rng, mt19937_ten_thousandth)
{
    ts_mt19937 rng;
    uint32_t value = 0;
    ts_mt19937_seed(&rng, 5489);
    for (int i = 0; i < 10000; i++) {
        value = ts_mt19937_next(&rng);
    }
    cr_assert_eq(value, 4123659995u);
}

Test(rng, torch_randperm_is_a_permutation)
{
    enum { N = 101 };
    uint32_t order[N];
    int seen[N] = {0};
    ts_torch_randperm(42, N, order);
    for (int i = 0; i < N; i++) {
        cr_assert_lt(order[i], N);
        cr_assert_eq(seen[order[i]]++, 0);
    }
}

// torch.randperm(n, generator=torch.Generator().manual_seed(seed)) of PyTorch 2.14: how each
// begins, and FNV-1a over all its values (one value a round) for those that are long.
Test(rng, torch_randperm_known_answers)
{
    enum { SHOWN = 12 };
    static const struct {
        uint32_t n, seed, digest, begins[SHOWN];
    } cases[] = {
        {1, 42, 84696351, {0}},
        {2, 42, 276207162, {0, 1}},
        {3, 42, 4255908178, {0, 2, 1}},
        {7, 42, 1141496784, {1, 6, 3, 5, 4, 0, 2}},
        {10, 42, 4218797922, {2, 6, 1, 8, 4, 5, 0, 9, 3, 7}},
        {10, 43, 2356645398, {8, 4, 9, 0, 5, 1, 6, 7, 2, 3}},
        {20, 44, 1738706809, {12, 10, 9, 0, 15, 14, 6, 4, 7, 5, 3, 13}},
        {186, 42, 232380416, {174, 63, 94, 124, 8, 2, 166, 91, 74, 146, 44, 100}},
        {5000, 42, 1395511557, {2542, 430, 846, 4406, 2154, 4435, 2792, 794, 3822, 44, 4048, 762}},
        {40000,
         45,
         2855595763,
         {12107, 6747, 34631, 39543, 7840, 26709, 5963, 7514, 3803, 35379, 2587, 26104}},
    };
    static uint32_t order[40000];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t digest = 2166136261u;
        ts_torch_randperm(cases[i].seed, cases[i].n, order);
        for (uint32_t k = 0; k < cases[i].n; k++) {
            digest = (digest ^ order[k]) * 16777619u;
            cr_assert(k >= SHOWN || order[k] == cases[i].begins[k], "n %u, seed %u: [%u] is %u",
                      cases[i].n, cases[i].seed, k, order[k]);
        }
        cr_assert_eq(digest, cases[i].digest, "n %u, seed %u", cases[i].n, cases[i].seed);
    }
}

// The moments, the shares within one, two and three deviations, and the correlations of a value
// with the next and with the same one of another stream. Each is within five standard errors of
// what it should be. No value is infinite.
Test(rng, normal_values_are_normal)
{
    enum { COUNT = 200000 };
    static const double within[] = {0.6826895, 0.9544997, 0.9973002};
    double sum = 0, squares = 0, cubes = 0, fourths = 0, next = 0, other = 0, inside[3] = {0};
    for (uint64_t i = 0; i < COUNT; i++) {
        double z = (double)ts_random_normal(42, 3, i);
        cr_assert(isfinite(z));
        sum += z, squares += z * z, cubes += z * z * z, fourths += z * z * z * z;
        next += z * (double)ts_random_normal(42, 3, i + 1);
        other += z * (double)ts_random_normal(42, 4, i);
        for (int k = 0; k < 3; k++) {
            inside[k] += fabs(z) < k + 1;
        }
    }
    const double root = sqrt(COUNT);
    cr_expect_float_eq(sum / COUNT, 0, 5 / root);
    cr_expect_float_eq(squares / COUNT, 1, 5 * sqrt(2) / root);
    cr_expect_float_eq(cubes / COUNT, 0, 5 * sqrt(15) / root);
    cr_expect_float_eq(fourths / COUNT, 3, 5 * sqrt(96) / root);
    cr_expect_float_eq(next / COUNT, 0, 5 / root);
    cr_expect_float_eq(other / COUNT, 0, 5 / root);
    for (int k = 0; k < 3; k++) {
        cr_expect_float_eq(inside[k] / COUNT, within[k],
                           5 * sqrt(within[k] * (1 - within[k])) / root);
    }
    cr_expect_eq(ts_random_normal(42, 3, 7), ts_random_normal(42, 3, 7));
}
