#include "base/file.h"

#include "base_test.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t count_entries(const char *folder)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    cr_assert_not_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(dir);
    return count;
}

static void expect_content(const char *path, const char *content)
{
    ts_text text = {0};
    ts_error err = {0};
    cr_assert_eq(ts_file_read(path, 1 << 20, &text, &err), TS_OK, "%s", err.message);
    cr_expect_eq(text.len, strlen(content));
    cr_expect_str_eq(text.bytes, content);
    ts_text_free(&text);
}

Test(file, write_read_map)
{
    char *folder = make_folder();
    const char *path = in_folder(folder, "a");
    ts_error err = {0};
    ts_map map = {0};
    cr_assert_eq(ts_file_write(path, "hello", 5, &err), TS_OK, "%s", err.message);
    expect_content(path, "hello");
    cr_assert_eq(ts_map_open(path, &map, &err), TS_OK, "%s", err.message);
    cr_expect_eq(map.len, 5);
    cr_expect_arr_eq(map.bytes, "hello", 5);
    cr_assert_eq(ts_file_write(path, "", 0, &err), TS_OK);
    cr_expect_arr_eq(map.bytes, "hello", 5); // the old file lives on where it is mapped
    ts_map_close(&map);
    expect_content(path, "");
    cr_assert_eq(ts_map_open(path, &map, &err), TS_OK);
    cr_expect_eq(map.len, 0);
    ts_map_close(&map);
    cr_expect_eq(count_entries(folder), 1);
    remove_folder(folder);
}

Test(file, errors_name_the_path)
{
    char *folder = make_folder();
    ts_text text = {0};
    ts_map map = {0};
    ts_error err = {0};
    const char *path = in_folder(folder, "missing");
    cr_expect_eq(ts_file_read(path, 10, &text, &err), TS_ERR_IO);
    cr_expect_not_null(strstr(err.message, path));
    cr_expect_not_null(strstr(err.message, "No such file"));
    cr_expect_eq(ts_map_open(path, &map, &err), TS_ERR_IO);
    cr_expect_eq(ts_map_open(folder, &map, &err), TS_ERR_IO);
    cr_expect_not_null(strstr(err.message, "not a regular file"));
    cr_expect_eq(ts_file_read(folder, 10, &text, &err), TS_ERR_IO);
    cr_expect_eq(ts_file_write(in_folder(folder, "no/such"), "x", 1, &err), TS_ERR_IO);
    ts_text_free(&text);
    remove_folder(folder);
}

Test(file, read_refuses_above_its_limit)
{
    char *folder = make_folder();
    const char *path = in_folder(folder, "a");
    ts_text text = {0};
    ts_error err = {0};
    cr_assert_eq(ts_file_write(path, "12345", 5, &err), TS_OK);
    cr_expect_eq(ts_file_read(path, 5, &text, &err), TS_OK);
    cr_expect_eq(ts_file_read(path, 4, &text, &err), TS_ERR_FORMAT);
    cr_expect_eq(text.len, 5);
    cr_expect_eq(ts_file_read("/dev/zero", 1000, &text, &err), TS_ERR_FORMAT); // no size to trust
    ts_text_free(&text);
    remove_folder(folder);
}

Test(file, new_files_follow_the_umask)
{
    char *folder = make_folder();
    const char *path = in_folder(folder, "a");
    ts_error err = {0};
    struct stat info;
    mode_t old = umask(027);
    cr_assert_eq(ts_file_write(path, "x", 1, &err), TS_OK);
    umask(old);
    cr_assert_eq(stat(path, &info), 0);
    cr_expect_eq(info.st_mode & 0777, 0640);
    remove_folder(folder);
}

