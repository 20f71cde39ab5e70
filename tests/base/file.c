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

// A file written piece by piece appears only when it is ended, and what is dropped leaves nothing.
Test(file, piece_by_piece)
{
    char *folder = make_folder();
    const char *path = in_folder(folder, "a");
    ts_error err = {0};
    ts_file_out out = {0};
    cr_assert_eq(ts_file_write(path, "old", 3, &err), TS_OK, "%s", err.message);
    cr_assert_eq(ts_file_begin(path, &out, &err), TS_OK, "%s", err.message);
    cr_assert_eq(ts_file_add(&out, "hel", 3, &err), TS_OK, "%s", err.message);
    expect_content(path, "old");
    cr_assert_eq(ts_file_add(&out, "lo", 2, &err), TS_OK, "%s", err.message);
    cr_assert_eq(ts_file_end(&out, &err), TS_OK, "%s", err.message);
    expect_content(path, "hello");
    ts_file_drop(&out); // nothing is left to drop
    expect_content(path, "hello");

    cr_assert_eq(ts_file_begin(path, &out, &err), TS_OK, "%s", err.message);
    cr_assert_eq(ts_file_add(&out, "never", 5, &err), TS_OK, "%s", err.message);
    ts_file_drop(&out);
    expect_content(path, "hello");
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
    cr_expect_not_null(strstr(err.message, "a folder, but a file is needed"));
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

// Gives up root's rights, because root may write whatever the permissions are.
static void become_ordinary(const char *folder)
{
    if (geteuid() == 0) {
        cr_assert_eq(chown(folder, 65534, 65534), 0);
        cr_assert_eq(setresgid(65534, 65534, 65534), 0);
        cr_assert_eq(setresuid(65534, 65534, 65534), 0);
    }
}

static void expect_says(const ts_error *err, const char *part)
{
    cr_expect_not_null(strstr(err->message, part), "no \"%s\" in: %s", part, err->message);
}

Test(file, what_permissions_forbid_is_told_as_such)
{
    char *folder = make_folder();
    const char *path = in_folder(folder, "a"), *below = in_folder(folder, "closed/b");
    ts_error err = {0};
    ts_text text = {0};
    ts_map map = {0};
    bool found = false;
    become_ordinary(folder);
    cr_assert_eq(ts_folder_make(in_folder(folder, "closed"), &err), TS_OK);
    cr_assert_eq(ts_file_write(path, "old", 3, &err), TS_OK, "%s", err.message);
    chmod(folder, 0555);
    cr_expect_eq(ts_file_write(path, "new", 3, &err), TS_ERR_IO);
    expect_says(&err, "cannot write: Permission denied");
    cr_expect_eq(ts_file_check_writable(path, &err), TS_ERR_IO);
    expect_says(&err, "cannot write: Permission denied");
    cr_expect_eq(ts_folder_make(in_folder(folder, "new/er"), &err), TS_ERR_IO);
    expect_says(&err, "/new: cannot create the folder: Permission denied");
    chmod(folder, 0755);
    expect_content(path, "old");
    chmod(path, 0444); // renaming over it would be allowed
    cr_expect_eq(ts_file_write(path, "new", 3, &err), TS_ERR_IO);
    expect_says(&err, "cannot write: Permission denied");
    expect_content(path, "old");
    chmod(path, 0);
    cr_expect_eq(ts_file_read(path, 10, &text, &err), TS_ERR_IO);
    expect_says(&err, "cannot open: Permission denied");
    cr_expect_eq(ts_map_open(path, &map, &err), TS_ERR_IO);
    expect_says(&err, "cannot open: Permission denied");
    chmod(in_folder(folder, "closed"), 0);
    cr_expect_eq(ts_file_find(below, &found, &err), TS_ERR_IO);
    expect_says(&err, "closed/b: cannot open: Permission denied");
    ts_text_free(&text);
    remove_folder(folder);
}

// In /proc nothing can be created, and /dev/full is a disk without room.
Test(file, what_cannot_be_created_is_told_with_its_reason)
{
    ts_error err = {0};
    cr_expect_eq(ts_file_write("/proc/tinysft", "x", 1, &err), TS_ERR_IO);
    cr_expect_eq(ts_folder_make("/proc/tinysft/deep", &err), TS_ERR_IO);
    expect_says(&err, "/proc/tinysft: cannot create the folder: ");
    cr_expect_eq(ts_file_write("/dev/full", "x", 1, &err), TS_ERR_IO);
    expect_says(&err, "/dev/full: cannot write: No space left on device");
}

Test(file, only_what_is_truly_not_there_is_absent)
{
    char *folder = make_folder();
    ts_error err = {0};
    ts_text text = {0};
    bool found = true;
    cr_expect_eq(ts_file_find(in_folder(folder, "a"), &found, &err), TS_OK);
    cr_expect_not(found);
    cr_expect_eq(ts_file_find(folder, &found, &err), TS_OK);
    cr_expect(found);
    cr_assert_eq(ts_file_write(in_folder(folder, "a"), "x", 1, &err), TS_OK);
    cr_expect_eq(ts_file_find(in_folder(folder, "a/b"), &found, &err), TS_OK);
    cr_expect_not(found);
    cr_assert_eq(symlink("gone", in_folder(folder, "link")), 0);
    cr_expect_eq(ts_file_find(in_folder(folder, "link"), &found, &err), TS_ERR_IO);
    expect_says(&err, "link: cannot open: it is a link to gone, which is not there");
    cr_expect_eq(ts_file_read(in_folder(folder, "link"), 10, &text, &err), TS_ERR_IO);
    expect_says(&err, "link: cannot open: it is a link to gone, which is not there");
    cr_assert_eq(symlink("round", in_folder(folder, "round")), 0);
    cr_expect_eq(ts_file_find(in_folder(folder, "round"), &found, &err), TS_ERR_IO);
    ts_text_free(&text);
    remove_folder(folder);
}

Test(file, what_is_no_file_is_not_read, .timeout = 10)
{
    char *folder = make_folder();
    const char *pipe = in_folder(folder, "pipe");
    ts_error err = {0};
    ts_text text = {0};
    ts_map map = {0};
    cr_assert_eq(mkfifo(pipe, 0600), 0);
    cr_expect_eq(ts_file_read(pipe, 10, &text, &err), TS_ERR_IO); // opening it would wait for ever
    expect_says(&err, "pipe: a pipe, but a file is needed");
    cr_expect_eq(ts_map_open(pipe, &map, &err), TS_ERR_IO);
    expect_says(&err, "pipe: a pipe, but a file is needed");
    cr_expect_eq(ts_file_read("/dev/zero", 10, &text, &err), TS_ERR_IO);
    expect_says(&err, "/dev/zero: a device, but a file is needed");
    cr_expect_eq(ts_file_read(folder, 10, &text, &err), TS_ERR_IO);
    expect_says(&err, "a folder, but a file is needed");
    cr_expect_eq(ts_file_read("/dev/null", 10, &text, &err), TS_OK, "%s", err.message);
    cr_expect_eq(text.len, 0);
    cr_expect_eq(ts_file_read("/proc/version", 1 << 16, &text, &err), TS_OK, "it claims 0 bytes");
    cr_expect_gt(text.len, 0);
    ts_text_free(&text);
    remove_folder(folder);
}

Test(file, writing_follows_links)
{
    char *folder = make_folder();
    ts_error err = {0};
    struct stat info;
    char target[64];
    cr_assert_eq(ts_folder_make(in_folder(folder, "d"), &err), TS_OK);
    cr_assert_eq(symlink("d/second", in_folder(folder, "first")),
                 0); // to a link to what is not there
    cr_assert_eq(symlink("../file", in_folder(folder, "d/second")), 0);
    for (int round = 0; round < 2; round++) {
        const char *content = round == 0 ? "one" : "two";
        cr_assert_eq(ts_file_check_writable(in_folder(folder, "first"), &err), TS_OK);
        cr_assert_eq(ts_file_write(in_folder(folder, "first"), content, 3, &err), TS_OK, "%s",
                     err.message);
        expect_content(in_folder(folder, "file"), content);
        cr_expect_eq(readlink(in_folder(folder, "first"), target, sizeof target), 8);
        cr_assert_eq(lstat(in_folder(folder, "file"), &info), 0);
        cr_expect(S_ISREG(info.st_mode));
    }
    cr_expect_eq(count_entries(folder), 3);
    cr_assert_eq(symlink("round", in_folder(folder, "round")), 0);
    cr_expect_eq(ts_file_write(in_folder(folder, "round"), "x", 1, &err), TS_ERR_IO);
    expect_says(&err, "round: cannot write: Too many levels of symbolic links");
    remove_folder(folder);
}

Test(file, what_is_no_file_is_written_through_or_refused, .timeout = 10)
{
    char *folder = make_folder(), got[16] = "";
    const char *pipe = in_folder(folder, "pipe"), *null = in_folder(folder, "null");
    ts_error err = {0};
    struct stat info;
    cr_expect_eq(ts_file_write(folder, "x", 1, &err), TS_ERR_IO);
    expect_says(&err, "a folder, but a file is to be written");
    cr_expect_eq(ts_file_write(in_folder(folder, "new/"), "x", 1, &err), TS_ERR_IO);
    expect_says(&err, "new/: names a folder, but a file is to be written");
    cr_expect_eq(ts_file_write("", "x", 1, &err), TS_ERR_IO);
    expect_says(&err, "the path is empty");
    cr_assert_eq(mkfifo(pipe, 0600), 0);
    cr_expect_eq(ts_file_write(pipe, "x", 1, &err), TS_ERR_IO);
    expect_says(&err, "pipe: a pipe that nobody reads");
    int reader = open(pipe, O_RDONLY | O_NONBLOCK);
    cr_assert_geq(reader, 0);
    cr_expect_eq(ts_file_write(pipe, "hello", 5, &err), TS_OK, "%s", err.message);
    cr_expect_eq(read(reader, got, sizeof got), 5);
    cr_expect_str_eq(got, "hello");
    close(reader);
    cr_assert_eq(lstat(pipe, &info), 0);
    cr_expect(S_ISFIFO(info.st_mode), "the pipe is still one");
    cr_assert_eq(symlink("/dev/null", null), 0);
    cr_expect_eq(ts_file_check_writable(null, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_file_write(null, "x", 1, &err), TS_OK, "%s", err.message);
    cr_assert_eq(stat(null, &info), 0);
    cr_expect(S_ISCHR(info.st_mode), "/dev/null is still a device");
    cr_expect_eq(count_entries(folder), 2, "no temporary file is left");
    remove_folder(folder);
}

// Descriptors as a shell opens them for "> file" and "2> file": earlier output stays.
Test(file, an_open_descriptor_is_written_to)
{
    char *folder = make_folder(), path[64];
    const char *name = in_folder(folder, "a");
    ts_error err = {0};
    int fd = open(name, O_WRONLY | O_CREAT, 0600);
    cr_assert_eq(write(fd, "first ", 6), 6);
    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    cr_assert_eq(ts_file_write(path, "second", 6, &err), TS_OK, "%s", err.message);
    expect_content(name, "first second");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    cr_assert_eq(ts_file_write(path, " third", 6, &err), TS_OK, "%s", err.message);
    expect_content(name, "first second third");
    close(fd);
    cr_expect_eq(ts_file_write(path, "x", 1, &err), TS_ERR_IO);
    expect_says(&err, "Bad file descriptor");
    remove_folder(folder);
}

Test(file, permissions_and_owner_are_kept)
{
    char *folder = make_folder();
    const char *path = in_folder(folder, "a");
    ts_error err = {0};
    struct stat info;
    cr_assert_eq(ts_file_write(path, "old", 3, &err), TS_OK);
    chmod(path, 0606);
    if (geteuid() == 0) {
        cr_assert_eq(chown(path, 65534, 65533), 0);
    }
    uid_t owner = geteuid() == 0 ? 65534 : geteuid();
    cr_assert_eq(ts_file_write(path, "new", 3, &err), TS_OK);
    cr_assert_eq(stat(path, &info), 0);
    cr_expect_eq(info.st_mode & 07777, 0606);
    cr_expect_eq(info.st_uid, owner);
    expect_content(path, "new");
    remove_folder(folder);
}

// The next write deletes a temporary file if the process that made it is gone, and no other.
Test(file, what_killed_processes_left_is_removed)
{
    char *folder = make_folder(), name[64];
    ts_error err = {0};
    pid_t gone = fork();
    if (gone == 0) {
        _exit(0);
    }
    waitpid(gone, NULL, 0);
    pid_t pids[] = {gone, getpid(), getppid()}; // ours can only be left by another container
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "a.tmp-%ld-0", (long)pids[i]);
        cr_assert_eq(ts_file_write_plain(in_folder(folder, name), "x", 1, &err), TS_OK);
    }
    snprintf(name, sizeof name, "b.tmp-%ld-0", (long)gone); // of another file
    cr_assert_eq(ts_file_write_plain(in_folder(folder, name), "x", 1, &err), TS_OK);
    cr_assert_eq(ts_file_write_plain(in_folder(folder, "a.tmp-mine"), "x", 1, &err), TS_OK);
    cr_assert_eq(ts_file_write(in_folder(folder, "a"), "new", 3, &err), TS_OK, "%s", err.message);
    cr_expect_eq(count_entries(folder), 4, "a, its parent process's, b's and what a user named");
    remove_folder(folder);
}

