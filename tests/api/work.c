// The library's calls on a real device.
#include "api_test.h"

#include <math.h>

static tinysft_device *open_device(void)
{
    tinysft_device *device = NULL;
    const char *name = getenv("TINYSFT_DEVICE");
    MUST(tinysft_device_open(&(tinysft_device_params){.device = name != NULL ? name : "0"}, &device,
                             &error));
    return device;
}

struct heard {
    unsigned count;
    char text[256];
    tinysft_device **device;
    tinysft_training **training;
};

// Stops the run at its first step. Objects that the run is using cannot be used or closed here.
static tinysft_next stop_at_once(void *user, const tinysft_step *step)
{
    struct heard *heard = user;
    tinysft_model *model = NULL;
    tinysft_error own;
    heard->count++;
    cr_assert_eq(step->steps, 5);
    cr_assert(isfinite(step->loss) && step->loss_steps == step->step);
    cr_assert_eq(
        tinysft_model_open(*heard->device, &(tinysft_model_params){.model = MODEL}, &model, &own),
        TINYSFT_ERR_ARGUMENT);
    cr_assert_not_null(strstr(own.message, "is at work"));
    tinysft_training_close(heard->training);
    tinysft_device_close(heard->device);
    cr_assert(*heard->training != NULL && *heard->device != NULL);
    return TINYSFT_STOP;
}

static tinysft_next keep_token(void *user, const tinysft_token *token)
{
    struct heard *heard = user;
    size_t len = strlen(heard->text);
    snprintf(heard->text + len, sizeof heard->text - len, "%.*s", (int)token->bytes, token->text);
    return ++heard->count == 4 ? TINYSFT_STOP : TINYSFT_GO_ON;
}

static bool same_files(const char *a, const char *b)
{
    char command[600];
    snprintf(command, sizeof command, "cmp -s %s %s", a, b);
    return system(command) == 0;
}

static void train_and_stop(tinysft_device **device)
{
    tinysft_training *training = NULL;
    tinysft_training_plan plan;
    tinysft_training_state state;
    struct heard heard = {.device = device, .training = &training};
    const tinysft_training_params params = {.model = MODEL,
                                            .data = rows_make(),
                                            .output_dir = path_of("out"),
                                            .max_steps = 5,
                                            .learning_rate = 5e-3};
    MUST(tinysft_training_open(*device, &params, &training, &error));
    MUST(tinysft_training_get_plan(training, &plan, &error));
    cr_assert(plan.examples == 3 && plan.steps == 5 && plan.fits && plan.bytes > 0);
    cr_assert_eq(tinysft_training_run(training, stop_at_once, &heard, &error), TINYSFT_ERR_STOPPED,
                 "%s", error.message);
    MUST(tinysft_training_get_state(training, &state, &error));
    cr_assert(state.saved > 0 && state.saved == state.steps && state.steps < 5 && heard.count > 0);
    REFUSED(tinysft_training_run(training, NULL, NULL, &error), TINYSFT_ERR_ARGUMENT,
            "has run already");
    tinysft_training_close(&training);
}

static void train_to_the_end(tinysft_device *device)
{
    tinysft_training *training = NULL;
    tinysft_training_state state;
    const tinysft_training_params params = {.model = MODEL,
                                            .data = path_of("rows.jsonl"),
                                            .output_dir = path_of("out"),
                                            .max_steps = 5,
                                            .learning_rate = 5e-3,
                                            .resume = "last"};
    for (int again = 0; again < 2; again++) {
        MUST(tinysft_training_open(device, &params, &training, &error));
        MUST(tinysft_training_prepare(training, &error));
        MUST(tinysft_training_run(training, NULL, NULL, &error));
        MUST(tinysft_training_get_state(training, &state, &error));
        cr_assert(state.steps == 5 && state.was_finished == (again == 1));
        tinysft_training_close(&training);
    }
}

