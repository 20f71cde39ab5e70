// The calls to the operating system that the tests of base/file.h do not cover.
#include "base/os.h"

#include "base_test.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

Test(os, lists_a_folder_sorted_and_without_itself)
{
    static const char *const names[] = {"b", "a", ".hidden", "B"};
    static const char *const sorted[] = {".hidden", "B", "a", "b"};
    char *folder = make_folder(), path[512];
    ts_os_names found;
    for (size_t i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        cr_assert_eq(mkdir(path, 0700), 0);
    }
    cr_assert_eq(ts_os_list(folder, &found), 0);
    cr_assert_eq(found.count, 4);
    for (size_t i = 0; i < found.count; i++) {
        cr_expect_str_eq(found.names[i], sorted[i]);
    }
    ts_os_names_free(&found);
    snprintf(path, sizeof path, "%s/absent", folder);
    cr_expect_eq(ts_os_list(path, &found), ENOENT);
    cr_expect_eq(found.count, 0);
    remove_folder(folder);
}

Test(os, tells_what_is_at_a_path)
{
    char *folder = make_folder(), path[512], link[512], target[64];
    ts_os_info info, other;
    cr_assert_eq(ts_os_stat(folder, &info), 0);
    cr_expect_eq(info.kind, TS_OS_FOLDER);
    cr_assert_eq(ts_os_stat("/dev/null", &info), 0);
    cr_expect_eq(info.kind, TS_OS_NULL);
    cr_assert_eq(ts_os_stat("/dev/zero", &info), 0);
    cr_expect_eq(info.kind, TS_OS_DEVICE);
    snprintf(path, sizeof path, "%s/pipe", folder);
    snprintf(link, sizeof link, "%s/link", folder);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_eq(ts_os_make_link("pipe", link), 0);
    cr_assert_eq(ts_os_stat(link, &info), 0);
    cr_expect_eq(info.kind, TS_OS_PIPE);
    cr_assert_eq(ts_os_stat(path, &other), 0);
    cr_expect(ts_os_same_file(&info, &other));
    cr_assert_eq(ts_os_stat_link(link, &info), 0);
    cr_expect_eq(info.kind, TS_OS_LINK);
    cr_expect_not(ts_os_same_file(&info, &other));
    cr_assert_eq(ts_os_read_link(link, target, sizeof target), 0);
    cr_expect_str_eq(target, "pipe");
    remove_folder(folder);
}

Test(os, opens_as_it_is_asked)
{
    char *folder = make_folder(), path[512], bytes[8];
    int file, again;
    size_t got;
    ts_os_info info;
    snprintf(path, sizeof path, "%s/file", folder);
    cr_expect_eq(ts_os_open(path, TS_OS_READ, &file), ENOENT);
    cr_assert_eq(ts_os_open(path, TS_OS_READ | TS_OS_WRITE | TS_OS_CREATE, &file), 0);
    cr_expect_eq(ts_os_open(path, TS_OS_WRITE | TS_OS_CREATE | TS_OS_NEW, &again), EEXIST);
    cr_assert_eq(ts_os_write_at(file, "abc", 3, 2), 0);
    cr_assert_eq(ts_os_read_at(file, bytes, sizeof bytes, 1, &got), 0);
    cr_expect_eq(got, 4);
    cr_expect_eq(memcmp(bytes, "\0abc", 4), 0);
    cr_assert_eq(ts_os_cut(file, 3), 0);
    cr_assert_eq(ts_os_stat_open(file, &info), 0);
    cr_expect_eq(info.bytes, 3);
    cr_assert_eq(ts_os_lock(file, true), 0);
    cr_assert_eq(ts_os_open(path, TS_OS_READ, &again), 0);
    cr_expect_eq(ts_os_lock(again, false), EWOULDBLOCK);
    ts_os_close(again);
    ts_os_close(file);
    remove_folder(folder);
}
