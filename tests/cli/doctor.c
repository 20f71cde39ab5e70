// doctor through the program, and training after doctor found a faulty shader.
#include "base/memory.h"
#include "gpu/gpu.h"
#include "ops/attention.h"
#include "ops/choices.h"
#include "program.h"

static char *folder;
static const char *device;

static void begin(void)
{
    folder = test_folder();
    device = getenv("TINYSFT_DEVICE");
    device = device != NULL ? device : "0";
    setenv("TINYSFT_CACHE_DIR", folder, 1);
    test_write(folder, "data.jsonl", "{\"prompt\": \"Hi\", \"completion\": \"Good morning!\"}\n");
}

static void end(void)
{
    test_folder_remove(folder);
}

TestSuite(doctor, .init = begin, .fini = end, .timeout = 600);

static void check_has(const program_result *result, const char *part)
{
    cr_assert_not_null(strstr(result->out, part), "no \"%s\" in:\n%s", part, result->out);
}

static void train(program_result *result)
{
    char data[160], out[160];
    snprintf(data, sizeof data, "%s/data.jsonl", folder);
    snprintf(out, sizeof out, "%s/out", folder);
    RUN(result, "train", "--model", PROJECT_FOLDER "/assets/base", "--data", data, "--output-dir",
        out, "--max-steps", "1", "--device", device);
    if (ts_folder_exists(out)) {
        test_folder_remove(out);
    }
}

// Stores a verdict as if doctor had found it on this device.
static void judge(const char *shader, ts_verdict verdict)
{
    ts_gpu *gpu = NULL;
    ts_error err = {0};
    cr_assert_eq(ts_gpu_open(&(ts_gpu_params){.device = device}, &gpu, &err), TS_OK, "%s",
                 err.message);
    ts_choices_judge(gpu, shader, verdict);
    ts_gpu_close(gpu);
}

Test(doctor, training_says_what_it_leaves_out)
{
    program_result result;
    judge("attention_simd", TS_VERDICT_BROKEN);
    judge("gemv", TS_VERDICT_SLOW);
    train(&result);
    cr_assert_eq(result.code, 0, "%s", result.out);
    check_has(&result, "warning: attention_simd is left out: `tinysft-vk doctor` found it BROKEN");
    check_has(&result, "warning: gemv is left out: `tinysft-vk doctor` found it SLOW");
    judge("rmsnorm", TS_VERDICT_BROKEN);
    train(&result);
    cr_assert_eq(result.code, TS_ERR_SHADER, "%s", result.out);
    check_has(&result, "gets shader rmsnorm wrong");
    RUN(&result, "doctor", "--forget", "--device", device);
    cr_assert_eq(result.code, 0, "%s", result.out);
    check_has(&result, "no shader is left out any more");
    train(&result);
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_null(strstr(result.out, "left out"), "%s", result.out);
}

Test(doctor, writes_a_report)
{
    char path[160];
    program_result result;
    snprintf(path, sizeof path, "%s/report.md", folder);
    RUN(&result, "doctor", "--device", device, "--report", path);
    cr_assert_eq(result.code, 0, "%s", result.out);
    check_has(&result, " 0 BROKEN");
    ts_text report = test_read(folder, "report.md");
    cr_assert_eq(strncmp(report.bytes, "### tinysft-vk doctor\n", 22), 0);
    static const char *const parts[] = {"Vulkan loader 1.", "driver ", "rmsnorm ", "PASS", "adamw"};
    for (size_t i = 0; i < TS_COUNT(parts); i++) {
        cr_assert_not_null(strstr(report.bytes, parts[i]), "no %s in %s", parts[i], report.bytes);
    }
    static const char *const private[] = {"/usr/", "/home/", "/tmp/", "/root"};
    for (size_t i = 0; i < TS_COUNT(private); i++) {
        cr_assert_null(strstr(report.bytes, private[i]), "%s in %s", private[i], report.bytes);
    }
    ts_text_free(&report);
}

Test(doctor, refuses_flags_that_make_no_sense)
{
    program_result result;
    RUN(&result, "doctor", "--device", "no such device");
    cr_assert_eq(result.code, TS_ERR_ARGUMENT, "%s", result.out);
    check_has(&result, "no such device");
    RUN(&result, "doctor", "--help");
    cr_assert_eq(result.code, 0);
    check_has(&result, "--report");
}