static void ask(tinysft_model *model)
{
    struct heard heard = {0};
    tinysft_answer answer;
    const tinysft_message messages[] = {{TINYSFT_SYSTEM, "Be brief."},
                                        {TINYSFT_USER, "What do cows eat?"}};
    tinysft_generate_params params = {.messages = messages, .message_count = 2};
    params.on_token = keep_token;
    params.user = &heard;
    MUST(tinysft_generate(model, &params, &answer, &error));
    cr_assert_eq(answer.tokens, 4);
    cr_assert_not(answer.ended);
    cr_assert_str_eq(answer.text, heard.text); // nothing is left out, nothing comes twice
    cr_assert_eq(strlen(answer.text), answer.bytes);
    tinysft_answer_free(&answer);
    params.message_count = 1;
    REFUSED(tinysft_generate(model, &params, &answer, &error), TINYSFT_ERR_ARGUMENT,
            "not the user's");
    cr_assert_null(answer.text);
    params.message_count = 0;
    REFUSED(tinysft_generate(model, &params, NULL, &error), TINYSFT_ERR_ARGUMENT, "no message");
    params.messages = &(tinysft_message){TINYSFT_USER, "\xC3("};
    params.message_count = 1;
    REFUSED(tinysft_generate(model, &params, NULL, &error), TINYSFT_ERR_ARGUMENT, "UTF-8");
}

struct answers {
    unsigned begun, complete; // calls with nothing done; with an answer
    size_t bytes;
    tinysft_evaluation **evaluation;
};

static tinysft_next keep_answer(void *user, const tinysft_asked *asked)
{
    struct answers *answers = user;
    answers->begun += asked->done == 0;
    answers->complete += asked->answer != NULL;
    answers->bytes += asked->answer_bytes;
    tinysft_evaluation_close(answers->evaluation); // which does nothing here
    cr_assert(*answers->evaluation != NULL && asked->done <= asked->total && asked->index < 2);
    return TINYSFT_GO_ON;
}

static tinysft_next stop_asking(void *user, const tinysft_asked *asked)
{
    (void)user;
    return asked->tuned ? TINYSFT_STOP : TINYSFT_GO_ON;
}

static const char *const questions[] = {"What do cows eat?", "What do owls eat?"};
static const tinysft_evaluation_params two_questions = {
    .questions = questions, .question_count = 2, .max_new_tokens = 2};

static void stop_evaluating(tinysft_model *model)
{
    tinysft_evaluation *evaluation = NULL;
    tinysft_comparison found;
    MUST(tinysft_evaluation_open(model, &two_questions, &evaluation, &error));
    REFUSED(tinysft_evaluation_compare(evaluation, false, &found, &error), TINYSFT_ERR_ARGUMENT,
            "has not run");
    REFUSED(tinysft_evaluation_run(evaluation, stop_asking, NULL, &error), TINYSFT_ERR_STOPPED,
            "stopped");
    REFUSED(tinysft_evaluation_write(
                evaluation, &(tinysft_report_params){.folder = path_of("reports")}, &error),
            TINYSFT_ERR_ARGUMENT, "has not run");
    tinysft_evaluation_close(&evaluation);
}

static void evaluate(tinysft_model *model)
{
    tinysft_evaluation *evaluation = NULL;
    struct answers answers = {.evaluation = &evaluation};
    tinysft_evaluated first, second;
    tinysft_comparison found;
    MUST(tinysft_evaluation_open(model, &two_questions, &evaluation, &error));
    cr_assert_eq(tinysft_evaluation_count(evaluation), 2);
    tinysft_model_close(&model); // it lives until the evaluation has run
    MUST(tinysft_evaluation_run(evaluation, keep_answer, &answers, &error));
    REFUSED(tinysft_evaluation_run(evaluation, NULL, NULL, &error), TINYSFT_ERR_ARGUMENT,
            "has run already");
    MUST(tinysft_evaluation_compare(evaluation, false, &found, &error));
    cr_assert(found.base.questions == 1 && found.tuned.questions == 1 && found.told_apart);
    cr_assert(isnan(found.base.loss) && isnan(found.loss_change));
    cr_assert_eq(found.base.rates[TINYSFT_ENDED].of, 1);
    MUST(tinysft_evaluation_get(evaluation, 0, &first, &error));
    MUST(tinysft_evaluation_get(evaluation, 1, &second, &error));
    cr_assert(first.seen && first.base.text != NULL && first.tuned.text != NULL);
    cr_assert(first.base.marks[TINYSFT_ENDED] != TINYSFT_NOT_ASKED &&
              first.base.marks[TINYSFT_FACTS] == TINYSFT_NOT_ASKED);
    cr_assert(answers.begun == 2 && answers.complete == 4);
    cr_assert_eq(answers.bytes, first.base.bytes + first.tuned.bytes + second.base.bytes +
                                    second.tuned.bytes);
    REFUSED(tinysft_evaluation_get(evaluation, 2, &first, &error), TINYSFT_ERR_ARGUMENT,
            "there are 2");
    REFUSED(tinysft_evaluation_write(evaluation, &(tinysft_report_params){0}, &error),
            TINYSFT_ERR_ARGUMENT, "no folder");
    MUST(tinysft_evaluation_write(evaluation,
                                  &(tinysft_report_params){.json = path_of("alone.json")}, &error));
    MUST(tinysft_evaluation_write(evaluation,
                                  &(tinysft_report_params){.folder = path_of("reports")}, &error));
    tinysft_evaluation_close(&evaluation);
    cr_assert(same_files(path_of("alone.json"), path_of("reports/evaluation.json")));
    cr_assert_not(same_files(path_of("reports/evaluation_screenshot.png"), "/dev/null"));
}

