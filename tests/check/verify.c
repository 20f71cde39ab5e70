// Runs the shared reference cases on this device, where they are beside the repository. Also the
// messages for folders that hold no case.
#include "check/verify.h"

#include "base/file.h"
#include "device.h"

#include <string.h>

#define GOLDEN_FOLDER SHARED_FOLDER "/golden"

static void need_golden(void)
{
    if (!ts_folder_exists(GOLDEN_FOLDER)) {
        cr_skip_test("needs " GOLDEN_FOLDER);
    }
}

static void check_in(ts_gpu *gpu, const char *name, ts_precision precision)
{
    char path[512];
    ts_verify_result result;
    snprintf(path, sizeof path, "%s/%s", GOLDEN_FOLDER, name);
    MUST(ts_verify(gpu, &(ts_verify_params){.folder = path, .precision = precision}, &result, err));
    for (size_t i = 0; i < result.count; i++) {
        const ts_verify_row *row = &result.rows[i];
        cr_expect(row->tolerance == 0 || row->error <= row->tolerance,
                  "%s, %s: %s: %.2e, tolerance %.0e", name, ts_precision_name(precision), row->name,
                  row->error, row->tolerance);
    }
    cr_assert(result.passed);
    cr_assert_geq(result.count, 5);
}

// In every precision that the device offers; on a CPU, where matrix units take minutes, the other
// cases in f32 alone.
static void check_case(const char *name)
{
    need_golden();
    ts_gpu *gpu = test_gpu_open();
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    bool patient = !ts_gpu_is_cpu(caps) || strcmp(name, "all_linear") == 0;
    check_in(gpu, name, TS_PRECISION_F32);
    for (ts_precision p = TS_PRECISION_F16; p <= TS_PRECISION_BF16 && patient; p++) {
        if (ts_precision_offered(caps, p)) {
            check_in(gpu, name, p);
        }
    }
    test_gpu_close(gpu);
}

Test(verify, nano)
{
    check_case("nano");
}

Test(verify, gqa)
{
    check_case("gqa");
}

Test(verify, all_linear)
{
    check_case("all_linear");
}

// Llama 3.1's rope scaling, tied, frequencies in float32.
Test(verify, llama3)
{
    check_case("llama3");
}

// Biases of q, k and v; seven heads on one.
Test(verify, qwen2)
{
    check_case("qwen2");
}

// Norms of the heads of q and k; heads wider than the hidden size.
Test(verify, qwen3)
{
    check_case("qwen3");
}

// Norms of 1 + w before and behind each block, a window in six of seven layers, two rotary bases,
// GELU, a scaled embedding.
Test(verify, gemma3)
{
    check_case("gemma3");
}

// Pairs of answers, compared with the model without its adapter.
Test(verify, dpo)
{
    check_case("dpo");
}

Test(verify, says_what_is_missing)
{
    ts_gpu *gpu = test_gpu_open();
    ts_verify_result result;
    ts_error err = {0};
    char folder[] = "/tmp/tinysft-test-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(ts_verify(gpu, &(ts_verify_params){.folder = "/nonexistent"}, &result, &err),
                 TS_ERR_IO);
    cr_assert_not_null(strstr(err.message, "/nonexistent: no reference case is here"), "%s", err.message);
    cr_assert_eq(ts_verify(gpu, &(ts_verify_params){.folder = folder}, &result, &err), TS_ERR_IO);
    MUST(ts_folder_remove(folder, err));
    test_gpu_close(gpu);
}
