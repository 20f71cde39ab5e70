#include "base/file.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static char folder[64], path[96];

static void make(void)
{
    snprintf(folder, sizeof folder, "/tmp/tinysft-append-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log", folder);
}

static void expect_content(const char *expected)
{
    ts_text text = {0};
    ts_error err = {0};
    cr_assert_eq(ts_file_read(path, 1 << 20, &text, &err), TS_OK, "%s", err.message);
    cr_expect_str_eq(text.bytes, expected);
    ts_text_free(&text);
}

Test(file_append, keeps_what_is_asked_for_and_adds_whole_pieces)
{
    ts_error err = {0};
    ts_file_append file = {0}, second = {0};
    make();
    cr_assert_eq(ts_file_append_open(path, 0, &file, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_file_append_add(&file, "one\n", 4, &err), TS_OK);
    cr_expect_eq(ts_file_append_add(&file, "two\n", 4, &err), TS_OK);
    cr_expect_eq(ts_file_append_open(path, 0, &second, &err), TS_ERR_ARGUMENT);
    ts_file_append_close(&file);
    expect_content("one\ntwo\n");
    cr_assert_eq(ts_file_append_open(path, 4, &file, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_file_append_add(&file, "2\n", 2, &err), TS_OK);
    ts_file_append_close(&file);
    expect_content("one\n2\n");
    cr_assert_eq(ts_file_append_open(path, 99, &file, &err), TS_OK, "%s", err.message);
    ts_file_append_close(&file);
    expect_content("one\n2\n");
    cr_expect_eq(ts_file_append_open(folder, 0, &file, &err), TS_ERR_IO);
    ts_folder_remove(folder, &err);
}

Test(file_append, a_write_that_fails_leaves_no_part_of_its_piece)
{
    ts_error err = {0};
    ts_file_append file = {0};
    make();
    signal(SIGXFSZ, SIG_IGN); // a full disk, for this process alone
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){6, 6});
    cr_assert_eq(ts_file_append_open(path, 0, &file, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_file_append_add(&file, "one\n", 4, &err), TS_OK);
    cr_expect_eq(ts_file_append_add(&file, "two\n", 4, &err), TS_ERR_IO);
    cr_expect_eq(ts_file_append_add(&file, "3\n", 2, &err), TS_OK);
    ts_file_append_close(&file);
    expect_content("one\n3\n");
    ts_folder_remove(folder, &err);
}
