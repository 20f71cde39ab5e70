// How often a long test repeats itself. Where each round is slow (under sanitizers, under the
// validation layer, on other drivers) a variable of the environment asks for fewer.
#ifndef TEST_COUNT_H
#define TEST_COUNT_H

#include <criterion/criterion.h>
#include <stdlib.h>

// The number in the variable, or `usual` if it is not set.
static inline int test_count(const char *variable, int usual)
{
    const char *text = getenv(variable);
    const int count = text != NULL ? atoi(text) : usual;
    cr_assert_gt(count, 0, "%s is not a number", variable);
    return count;
}

#endif