Test(file, long_names)
{
    char *folder = make_folder(), name[300], *far = malloc(6000);
    ts_error err = {0};
    memset(name, 'n', sizeof name);
    name[255] = '\0'; // the longest there may be
    cr_expect_eq(ts_file_write(in_folder(folder, name), "x", 1, &err), TS_OK, "%s", err.message);
    expect_content(in_folder(folder, name), "x");
    cr_expect_eq(count_entries(folder), 1);
    name[255] = 'n', name[256] = '\0';
    cr_expect_eq(ts_file_write(in_folder(folder, name), "x", 1, &err), TS_ERR_IO);
    expect_says(&err, "File name too long");
    memset(far, 'f', 5999);
    far[5999] = '\0';
    cr_expect_eq(ts_file_write(far, "x", 1, &err), TS_ERR_IO);
    expect_says(&err, "cannot write: File name too long");
    cr_expect_eq(ts_folder_make(far, &err), TS_ERR_IO);
    expect_says(&err, "File name too long");
    free(far);
    remove_folder(folder);
}

Test(file, a_folder_where_a_file_is)
{
    char *folder = make_folder();
    ts_error err = {0};
    cr_assert_eq(ts_file_write(in_folder(folder, "a"), "x", 1, &err), TS_OK);
    cr_expect_eq(ts_folder_make(in_folder(folder, "a"), &err), TS_ERR_IO);
    expect_says(&err, "a: cannot create the folder: a file of that name is there");
    cr_expect_eq(ts_folder_make(in_folder(folder, "a/b/c"), &err), TS_ERR_IO);
    expect_says(&err, "a: cannot create the folder: a file of that name is there");
    cr_expect_eq(ts_folder_make("", &err), TS_ERR_IO);
    expect_says(&err, "the path is empty");
    remove_folder(folder);
}

// A process that rewrites one file without end is killed again and again. The file must always have
// one whole content.
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
