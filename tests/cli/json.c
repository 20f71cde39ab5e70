// --json of each command that prints a table: what it prints is one JSON value.
#include "base/json.h"
#include "base/memory.h"
#include "program.h"

// The value that the program prints on standard output; its standard error goes nowhere.
static cJSON *json_of(const char *arguments, int *code)
{
    char script[512];
    cJSON *json = NULL;
    ts_error err = {0};
    program_result result;
    snprintf(script, sizeof script, "%s %s 2>/dev/null", TINYSFT_PROGRAM, arguments);
    program_run_file("/bin/sh", (const char *const[]){"/bin/sh", "-c", script, NULL}, &result);
    *code = result.code;
    cr_assert_eq(ts_json_parse(result.out, strlen(result.out), "output", &json, &err), TS_OK,
                 "%s: %s", err.message, result.out);
    return json;
}

Test(json, devices)
{
    int code;
    cJSON *json = json_of("devices --json --device 0", &code);
    cr_assert_eq(code, 0);
    const cJSON *first = cJSON_GetArrayItem(ts_json_get(json, "devices"), 0);
    cr_assert_not_null(cJSON_GetStringValue(ts_json_get(first, "name")));
    cr_assert(cJSON_IsArray(ts_json_get(first, "has")));
    cr_assert_eq(cJSON_GetNumberValue(ts_json_get(json, "chosen")), 0);
    cJSON_Delete(json);
}

Test(json, verify)
{
    int code;
    if (!ts_folder_exists(SHARED_FOLDER "/golden/nano")) {
        cr_skip_test("needs " SHARED_FOLDER);
    }
    cJSON *json = json_of("verify --json --device 0 " SHARED_FOLDER "/golden/nano", &code);
    cr_assert_eq(code, 0);
    cr_assert(cJSON_IsTrue(ts_json_get(json, "passed")));
    const cJSON *row = cJSON_GetArrayItem(ts_json_get(json, "rows"), 0);
    cr_assert_str_eq(cJSON_GetStringValue(ts_json_get(row, "name")), "logits");
    cr_assert_lt(cJSON_GetNumberValue(ts_json_get(row, "error")),
                 cJSON_GetNumberValue(ts_json_get(row, "tolerance")));
    cJSON_Delete(json);
}