// The disk is full: here, the process may not write files above 4 KiB.
Test(file, a_failed_write_leaves_the_old_file)
{
    char *folder = make_folder();
    const char *path = in_folder(folder, "a");
    ts_error err = {0};
    char *big = calloc(1, 1 << 16);
    struct rlimit old, limit;
    cr_assert_eq(ts_file_write(path, "old", 3, &err), TS_OK);
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = old;
    limit.rlim_cur = 4096;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ts_status status = ts_file_write(path, big, 1 << 16, &err);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    cr_expect_eq(status, TS_ERR_IO);
    cr_expect_not_null(strstr(err.message, "cannot write"), "%s", err.message);
    expect_content(path, "old");
    cr_expect_eq(count_entries(folder), 1, "the temporary file is gone");
    free(big);
    remove_folder(folder);
}

Test(file, a_read_only_folder_refuses)
{
    if (geteuid() == 0) {
        cr_skip_test("root may write everywhere");
    }
    char *folder = make_folder();
    const char *path = in_folder(folder, "a");
    ts_error err = {0};
    cr_assert_eq(ts_file_write(path, "old", 3, &err), TS_OK);
    chmod(folder, 0555);
    cr_expect_eq(ts_file_write(path, "new", 3, &err), TS_ERR_IO);
    chmod(folder, 0755);
    expect_content(path, "old");
    remove_folder(folder);
}

// A process that rewrites one file without end is killed again and again: whoever reads sees one
// whole content.
Test(file, killed_writes_are_whole, .timeout = 60)
{
    enum { BYTES = 1 << 18, KILLS = 15 };
    char *folder = make_folder();
    const char *path = in_folder(folder, "a");
    ts_error err = {0};
    char *content = malloc(BYTES);
    memset(content, 'a', BYTES);
    cr_assert_eq(ts_file_write(path, content, BYTES, &err), TS_OK);
    for (int kill_number = 0; kill_number < KILLS; kill_number++) {
        pid_t child = fork();
        if (child == 0) {
            for (unsigned char letter = 'b';; letter = letter < 'z' ? letter + 1 : 'a') {
                memset(content, letter, BYTES);
                ts_file_write(path, content, BYTES, &err);
            }
        }
        usleep(2000 + 1500 * (useconds_t)kill_number);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        ts_map map = {0};
        cr_assert_eq(ts_map_open(path, &map, &err), TS_OK, "%s", err.message);
        cr_assert_eq(map.len, BYTES);
        for (size_t i = 1; i < BYTES; i++) {
            cr_assert_eq(map.bytes[i], map.bytes[0], "byte %zu after kill %d", i, kill_number);
        }
        ts_map_close(&map);
    }
    free(content);
    remove_folder(folder);
}

