// Training that is planned but not run.
#include "api_test.h"

struct shown {
    char text[512];
    size_t supervised; // bytes
};

static void keep_part(void *user, const char *text, size_t bytes, bool supervised)
{
    struct shown *shown = user;
    size_t len = strlen(shown->text);
    snprintf(shown->text + len, sizeof shown->text - len, supervised ? "[%.*s]" : "%.*s",
             (int)bytes, text);
    shown->supervised += supervised ? bytes : 0;
}

Test(plan, rows_as_the_model_sees_them)
{
    folder_make();
    tinysft_training *training = NULL;
    tinysft_row row;
    struct shown shown = {.text = ""};
    const tinysft_training_params params = {.model = MODEL, .data = rows_make()};
    MUST(tinysft_training_open(NULL, &params, &training, &error));
    MUST(tinysft_training_get_row(training, 1, &row, keep_part, &shown, &error));
    cr_assert(row.line == 2 && row.tokens > row.supervised && row.supervised > 0);
    cr_assert_not_null(strstr(shown.text, "What is 1 + 1?"), "%s", shown.text);
    cr_assert_not_null(strstr(shown.text, "[It is 2."), "%s", shown.text);
    REFUSED(tinysft_training_get_row(training, 3, NULL, NULL, NULL, &error), TINYSFT_ERR_ARGUMENT,
            "there are 3");
    tinysft_training_close(&training);
    folder_remove();
}

static tinysft_next stop(void *user)
{
    ++*(unsigned *)user;
    return TINYSFT_STOP;
}

// A download asks the caller between its parts whether to stop; here it asks before the first.
Test(plan, an_interrupt_ends_a_download)
{
    folder_make();
    unsigned asked = 0;
    tinysft_training *training = NULL;
    const tinysft_training_params params = {.model = "nobody/nothing",
                                            .data = rows_make(),
                                            .caller = {.interrupt = stop, .user = &asked}};
    setenv("HF_HOME", folder, 1);
    setenv("HF_ENDPOINT", "http://127.0.0.1:9", 1);
    cr_assert_eq(tinysft_training_open(NULL, &params, &training, &error), TINYSFT_ERR_STOPPED, "%s",
                 error.message);
    cr_assert(asked > 0 && training == NULL);
    folder_remove();
}
