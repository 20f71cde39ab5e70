// The pipeline cache on disk: it is found again, never used when it is damaged, and never the cause
// of a failure.
#include "gpu/cache.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "device.h"
#include "ops/kernels.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[64];

static void make_root(void)
{
    snprintf(root, sizeof root, "/tmp/tinysft-cache-XXXXXX");
    cr_assert_not_null(mkdtemp(root));
    setenv("TINYSFT_CACHE_DIR", root, 1);
}

static void remove_root(void)
{
    MUST(ts_folder_remove(root, err));
}

TestSuite(cache, .init = make_root, .fini = remove_root);

// Opens the device, adds two numbers on it, and closes it: one pipeline.
static ts_pipeline_stats run(void)
{
    ts_gpu *gpu = test_gpu_open();
    ts_gpu_arena arena = {.gpu = gpu, .block_bytes = 4096};
    ts_recorder *recorder;
    ts_view x, y;
    float value = 3;
    MUST(ts_recorder_open(gpu, &recorder, err));
    MUST(ts_gpu_alloc(&arena, TS_F32, 1, &x, err));
    MUST(ts_gpu_alloc(&arena, TS_F32, 1, &y, err));
    MUST(ts_gpu_upload(gpu, x, &value, sizeof value, err));
    MUST(ts_gpu_upload(gpu, y, &value, sizeof value, err));
    ts_add(recorder, &(struct ts_add_args){.x = x, .y = y, .count = 1});
    MUST(ts_recorder_run(recorder, err));
    MUST(ts_gpu_download(gpu, y, &value, sizeof value, err));
    cr_assert_eq(value, 6);
    ts_pipeline_stats stats = ts_gpu_pipeline_statistics(gpu);
    cr_assert_eq(stats.built, 1);
    cr_assert_geq(stats.seconds, 0);
    ts_recorder_close(recorder);
    ts_gpu_arena_close(&arena);
    test_gpu_close(gpu);
    return stats;
}

// The path of the only pipelines.bin there is, and how many other files.
static ts_text find_file(size_t *others)
{
    ts_text path = {0};
    DIR *devices = opendir(root), *files = NULL;
    *others = 0;
    for (struct dirent *device; devices != NULL && (device = readdir(devices)) != NULL;) {
        ts_text folder = {0};
        if (device->d_name[0] == '.') {
            continue;
        }
        MUST(ts_path_join(root, device->d_name, &folder, err));
        files = opendir(folder.bytes);
        for (struct dirent *file; files != NULL && (file = readdir(files)) != NULL;) {
            if (strcmp(file->d_name, "pipelines.bin") == 0) {
                MUST(ts_path_join(folder.bytes, file->d_name, &path, err));
            } else if (file->d_name[0] != '.') {
                (*others)++;
            }
        }
        closedir(files);
        ts_text_free(&folder);
    }
    closedir(devices);
    return path;
}

Test(cache, pipelines_are_found_again)
{
    size_t others;
    cr_assert_eq(run().cached_bytes, 0);
    ts_text path = find_file(&others), before = {0}, after = {0};
    cr_assert_not_null(path.bytes);
    MUST(ts_file_read(path.bytes, 1 << 24, &before, err));
    cr_assert_gt(run().cached_bytes, 0);
    cr_assert_lt(run().cached_bytes, before.len);
    MUST(ts_file_read(path.bytes, 1 << 24, &after, err));
    cr_assert_eq(before.len, after.len);
    ts_text_free(&path);
    path = find_file(&others);
    cr_assert_eq(others, 0, "nothing temporary stays");
    ts_text_free(&path);
    ts_text_free(&before);
    ts_text_free(&after);
}

Test(cache, the_folder_names_the_device)
{
    ts_gpu *gpu = test_gpu_open(), *mirror = NULL;
    const char *folder = ts_gpu_cache_folder(gpu);
    cr_assert_not_null(folder);
    cr_assert_eq(strncmp(folder, root, strlen(root)), 0, "%s", folder);
    const char *name = ts_path_name(folder);
    char device[64], driver[64]; // as far as they are plain
    sscanf(ts_gpu_capabilities(gpu)->name, "%63[a-zA-Z0-9]", device);
    sscanf(ts_gpu_capabilities(gpu)->driver, "%63[a-zA-Z0-9]", driver);
    cr_assert_not_null(strstr(name, device), "%s", name);
    cr_assert_not_null(strstr(name, driver), "%s", name);
    cr_assert_leq(strlen(name), 255);
    cr_assert_eq(strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"),
                 strlen(name), "%s", name);
    cr_assert_not(ts_folder_exists(folder), "made only when there is something to keep");
    test_gpu_close(gpu);
    MUST(ts_gpu_open_mirror(&mirror, err));
    cr_assert_null(ts_gpu_cache_folder(mirror));
    ts_gpu_close(mirror);
}