Test(work, trains_answers_and_evaluates)
{
    folder_make();
    tinysft_device *device = open_device();
    tinysft_model *model = NULL;
    tinysft_model_info info;
    train_and_stop(&device);
    train_to_the_end(device);
    MUST(tinysft_model_open(device,
                            &(tinysft_model_params){.model = MODEL, .adapter = path_of("out")},
                            &model, &error));
    MUST(tinysft_model_describe(model, &info, &error));
    cr_assert(info.has_adapter && info.rank == 8 && info.layers > 0);
    MUST(tinysft_model_save_adapter(model, path_of("saved"), &error));
    cr_assert(same_files(path_of("out/adapter_model.safetensors"),
                         path_of("saved/adapter_model.safetensors")));
    cr_assert(same_files(path_of("out/adapter_config.json"), path_of("saved/adapter_config.json")));
    REFUSED(tinysft_model_load_adapter(model, path_of("nowhere"), &error), TINYSFT_ERR_IO,
            "nowhere");
    REFUSED(tinysft_model_save_adapter(model, path_of("saved"), &error), TINYSFT_ERR_ARGUMENT,
            "no adapter");
    MUST(tinysft_model_load_adapter(model, path_of("saved"), &error));
    MUST(tinysft_model_load_adapter(model, path_of("out"), &error));
    tinysft_device_close(&device); // it lives as long as the model
    ask(model);
    stop_evaluating(model);
    evaluate(model);
    folder_remove();
}

// Hiding a feature clears its bit, on every device.
Test(work, lists_devices_and_their_features)
{
    enum { ROOM = 16 };
    static tinysft_device_info whole[ROOM], without[ROOM];
    size_t count, chosen, int64 = 0;
    while (strcmp(tinysft_device_feature(int64).name, "int64") != 0) {
        int64++;
    }
    MUST(tinysft_device_list(NULL, whole, ROOM, &count, &chosen, &error));
    cr_assert(count > 0 && count <= ROOM && chosen < count);
    MUST(tinysft_device_list(&(tinysft_device_params){.hide = "int64"}, without, ROOM, NULL, NULL,
                             &error));
    for (size_t i = 0; i < count; i++) {
        cr_assert((whole[i].reason != NULL) == (i == chosen));
        cr_assert(whole[i].subgroup_size > 0 && whole[i].shared_bytes >= 16384);
        cr_assert_eq(without[i].features, whole[i].features & ~((uint64_t)1 << int64));
    }
    cr_assert_null(tinysft_device_feature(1000).name);
}

Test(work, verifies)
{
    tinysft_device *device = open_device();
    tinysft_verify_result result;
    MUST(tinysft_verify(
        device, &(tinysft_verify_params){.folder = PROJECT_FOLDER "/tests/golden/tiny_tied"},
        &result, &error));
    cr_assert(result.passed && result.count > 3);
    REFUSED(tinysft_verify(device, &(tinysft_verify_params){0}, &result, &error),
            TINYSFT_ERR_ARGUMENT, "no folder");
    tinysft_device_close(&device);
}
