// Shared by the tests of src/base.
#ifndef TESTS_BASE_BASE_TEST_H
#define TESTS_BASE_BASE_TEST_H

#include "base/file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A fresh folder under /tmp; the caller removes it with remove_folder.
static inline char *make_folder(void)
{
    char *folder = strdup("/tmp/tinysft-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    return folder;
}

static inline void remove_folder(char *folder)
{
    ts_error err = {0};
    cr_assert_eq(ts_folder_remove(folder, &err), TS_OK, "%s", err.message);
    cr_assert_not(ts_file_exists(folder));
    free(folder);
}

// FOLDER/NAME. The result is valid for the next few calls.
static inline const char *in_folder(const char *folder, const char *name)
{
    static char paths[4][512];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}

// SplitMix64, for seeded test data.
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

#endif
