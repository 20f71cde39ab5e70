// Several trainings and evaluations on one opened model. Every tensor of the base passes
// ts_upload_tensor or ts_upload_rows on its way to the device; the linker redirects both to this
// file, which counts them (tests/CMakeLists.txt).
#include "api_test.h"
#include "model/upload.h"

#include <math.h>

static unsigned uploads;

ts_status __real_ts_upload_tensor(ts_gpu *gpu, ts_view view, const ts_tensor *tensor,
                                  uint64_t first, ts_error *err);
ts_status __wrap_ts_upload_tensor(ts_gpu *gpu, ts_view view, const ts_tensor *tensor,
                                  uint64_t first, ts_error *err);
ts_status __wrap_ts_upload_tensor(ts_gpu *gpu, ts_view view, const ts_tensor *tensor,
                                  uint64_t first, ts_error *err)
{
    uploads++;
    return __real_ts_upload_tensor(gpu, view, tensor, first, err);
}

ts_status __real_ts_upload_rows(ts_gpu *gpu, ts_view view, const ts_tensor *tensor,
                                uint64_t first_row, const void *bytes, uint64_t len, ts_error *err);
ts_status __wrap_ts_upload_rows(ts_gpu *gpu, ts_view view, const ts_tensor *tensor,
                                uint64_t first_row, const void *bytes, uint64_t len, ts_error *err);
ts_status __wrap_ts_upload_rows(ts_gpu *gpu, ts_view view, const ts_tensor *tensor,
                                uint64_t first_row, const void *bytes, uint64_t len, ts_error *err)
{
    uploads++;
    return __real_ts_upload_rows(gpu, view, tensor, first_row, bytes, len, err);
}

static tinysft_device *device;
static tinysft_model *base;

static void open_base(void)
{
    const char *name = getenv("TINYSFT_DEVICE");
    MUST(tinysft_device_open(&(tinysft_device_params){.device = name != NULL ? name : "0"}, &device,
                             &error));
    MUST(tinysft_model_open(device, &(tinysft_model_params){.model = MODEL, .name = "base"}, &base,
                            &error));
}

static void close_base(void)
{
    tinysft_model_close(&base);
    tinysft_device_close(&device);
}

// Three steps on the opened base, or on the training's own.
static void train(bool shared, const char *out, uint32_t rank)
{
    tinysft_training *training = NULL;
    const tinysft_training_params params = {.model = shared ? NULL : MODEL,
                                            .base = shared ? base : NULL,
                                            .base_model = "base",
                                            .data = path_of("rows.jsonl"),
                                            .output_dir = path_of(out),
                                            .rank = rank,
                                            .max_steps = 3,
                                            .learning_rate = 5e-3};
    MUST(tinysft_training_open(device, &params, &training, &error));
    MUST(tinysft_training_run(training, NULL, NULL, &error));
    tinysft_training_close(&training);
}

static bool same_adapter(const char *a, const char *b)
{
    char command[600];
    snprintf(command, sizeof command,
             "cmp -s %s/%s/adapter_model.safetensors %s/%s/adapter_model.safetensors", folder, a,
             folder, b);
    return system(command) == 0;
}

static void evaluate(const char *adapter, const tinysft_evaluation *known, tinysft_evaluation **out,
                     tinysft_comparison *result)
{
    static const char *const questions[] = {"What do cows eat?", "Hello"};
    const tinysft_evaluation_params params = {
        .questions = questions, .question_count = 2, .max_new_tokens = 4, .base_answers = known};
    if (adapter != NULL) {
        MUST(tinysft_model_load_adapter(base, path_of(adapter), &error));
    }
    MUST(tinysft_evaluation_open(base, &params, out, &error));
    MUST(tinysft_evaluation_run(*out, NULL, NULL, &error));
    MUST(tinysft_evaluation_compare(*out, false, result, &error));
}

Test(shared_base, is_loaded_once_and_changes_no_byte)
{
    folder_make();
    rows_make();
    open_base();
    tinysft_evaluation *alone = NULL, *tuned = NULL, *asked = NULL;
    tinysft_comparison first, second, third;
    evaluate(NULL, NULL, &alone, &first);
    const unsigned once = uploads;
    cr_assert_gt(once, 10u, "the tensors of the base are not counted");
    train(true, "a", 4);
    evaluate("a", alone, &tuned, &second);
    train(true, "b", 8); // takes the adapter away that was evaluated
    train(true, "c", 4);
    cr_expect_eq(uploads, once, "%u tensors were uploaded again", uploads - once);
    cr_expect(same_adapter("a", "c"));
    cr_expect_not(same_adapter("a", "b"));
    train(false, "d", 4); // by itself it learns the same
    cr_expect_eq(uploads, 2 * once);
    cr_expect(same_adapter("a", "d"));
    evaluate("a", NULL, &asked, &third); // asking the base again finds the same
    cr_expect_eq(memcmp(&second.tuned, &third.tuned, sizeof third.tuned), 0);
    cr_expect_eq(memcmp(second.base.rates, third.base.rates, sizeof first.base.rates), 0);
    tinysft_evaluation_close(&asked);
    tinysft_evaluation_close(&tuned);
    tinysft_evaluation_close(&alone);
    close_base();
    folder_remove();
}

Test(shared_base, what_does_not_fit_it_is_refused)
{
    folder_make();
    open_base();
    tinysft_training *training = NULL;
    tinysft_evaluation *alone = NULL, *other = NULL;
    tinysft_comparison result;
    tinysft_training_params params = {.base = base, .model = MODEL, .data = rows_make()};
    REFUSED(tinysft_training_open(device, &params, &training, &error), TINYSFT_ERR_ARGUMENT,
            "open already");
    params.model = NULL;
    params.quantize = "q8_0";
    REFUSED(tinysft_training_open(device, &params, &training, &error), TINYSFT_ERR_ARGUMENT,
            "open already");
    params.quantize = NULL;
    REFUSED(tinysft_training_open(NULL, &params, &training, &error), TINYSFT_ERR_ARGUMENT,
            "another device");
    evaluate(NULL, NULL, &alone, &result);
    const tinysft_evaluation_params wrong = {.questions = (const char *const[]){"Another?"},
                                             .question_count = 1,
                                             .max_new_tokens = 4,
                                             .base_answers = alone};
    REFUSED(tinysft_evaluation_open(base, &wrong, &other, &error), TINYSFT_ERR_ARGUMENT,
            "other questions");
    // The base lives on until the training is closed.
    params.output_dir = path_of("out");
    params.max_steps = 1;
    MUST(tinysft_training_open(device, &params, &training, &error));
    tinysft_evaluation_close(&alone);
    close_base();
    MUST(tinysft_training_run(training, NULL, NULL, &error));
    tinysft_training_close(&training);
    folder_remove();
}

Test(shared_base, a_row_that_is_longer_than_its_texts_is_refused)
{
    folder_make();
    const char *name = getenv("TINYSFT_DEVICE");
    tinysft_training *training = NULL;
    MUST(tinysft_device_open(&(tinysft_device_params){.device = name != NULL ? name : "0"}, &device,
                             &error));
    MUST(tinysft_model_open(device, &(tinysft_model_params){.model = MODEL, .positions = 8}, &base,
                            &error));
    const tinysft_training_params params = {
        .base = base, .data = rows_make(), .output_dir = path_of("out"), .max_steps = 1};
    MUST(tinysft_training_open(device, &params, &training, &error));
    REFUSED(tinysft_training_run(training, NULL, NULL, &error), TINYSFT_ERR_ARGUMENT, "texts of 8");
    tinysft_training_close(&training);
    close_base();
    folder_remove();
}
