// What is warned of where it is not known what an adapter was trained on.
#include "eval/setup.h"
#include "base/file.h"
#include "log_capture.h"
#include "sample.h"

#include <criterion/criterion.h>

static void mark_seen(const char *training, const char *folder)
{
    ts_error err = {0};
    ts_prompts prompts = {0};
    bool *seen = NULL;
    cJSON *json = cJSON_Parse(training);
    logged_clear();
    cr_assert_eq(ts_setup_mark_seen(json, folder, NULL, NULL, NULL, &prompts, &seen, &err), TS_OK,
                 "%s", err.message);
    cr_assert_null(seen);
    cJSON_Delete(json);
}

Test(setup, an_adapter_before_it_that_is_not_known_is_warned_of)
{
    char folder[64], training[160];
    ts_text path = {0};
    sample_folder(folder);
    mark_seen("{}", "dpo");
    cr_expect_str_eq(logged, "");
    mark_seen("{\"adapter\": \"/nowhere/sft\"}", "dpo");
    cr_expect_eq(logged_count, 1u);
    cr_expect_not_null(strstr(logged, "/nowhere/sft, which dpo goes on from, has no training.json"),
                       "%s", logged);

    // The one before is known, and went on from another that is not.
    sample_write(folder, "training.json", "{\"adapter\": \"/nowhere/first\"}", &path);
    snprintf(training, sizeof training, "{\"adapter\": \"%s\"}", folder);
    mark_seen(training, "dpo");
    cr_expect_eq(logged_count, 1u);
    cr_expect_not_null(strstr(logged, "/nowhere/first, which /"), "%s", logged);

    // One that names itself has no end.
    ts_text_free(&path);
    sample_write(folder, "training.json", training, &path);
    mark_seen(training, "dpo");
    cr_expect_eq(logged_count, 1u);
    cr_expect_not_null(strstr(logged, "has too many adapters before it"), "%s", logged);
    ts_text_free(&path);
    cr_assert_eq(ts_folder_remove(folder, NULL), TS_OK);
}
