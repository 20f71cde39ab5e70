// Several users of the library in one process, and a process with settings of its own.
#include "api_test.h"

#include <locale.h>
#include <pthread.h>
#include <signal.h>

struct session {
    const char *data;
    uint32_t max_length;
    char said[4096];
    bool failed;
};

static void keep(void *user, tinysft_log_level level, const char *message)
{
    struct session *session = user;
    size_t len = strlen(session->said);
    (void)level;
    snprintf(session->said + len, sizeof session->said - len, "%s\n", message);
}

static void *plan_often(void *user)
{
    struct session *session = user;
    tinysft_error own;
    for (int i = 0; i < 3; i++) {
        tinysft_training *training = NULL;
        const tinysft_training_params params = {.model = MODEL,
                                                .data = session->data,
                                                .max_length = session->max_length,
                                                .caller = {.log = keep, .user = session}};
        session->said[0] = '\0';
        session->failed |= tinysft_training_open(NULL, &params, &training, &own) != TINYSFT_OK;
        tinysft_training_close(&training);
    }
    return NULL;
}

Test(sessions, two_threads_hear_their_own_messages)
{
    folder_make();
#define LONG "One two three four five six seven eight nine ten eleven twelve thirteen fourteen."
    struct session sessions[2] = {
        {.data = file_make("a.jsonl", ROW("Hello", LONG)), .max_length = 24},
        {.data = file_make("b.jsonl", ROW("Hello", LONG)), .max_length = 25}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, plan_often, &sessions[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_not(sessions[i].failed);
        cr_assert_not_null(strstr(sessions[i].said, i == 0 ? "a.jsonl" : "b.jsonl"), "%s",
                           sessions[i].said);
        cr_assert_null(strstr(sessions[i].said, i == 0 ? "b.jsonl" : "a.jsonl"), "%s",
                       sessions[i].said);
    }
    folder_remove();
}

static void *verify(void *user)
{
    tinysft_device *device = NULL;
    tinysft_verify_result result = {.passed = false};
    const char *name = getenv("TINYSFT_DEVICE");
    const tinysft_device_params params = {.device = name != NULL ? name : "0"};
    const tinysft_verify_params golden = {.folder = PROJECT_FOLDER "/tests/golden/tiny_tied"};
    tinysft_error own;
    if (tinysft_device_open(&params, &device, &own) == TINYSFT_OK) {
        tinysft_verify(device, &golden, &result, &own);
    }
    tinysft_device_close(&device);
    *(bool *)user = result.passed;
    return NULL;
}

Test(sessions, two_devices_work_in_two_threads)
{
    bool passed[2] = {false, false};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, verify, &passed[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        cr_assert(passed[i]);
    }
}

// Sets a locale whose decimal point is a comma. It is made for the test; false if it cannot be.
static bool take_comma(void)
{
    static const char *const same[] = {"CTYPE", "COLLATE", "MONETARY", "TIME", "MESSAGES"};
    char source[1024] = "LC_NUMERIC\ndecimal_point \"<U002C>\"\nthousands_sep \"\"\ngrouping -1\n"
                        "END LC_NUMERIC\n",
         command[512];
    for (size_t i = 0; i < 5; i++) {
        size_t len = strlen(source);
        snprintf(source + len, sizeof source - len, "LC_%s\ncopy \"POSIX\"\nEND LC_%s\n", same[i],
                 same[i]);
    }
    snprintf(command, sizeof command, "localedef -c -i %s -f ANSI_X3.4-1968 %s 2>/dev/null",
             file_make("comma.src", source), path_of("comma"));
    if (system(command) < 0) {
        return false;
    }
    setenv("LOCPATH", folder, 1);
    return setlocale(LC_ALL, "comma") != NULL;
}

Test(sessions, numbers_have_a_point_whatever_the_locale_is)
{
    folder_make();
    tinysft_training *training = NULL;
    const tinysft_training_params params = {.model = MODEL, .data = rows_make()};
    tinysft_training_params wrong = params;
    wrong.lora_dropout = 1.5;
    if (!take_comma()) {
        folder_remove();
        cr_skip_test("this system makes no locale");
    }
    MUST(tinysft_training_open(NULL, &params, &training, &error)); // config.json has 1e-05
    tinysft_training_close(&training);
    REFUSED(tinysft_training_open(NULL, &wrong, &training, &error), TINYSFT_ERR_ARGUMENT, "1.5");
    char text[8];
    snprintf(text, sizeof text, "%.1f", 0.5);
    cr_assert_str_eq(text, "0,5"); // the caller's locale is back
    folder_remove();
}

Test(sessions, no_signal_handler_is_installed)
{
    folder_make();
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGBUS, SIGPIPE};
    struct sigaction before[5], after;
    tinysft_training *training = NULL;
    const tinysft_training_params params = {.model = MODEL, .data = rows_make()};
    for (int i = 0; i < 5; i++) {
        sigaction(signals[i], NULL, &before[i]);
    }
    MUST(tinysft_training_open(NULL, &params, &training, &error));
    for (int i = 0; i < 5; i++) {
        sigaction(signals[i], NULL, &after);
        cr_assert_eq(after.sa_handler, before[i].sa_handler, "signal %d", signals[i]);
    }
    tinysft_training_close(&training);
    folder_remove();
}
