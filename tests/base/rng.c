#include "base/rng.h"

#include <criterion/criterion.h>

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
