// Shared by the tests of src/data.
#ifndef TESTS_DATA_DATA_TEST_H
#define TESTS_DATA_DATA_TEST_H

#include "base/file.h"
#include "data/tokenizer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIXTURE_FOLDER SHARED_FOLDER "/fixtures/tinyllama-chat"

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
    free(folder);
}

// Not ts_file_write, which waits for the disk: the tests write thousands of files.
static inline void write_bytes(const char *folder, const char *name, const void *bytes, size_t len)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    remove(path); // some file systems flush a file whose content is replaced
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, len, file), len);
    cr_assert_eq(fclose(file), 0);
}

static inline void write_text(const char *folder, const char *name, const char *text)
{
    write_bytes(folder, name, text, strlen(text));
}

// SplitMix64, for seeded test data.
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

// FOLDER's tokenizer alone.
static inline ts_status open_tokenizer(const char *folder, ts_tokenizer **out, ts_error *err)
{
    ts_weights *weights = NULL;
    cr_assert_eq(ts_weights_open(folder, &weights, err), TS_OK, "%s", err->message);
    ts_status status = ts_tokenizer_open(weights, out, err);
    ts_weights_close(weights);
    return status;
}

// TinyLlama's tokenizer. Skips the test if the shared files are not beside the repository.
static inline ts_tokenizer *open_fixture_tokenizer(void)
{
    ts_error err = {0};
    ts_tokenizer *t = NULL;
    if (!ts_folder_exists(FIXTURE_FOLDER)) {
        cr_skip_test("needs " FIXTURE_FOLDER);
    }
    cr_assert_eq(open_tokenizer(FIXTURE_FOLDER, &t, &err), TS_OK, "%s", err.message);
    return t;
}

#endif
