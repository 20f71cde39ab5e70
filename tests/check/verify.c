// The reference cases against this device: they must hold, and with one number changed they must
// not. Also what is said of cases that are no cases.
#include "check/verify.h"

#include "base/file.h"
#include "base/memory.h"
#include "data/safetensors.h"
#include "device.h"

#include <string.h>

#define GOLDEN_FOLDER SHARED_FOLDER "/golden"

static void need_golden(void)
{
    if (!ts_folder_exists(GOLDEN_FOLDER)) {
        cr_skip_test("needs " GOLDEN_FOLDER);
    }
}

static void check_case(const char *name)
{
    char path[512];
    ts_verify_result result;
    need_golden();
    snprintf(path, sizeof path, "%s/%s", GOLDEN_FOLDER, name);
    ts_gpu *gpu = test_gpu_open();
    MUST(ts_verify(gpu, &(ts_verify_params){.folder = path}, &result, err));
    for (size_t i = 0; i < result.count; i++) {
        const ts_verify_row *row = &result.rows[i];
        cr_expect(row->tolerance == 0 || row->error <= row->tolerance,
                  "%s: %s: %.2e, tolerance %.0e", name, row->name, row->error, row->tolerance);
    }
    cr_assert(result.passed);
    cr_assert_geq(result.count, 5);
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

static void change(ts_dtype dtype, void *bytes, uint64_t index, double delta)
{
    cr_assert(dtype == TS_F32 || dtype == TS_F64);
    if (dtype == TS_F32) {
        ((float *)bytes)[index] += (float)delta;
    } else {
        ((double *)bytes)[index] += delta;
    }
}

// A copy of nano under /tmp whose golden tensor `name` has its element `index` changed by `delta`.
// Returns the folder, which the caller removes.
static char *corrupted_case(const char *name, uint64_t index, double delta)
{
    static char folder[64];
    char command[1200], path[128];
    ts_safetensors *file = NULL;
    ts_text bytes = {0};
    snprintf(folder, sizeof folder, "/tmp/tinysft-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(command, sizeof command, "cp -r --no-preserve=mode '%s/nano/.' '%s'", GOLDEN_FOLDER,
             folder);
    cr_assert_eq(system(command), 0);
    snprintf(path, sizeof path, "%s/golden.safetensors", folder);
    MUST(ts_safetensors_open(path, &file, err));
    size_t count = ts_safetensors_count(file);
    ts_tensor *tensors = calloc(count, sizeof *tensors);
    unsigned char *changed = NULL;
    for (size_t i = 0; i < count; i++) {
        tensors[i] = *ts_safetensors_at(file, i);
        if (strcmp(tensors[i].name, name) == 0) {
            changed = malloc(tensors[i].len);
            memcpy(changed, tensors[i].bytes, tensors[i].len);
            change(tensors[i].dtype, changed, index, delta);
            tensors[i].bytes = changed;
        }
    }
    cr_assert_not_null(changed, "no tensor %s", name);
    MUST(ts_safetensors_serialise(tensors, count, &bytes, err));
    MUST(ts_file_write_plain(path, bytes.bytes, bytes.len, err));
    free(tensors);
    free(changed);
    ts_text_free(&bytes);
    ts_safetensors_close(file);
    return folder;
}

Test(verify, one_changed_number_is_noticed)
{
    static const struct {
        const char *tensor, *row; // what is changed, and which row must notice
        uint64_t index;
        double delta;
    } changes[] = {
        {"micro0.logits", "logits", 3, 0.1},
        {"grad.base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", "gradients", 1,
         0.01},
        {"losses", "initial loss", 0, 1e-4},
        {"losses", "losses of all steps", 2, 1e-3},
        {"lrs", "learning rates", 1, 1e-9},
        {"losses", "", 0, 0}, // nothing: it is the change that does it, not the copy
    };
    need_golden();
    ts_gpu *gpu = test_gpu_open();
    for (size_t i = 0; i < TS_COUNT(changes); i++) {
        char *folder = corrupted_case(changes[i].tensor, changes[i].index, changes[i].delta);
        ts_verify_result result;
        bool noticed = false;
        MUST(ts_verify(gpu, &(ts_verify_params){.folder = folder}, &result, err));
        for (size_t r = 0; r < result.count; r++) {
            const ts_verify_row *row = &result.rows[r];
            noticed |= row->tolerance > 0 && row->error > row->tolerance &&
                       strncmp(row->name, changes[i].row, strlen(changes[i].row)) == 0;
        }
        cr_expect_eq(result.passed, changes[i].delta == 0, "%s", changes[i].tensor);
        cr_expect_eq(noticed, changes[i].delta != 0, "%s", changes[i].tensor);
        MUST(ts_folder_remove(folder, err));
    }
    test_gpu_close(gpu);
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
    cr_assert_not_null(strstr(err.message, "/nonexistent/case.json"), "%s", err.message);
    cr_assert_eq(ts_verify(gpu, &(ts_verify_params){.folder = folder}, &result, &err), TS_ERR_IO);
    MUST(ts_folder_remove(folder, err));
    test_gpu_close(gpu);
}