// Files cut inside each field, and files with each region damaged: they are never used, and the run
// leaves a whole file again.
Test(cache, nothing_damaged_is_believed)
{
    size_t others;
    run();
    ts_text path = find_file(&others), whole = {0}, again = {0};
    MUST(ts_file_read(path.bytes, 1 << 24, &whole, err));
    static const size_t prefixes[] = {0, 1, 8, 16, 24, 87, 88, 100, 119};
    for (size_t i = 0; i < TS_COUNT(prefixes); i++) {
        cr_assert_lt(prefixes[i], whole.len);
        MUST(ts_file_write(path.bytes, whole.bytes, prefixes[i], err));
        cr_assert_eq(run().cached_bytes, 0, "%zu bytes of it", prefixes[i]);
    }
    // magic, version, length, checksum, the driver's header, its last byte
    const size_t damaged[] = {0, 8, 16, 24, 88, whole.len - 1};
    for (size_t i = 0; i < TS_COUNT(damaged); i++) {
        whole.bytes[damaged[i]] ^= 0x40;
        MUST(ts_file_write(path.bytes, whole.bytes, whole.len, err));
        cr_assert_eq(run().cached_bytes, 0, "byte %zu flipped", damaged[i]);
        whole.bytes[damaged[i]] ^= 0x40;
    }
    MUST(ts_file_read(path.bytes, 1 << 24, &again, err));
    cr_assert_eq(again.len, whole.len);
    cr_assert_gt(run().cached_bytes, 0);
    ts_text_free(&path);
    ts_text_free(&whole);
    ts_text_free(&again);
}

// A valid file that another driver wrote is not used. The UUID in the driver's own header tells.
Test(cache, another_drivers_file_is_not_believed)
{
    enum { HEADER = 88, CHECKSUM = 24, UUID = HEADER + 16 };
    size_t others;
    char sha256[65];
    run();
    ts_text path = find_file(&others), file = {0};
    MUST(ts_file_read(path.bytes, 1 << 24, &file, err));
    file.bytes[UUID] ^= 1;
    ts_sha256_hex(file.bytes + HEADER, file.len - HEADER, sha256);
    memcpy(file.bytes + CHECKSUM, sha256, 64);
    MUST(ts_file_write(path.bytes, file.bytes, file.len, err));
    cr_assert_eq(run().cached_bytes, 0);
    ts_text_free(&path);
    ts_text_free(&file);
}

Test(cache, stops_nothing_where_it_cannot_be_written)
{
    ts_text place = {0};
    MUST(ts_path_join(root, "file", &place, err));
    MUST(ts_file_write(place.bytes, "x", 1, err)); // a file where the folder would be
    setenv("TINYSFT_CACHE_DIR", place.bytes, 1);
    cr_assert_eq(run().cached_bytes, 0);
    setenv("TINYSFT_CACHE_DIR", "/proc/no/such/place", 1);
    cr_assert_eq(run().cached_bytes, 0);
    ts_text_free(&place);
}

Test(cache, places_in_their_order)
{
    static const struct {
        const char *own, *xdg, *home, *starts;
    } cases[] = {
        {"off", "/tmp/x", "/tmp/h", NULL},
        {"/tmp/o", "/tmp/x", "/tmp/h", "/tmp/o/"},
        {"", "/tmp/x", "/tmp/h", "/tmp/x/tinysft-vk/"},
        {NULL, "/tmp/x", "/tmp/h", "/tmp/x/tinysft-vk/"},
        {NULL, "relative", "/tmp/h", "/tmp/h/.cache/tinysft-vk/"},
        {NULL, NULL, "/tmp/h", "/tmp/h/.cache/tinysft-vk/"},
        {NULL, NULL, "", NULL},
        {NULL, NULL, NULL, NULL},
    };
    static const char *const names[] = {"TINYSFT_CACHE_DIR", "XDG_CACHE_HOME", "HOME"};
    setenv("MESA_SHADER_CACHE_DISABLE", "true", 1); // it would make these folders
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        const char *values[] = {cases[i].own, cases[i].xdg, cases[i].home};
        for (size_t j = 0; j < TS_COUNT(values); j++) {
            values[j] != NULL ? setenv(names[j], values[j], 1) : unsetenv(names[j]);
        }
        ts_gpu *gpu = test_gpu_open();
        const char *folder = ts_gpu_cache_folder(gpu), *starts = cases[i].starts;
        cr_expect_eq(folder == NULL, starts == NULL, "case %zu", i);
        if (folder != NULL && starts != NULL) {
            cr_expect_eq(strncmp(folder, starts, strlen(starts)), 0, "case %zu: %s", i, folder);
        }
        test_gpu_close(gpu);
    }
}

Test(cache, two_programs_at_once)
{
    enum { PROGRAMS = 3 };
    pid_t programs[PROGRAMS];
    size_t others;
    for (int i = 0; i < PROGRAMS; i++) {
        programs[i] = fork();
        cr_assert_geq(programs[i], 0);
        if (programs[i] == 0) {
            alarm(120); // a failed assertion in this child would wait for Criterion for ever
            run();
            _exit(0);
        }
    }
    for (int i = 0; i < PROGRAMS; i++) {
        int code;
        cr_assert_eq(waitpid(programs[i], &code, 0), programs[i]);
        cr_assert(WIFEXITED(code) && WEXITSTATUS(code) == 0);
    }
    ts_text path = find_file(&others);
    cr_assert_not_null(path.bytes);
    cr_assert_eq(others, 0);
    ts_text_free(&path);
    cr_assert_gt(run().cached_bytes, 0);
}
