// Whatever a caller does wrong is an error and no crash.
#include "api_test.h"

#include <math.h>

Test(misuse, handles_that_are_null)
{
    const tinysft_training_params rows = {.model = MODEL, .data = "rows.jsonl"};
    const tinysft_model_params model_params = {.model = MODEL};
    const tinysft_message hello = {TINYSFT_USER, "Hello"};
    const tinysft_generate_params ask = {.messages = &hello, .message_count = 1};
    const tinysft_verify_params golden = {.folder = "case"};
    tinysft_training *training = NULL;
    tinysft_model *model = NULL;
    tinysft_evaluation *evaluation = NULL;
    tinysft_training_plan plan;
    tinysft_training_state state;
    tinysft_model_info info;
    tinysft_evaluated evaluated;
    tinysft_comparison found;
    tinysft_verify_result result;
    const tinysft_status wrong = TINYSFT_ERR_ARGUMENT;
    REFUSED(tinysft_device_list(NULL, NULL, 3, NULL, NULL, &error), wrong, "out is NULL");
    REFUSED(tinysft_device_open(NULL, NULL, &error), wrong, "out is NULL");
    REFUSED(tinysft_training_open(NULL, NULL, &training, &error), wrong, "params is NULL");
    REFUSED(tinysft_training_open(NULL, &rows, NULL, &error), wrong, "out is NULL");
    REFUSED(tinysft_training_get_plan(NULL, &plan, &error), wrong, "the training is NULL");
    REFUSED(tinysft_training_run(NULL, NULL, NULL, &error), wrong, "the training is NULL");
    REFUSED(tinysft_training_prepare(NULL, &error), wrong, "the training is NULL");
    REFUSED(tinysft_training_get_state(NULL, &state, &error), wrong, "the training is NULL");
    REFUSED(tinysft_training_get_row(NULL, 0, NULL, NULL, NULL, &error), wrong,
            "the training is NULL");
    REFUSED(tinysft_model_open(NULL, &model_params, &model, &error), wrong, "the device is NULL");
    REFUSED(tinysft_model_open(NULL, NULL, &model, &error), wrong, "params is NULL");
    REFUSED(tinysft_model_describe(NULL, &info, &error), wrong, "the model is NULL");
    REFUSED(tinysft_model_load_adapter(NULL, "out", &error), wrong, "the model is NULL");
    REFUSED(tinysft_model_save_adapter(NULL, "out", &error), wrong, "the model is NULL");
    REFUSED(tinysft_generate(NULL, &ask, NULL, &error), wrong, "the model is NULL");
    REFUSED(tinysft_generate(NULL, NULL, NULL, &error), wrong, "params is NULL");
    REFUSED(tinysft_model_load(NULL, &error), wrong, "the model is NULL");
    REFUSED(tinysft_evaluation_open(NULL, NULL, &evaluation, &error), wrong, "params is NULL");
    REFUSED(tinysft_evaluation_run(NULL, NULL, NULL, &error), wrong, "the evaluation is NULL");
    REFUSED(tinysft_evaluation_compare(NULL, false, &found, &error), wrong,
            "the evaluation is NULL");
    REFUSED(tinysft_evaluation_get(NULL, 0, &evaluated, &error), wrong, "the evaluation is NULL");
    REFUSED(tinysft_evaluation_write(NULL, &(tinysft_report_params){0}, &error), wrong,
            "the evaluation is NULL");
    REFUSED(tinysft_export(NULL, NULL, NULL, &error), wrong, "params is NULL");
    const tinysft_export_params nowhere = {.model = "m", .format = "hf"};
    REFUSED(tinysft_export(NULL, &nowhere, NULL, &error), wrong, "no path is named");
    const tinysft_export_params onnx = {.model = "m", .format = "onnx", .path = "p"};
    REFUSED(tinysft_export(NULL, &onnx, NULL, &error), wrong, "expected hf, gguf, gguf-adapter");
    REFUSED(tinysft_verify(NULL, &golden, &result, &error), wrong, "the device is NULL");
    cr_assert_null(tinysft_device_describe(NULL));
    cr_assert_eq(tinysft_evaluation_count(NULL), 0);
    cr_assert_null(tinysft_metric_label(TINYSFT_METRICS));
    cr_assert(training == NULL && model == NULL && evaluation == NULL);
}

Test(misuse, closing_nothing_and_closing_twice)
{
    tinysft_device *device = NULL;
    tinysft_training *training = NULL;
    tinysft_model *model = NULL;
    tinysft_evaluation *evaluation = NULL;
    for (int i = 0; i < 2; i++) {
        tinysft_evaluation_close(&evaluation);
        tinysft_model_close(&model);
        tinysft_training_close(&training);
        tinysft_device_close(&device);
    }
    tinysft_evaluation_close(NULL);
    tinysft_model_close(NULL);
    tinysft_training_close(NULL);
    tinysft_device_close(NULL);
    tinysft_answer_free(NULL);
    tinysft_answer_free(&(tinysft_answer){0});
}

Test(misuse, without_a_place_for_the_error)
{
    tinysft_training *training = NULL;
    cr_assert_eq(tinysft_training_run(NULL, NULL, NULL, NULL), TINYSFT_ERR_ARGUMENT);
    cr_assert_eq(tinysft_training_open(NULL, &(tinysft_training_params){0}, &training, NULL),
                 TINYSFT_ERR_ARGUMENT);
    cr_assert_eq(tinysft_training_open(
                     NULL, &(tinysft_training_params){.model = "/nowhere", .data = "/nowhere"},
                     &training, NULL),
                 TINYSFT_ERR_IO);
}