Test(file, folders)
{
    char *folder = make_folder();
    ts_error err = {0};
    const char *deep = in_folder(folder, "a/b//c/");
    cr_expect_eq(ts_folder_make(deep, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_folder_make(deep, &err), TS_OK, "%s", err.message);
    cr_expect(ts_folder_exists(deep));
    cr_assert_eq(ts_file_write_plain(in_folder(folder, "f"), "x", 1, &err), TS_OK);
    cr_expect_eq(ts_folder_make(in_folder(folder, "f/g"), &err), TS_ERR_IO);
    cr_expect_not(ts_folder_exists(in_folder(folder, "f")));
    cr_expect(ts_file_exists(in_folder(folder, "f")));
    cr_expect_eq(ts_folder_remove(in_folder(folder, "absent"), &err), TS_OK);
    // A link inside a removed folder takes nothing else with it.
    cr_assert_eq(symlink(in_folder(folder, "f"), in_folder(folder, "a/link")), 0);
    cr_expect_eq(ts_folder_remove(in_folder(folder, "a"), &err), TS_OK, "%s", err.message);
    cr_expect_not(ts_file_exists(in_folder(folder, "a")));
    expect_content(in_folder(folder, "f"), "x");
    remove_folder(folder);
}

Test(file, folder_commit_creates_and_replaces)
{
    char *folder = make_folder();
    ts_error err = {0};
    static const char *const contents[] = {"one", "two"};
    for (int round = 0; round < 2; round++) {
        cr_assert_eq(ts_folder_make(in_folder(folder, "tmp/sub"), &err), TS_OK);
        cr_assert_eq(ts_file_write_plain(in_folder(folder, "tmp/sub/f"), contents[round], 3, &err),
                     TS_OK);
        if (round == 0) {
            cr_assert_eq(ts_file_write_plain(in_folder(folder, "tmp/extra"), "x", 1, &err), TS_OK);
        }
        const char *temporary = in_folder(folder, "tmp"), *final = in_folder(folder, "final");
        cr_assert_eq(ts_folder_commit(temporary, final, &err), TS_OK, "%s", err.message);
        expect_content(in_folder(folder, "final/sub/f"), contents[round]);
        cr_expect_eq(ts_file_exists(in_folder(folder, "final/extra")), round == 0);
        cr_expect_eq(count_entries(folder), 1, "only the final folder remains");
    }
    cr_expect_eq(ts_folder_commit(in_folder(folder, "absent"), in_folder(folder, "final"), &err),
                 TS_ERR_IO);
    expect_content(in_folder(folder, "final/sub/f"), "two");
    remove_folder(folder);
}

Test(file, paths)
{
    ts_text path = {0};
    ts_error err = {0};
    cr_assert_eq(ts_path_join("a", "b", &path, &err), TS_OK);
    cr_expect_str_eq(path.bytes, "a/b");
    cr_assert_eq(ts_path_join("a/", "b", &path, &err), TS_OK);
    cr_expect_str_eq(path.bytes, "a/b");
    cr_assert_eq(ts_path_join("", "b", &path, &err), TS_OK);
    cr_expect_str_eq(path.bytes, "b");
    cr_expect_str_eq(ts_path_name("a/b.c"), "b.c");
    cr_expect_str_eq(ts_path_name("b.c"), "b.c");
    cr_expect_str_eq(ts_path_name("a/"), "");
    ts_text_free(&path);
}

// The vectors of FIPS 180-2.
Test(file, sha256)
{
    char hex[65];
    ts_sha256_hex("", 0, hex);
    cr_expect_str_eq(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    ts_sha256_hex("abc", 3, hex);
    cr_expect_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    char *million = malloc(1000000);
    memset(million, 'a', 1000000);
    ts_sha256_hex(million, 1000000, hex);
    cr_expect_str_eq(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

Test(file, a_mapping_tells_when_its_file_changes)
{
    ts_error err = {0};
    ts_map map = {0}, other = {0};
    char *folder = make_folder();
    const char *path = in_folder(folder, "m"), *newer = in_folder(folder, "n");
    cr_assert_eq(ts_file_write_plain(path, "abcdef", 6, &err), TS_OK);
    cr_assert_eq(ts_map_open(path, &map, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_map_check(&map, &err), TS_OK);
    cr_expect_str_eq(ts_map_path_of(map.bytes + 5), path);
    cr_expect_null(ts_map_path_of(map.bytes + 6));
    cr_assert_eq(ts_file_write_plain(newer, "ABCDEF", 6, &err), TS_OK);
    cr_assert_eq(ts_map_open(newer, &other, &err), TS_OK);
    cr_expect_str_eq(ts_map_path_of(other.bytes), newer);
    cr_assert_eq(rename(newer, path), 0); // the mapping still holds the old file
    cr_expect_eq(ts_map_check(&map, &err), TS_OK);
    ts_map_close(&map);
    cr_expect_str_eq(ts_map_path_of(other.bytes), newer, "one was closed, the other stays");

    const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}}; // as if written to
    cr_assert_eq(utimensat(AT_FDCWD, path, times, 0), 0);
    cr_expect_eq(ts_map_check(&other, &err), TS_ERR_IO);
    cr_expect(strstr(err.message, "written to since it was opened"), "%s", err.message);
    err = (ts_error){0};
    cr_assert_eq(truncate(path, 3), 0);
    cr_expect_eq(ts_map_check(&other, &err), TS_ERR_IO);
    cr_expect(strstr(err.message, "6 bytes when it was opened, 3 now"), "%s", err.message);
    ts_map_close(&other);
    cr_expect_eq(ts_map_check(&other, &err), TS_OK);
    remove_folder(folder);
}
