// Measured choices are kept in the process and in a file on disk, next to the files of other
// programs. They are used only if the file is valid and written for the same shaders.
#include "ops/choices.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "device.h"
#include "gpu/cache.h"

#include <string.h>

static char root[64];

static void make_root(void)
{
    snprintf(root, sizeof root, "/tmp/tinysft-choices-XXXXXX");
    cr_assert_not_null(mkdtemp(root));
    setenv("TINYSFT_CACHE_DIR", root, 1);
}

static void remove_root(void)
{
    MUST(ts_folder_remove(root, err));
}

TestSuite(choices, .init = make_root, .fini = remove_root);

static const ts_choice one = {
    .product = "one", .count = 2, .chosen = 1, .candidates = {{"a \"rule\"", 0.25}, {"b", 0.1}}};
static const ts_choice two = {
    .product = "two", .count = 1, .chosen = 0, .candidates = {{"a", 3e-7}}};

static void check_one(ts_gpu *gpu)
{
    const ts_choice *choice = ts_choices_find(gpu, "one");
    cr_assert_not_null(choice);
    cr_assert_eq(choice->count, 2);
    cr_assert_eq(choice->chosen, 1);
    cr_assert_str_eq(choice->candidates[0].name, "a \"rule\"");
    cr_assert_eq(choice->candidates[0].seconds, 0.25);
    cr_assert_str_eq(choice->candidates[1].name, "b");
    cr_assert_eq(choice->candidates[1].seconds, 0.1);
}

static ts_text file_of(ts_gpu *gpu)
{
    ts_text path = {0};
    MUST(ts_path_join(ts_gpu_cache_folder(gpu), "choices.json", &path, err));
    return path;
}

Test(choices, are_found_again)
{
    ts_gpu *gpu = test_gpu_open();
    cr_assert_null(ts_choices_find(gpu, "one"));
    cr_assert_eq(ts_choices_verdict(gpu, "gemm_vec"), TS_VERDICT_NONE);
    ts_choices_keep(gpu, &two);
    ts_choice changed = one;
    changed.chosen = 0;
    ts_choices_keep(gpu, &changed);
    ts_choices_keep(gpu, &one); // in its place
    ts_choices_judge(gpu, "gemm_vec", TS_VERDICT_BROKEN);
    ts_choices_judge(gpu, "gemm_simd", TS_VERDICT_PASS);
    ts_choices_judge(gpu, "rope", TS_VERDICT_SLOW);
    ts_choices_judge(gpu, "rope", TS_VERDICT_NONE);
    check_one(gpu);
    test_gpu_close(gpu);

    gpu = test_gpu_open();
    check_one(gpu);
    cr_assert_eq(ts_choices_find(gpu, "two")->candidates[0].seconds, 3e-7);
    cr_assert_null(ts_choices_find(gpu, "three"));
    cr_assert_eq(ts_choices_verdict(gpu, "gemm_vec"), TS_VERDICT_BROKEN);
    cr_assert_eq(ts_choices_verdict(gpu, "gemm_simd"), TS_VERDICT_PASS);
    cr_assert_eq(ts_choices_verdict(gpu, "rope"), TS_VERDICT_NONE);
    test_gpu_close(gpu);
}

Test(choices, two_programs_lose_nothing)
{
    ts_gpu *first = test_gpu_open(), *second = test_gpu_open();
    cr_assert_null(ts_choices_find(first, "one"));
    cr_assert_null(ts_choices_find(second, "one"));
    ts_choices_keep(first, &one);
    ts_choices_keep(second, &two);
    test_gpu_close(first);
    test_gpu_close(second);
    first = test_gpu_open();
    check_one(first);
    cr_assert_not_null(ts_choices_find(first, "two"));
    test_gpu_close(first);
}

Test(choices, without_a_folder_last_as_long_as_the_device)
{
    setenv("TINYSFT_CACHE_DIR", "off", 1);
    ts_gpu *gpu = test_gpu_open();
    ts_choices_keep(gpu, &one);
    check_one(gpu);
    test_gpu_close(gpu);
    gpu = test_gpu_open();
    cr_assert_null(ts_choices_find(gpu, "one"));
    test_gpu_close(gpu);
}

// Replaces the first `from` in the file by `to`; the file must hold it.
static void edit(const char *path, const ts_text *whole, const char *from, const char *to)
{
    ts_text edited = {0};
    const char *at = strstr(whole->bytes, from);
    cr_assert_not_null(at, "%s in %s", from, whole->bytes);
    MUST(ts_text_append(&edited, whole->bytes, (size_t)(at - whole->bytes), err));
    MUST(ts_text_format(&edited, err, "%s%s", to, at + strlen(from)));
    MUST(ts_file_write(path, edited.bytes, edited.len, err));
    ts_text_free(&edited);
}

Test(choices, a_wrong_file_is_not_believed_at_all)
{
    static const char *const edits[][2] = {
        {"\"format\"", "\"formal\""},
        {":\t1,", ":\t2,"},                        // the format
        {"\"shaders\":\t\"", "\"shaders\":\t\"0"}, // another program's
        {"0.25", "-1"},
        {"0.25", "0"},
        {"0.25", "\"fast\""},
        {"0.25", "1e999"},
        {"\"chosen\":\t\"b\"", "\"chosen\":\t\"c\""},
        {"\"chosen\":\t\"b\"", "\"chosen\":\t7"},
        {"\"b\":", "\"a \\\"rule\\\"\":"}, // twice
        {"\"b\":", "\"\":"},
        {"\"b\":", "\"a name that is longer than any candidate's\":"},
        {"\"one\"", "\"\""},
        {"\"one\"", "null"},
        {"\"PASS\"", "\"FINE\""},
        {"\"PASS\"", "1"},
        {"\"verdicts\"", "\"Verdicts\""},
        {"\"products\"", "\"Products\""},
        {"}", ""},
    };
    ts_gpu *gpu = test_gpu_open();
    ts_text path = file_of(gpu), whole = {0};
    ts_choices_judge(gpu, "gemm_vec", TS_VERDICT_PASS);
    ts_choices_keep(gpu, &two);
    ts_choices_keep(gpu, &one);
    test_gpu_close(gpu);
    MUST(ts_file_read(path.bytes, 1 << 20, &whole, err));
    for (size_t i = 0; i < TS_COUNT(edits); i++) {
        edit(path.bytes, &whole, edits[i][0], edits[i][1]);
        gpu = test_gpu_open();
        cr_expect_null(ts_choices_find(gpu, "two"), "%s to %s", edits[i][0], edits[i][1]);
        cr_expect_eq(ts_choices_verdict(gpu, "gemm_vec"), TS_VERDICT_NONE, "%s to %s", edits[i][0],
                     edits[i][1]);
        test_gpu_close(gpu);
    }
    gpu = test_gpu_open();
    ts_choices_keep(gpu, &one); // replaces the wrong file
    test_gpu_close(gpu);
    gpu = test_gpu_open();
    check_one(gpu);
    test_gpu_close(gpu);
    ts_text_free(&path);
    ts_text_free(&whole);
}