Test(misuse, parameters_that_make_no_sense)
{
    folder_make();
    tinysft_training *training = NULL;
    const char *data = rows_make();
    const struct {
        tinysft_training_params params;
        const char *words;
    } cases[] = {
        {{0}, "no data is named"},
        {{.data = data}, "no model is named"},
        {{.model = MODEL, .data = data, .epochs = NAN}, "--epochs nan"},
        {{.model = MODEL, .data = data, .epochs = -1}, "--epochs 0"},
        {{.model = MODEL, .data = data, .learning_rate = INFINITY}, "--lr inf"},
        {{.model = MODEL, .data = data, .lora_dropout = -0.5}, "--lora-dropout -0.5"},
        {{.model = MODEL, .data = data, .adam_beta1 = 1}, "--adam-beta1 1"},
        {{.model = MODEL, .data = data, .rank = 1u << 31}, "--rank"},
        {{.model = MODEL, .data = data, .seed = INT64_MAX}, "--seed"},
        {{.model = MODEL, .data = data, .target_modules = "q_porj"}, "q_porj"},
        {{.model = MODEL, .data = data, .schedule = "straight"}, "straight"},
        {{.model = MODEL, .data = data, .schedule = "cosine", .min_lr_ratio = 1.5},
         "--min-lr-ratio 1.5"},
        {{.model = MODEL, .data = data, .loraplus_ratio = -4}, "--loraplus-ratio -4"},
        {{.model = MODEL, .data = data, .min_lr_ratio = 0.5}, "linear has none"},
        {{.model = MODEL, .data = data, .schedule = "cosine", .lr_cycles = 2}, "cosine has none"},
        {{.model = MODEL, .data = data, .train_on = "user"}, "--train-on user"},
        {{.model = MODEL, .data = data, .init_lora = "pissa"}, "--init-lora pissa"},
        {{.model = MODEL, .data = data, .resume = "last", .overwrite = true}, "give one of them"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        REFUSED(tinysft_training_open(NULL, &cases[i].params, &training, &error),
                TINYSFT_ERR_ARGUMENT, cases[i].words);
        cr_assert_null(training);
    }
    folder_remove();
}

Test(misuse, a_training_without_a_device_cannot_run)
{
    folder_make();
    tinysft_training *training = NULL;
    const tinysft_training_params params = {
        .model = MODEL, .data = rows_make(), .output_dir = path_of("out")};
    MUST(tinysft_training_open(NULL, &params, &training, &error));
    REFUSED(tinysft_training_run(training, NULL, NULL, &error), TINYSFT_ERR_ARGUMENT,
            "without a device");
    tinysft_training_close(&training);
    cr_assert_null(training);
    tinysft_training_close(&training);
    folder_remove();
}

Test(misuse, no_driver)
{
    tinysft_device *device = NULL;
    size_t count = 9, chosen = 9;
    setenv("VK_DRIVER_FILES", "/nowhere.json", 1);
    setenv("VK_ICD_FILENAMES", "/nowhere.json", 1);
    REFUSED(tinysft_device_open(NULL, &device, &error), TINYSFT_ERR_DEVICE, "install");
    REFUSED(tinysft_device_list(NULL, NULL, 0, &count, &chosen, &error), TINYSFT_ERR_DEVICE,
            "install");
    cr_assert(device == NULL && count == 0 && chosen == 0);
}

Test(misuse, sweeps_that_make_no_sense)
{
    const tinysft_status wrong = TINYSFT_ERR_ARGUMENT;
    static const char *const axes[] = {"rank", NULL};
    static const char *const values[] = {"4", "8"};
    tinysft_sweep_run runs[] = {{.configuration = 0, .seed = 1, .folder = "/nowhere/a"},
                                {.configuration = 1, .seed = 1, .folder = "/nowhere/b"}};
    tinysft_sweep_params params = {
        .axes = axes, .values = values, .axis_count = 1, .configuration_count = 2};
    tinysft_sweep_result result;
    REFUSED(tinysft_sweep_compare(NULL, &result, &error), wrong, "params is NULL");
    REFUSED(tinysft_sweep_compare(&params, NULL, &error), wrong, "out is NULL");
    REFUSED(tinysft_sweep_compare(&params, &result, &error), wrong, "no run to compare");
    params.runs = runs;
    params.run_count = 2;
    REFUSED(tinysft_sweep_compare(&params, &result, &error), TINYSFT_ERR_IO, "/nowhere/a");
    cr_assert(result.places == NULL && result.verdict == NULL);
    runs[1].configuration = 2;
    REFUSED(tinysft_sweep_compare(&params, &result, &error), wrong, "no such configuration");
    runs[1] = (tinysft_sweep_run){.configuration = 1};
    REFUSED(tinysft_sweep_compare(&params, &result, &error), wrong, "no folder");
    runs[1].folder = "/nowhere/b";
    params.axes = axes + 1;
    REFUSED(tinysft_sweep_compare(&params, &result, &error), wrong, "is NULL");
    tinysft_sweep_result_free(&result);
    tinysft_sweep_result_free(NULL);
}
