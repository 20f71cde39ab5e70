// --json of each command that prints a table: what it prints is one JSON value.
#include "base/json.h"
#include "base/memory.h"
#include "program.h"

// The value that the program prints on standard output. Its standard error is dropped.
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

// Everything that eval found. A run from its file of flags repeats it to the same bytes.
Test(json, eval, .timeout = 300)
{
    char folder[64], data[96], out[96], config[128], again[96], file[96];
    program_result result;
    cJSON *json = NULL;
    ts_error err = {0};
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(data, sizeof data, "%s/eval.json", folder);
    snprintf(out, sizeof out, "%s/out", folder);
    snprintf(config, sizeof config, "%s/eval_run.json", out);
    snprintf(again, sizeof again, "%s/again", folder);
    snprintf(file, sizeof file, "%s/again.json", folder);
    test_write(folder, "eval.json",
               "[{\"id\": \"a\", \"category\": \"factual\", \"prompt\": \"What do cows eat?\","
               " \"reference\": \"Cows eat grass.\", \"facts\": [[\"grass\"]]}]");
    RUN(&result, "eval", "--model", PROJECT_FOLDER "/assets/base", "--data", data, "--output-dir",
        out, "--max-new-tokens", "8", "--device", "0");
    cr_assert_eq(result.code, 0, "%s", result.out);
    ts_text first = test_read(out, "evaluation.json");
    cr_assert_eq(ts_json_parse(first.bytes, first.len, "evaluation.json", &json, &err), TS_OK, "%s",
                 err.message);
    const cJSON *answer = cJSON_GetArrayItem(ts_json_get(json, "answers"), 0);
    const cJSON *base = ts_json_get(answer, "base");
    cr_assert_str_eq(cJSON_GetStringValue(ts_json_get(answer, "id")), "a");
    cr_assert_not_null(cJSON_GetStringValue(ts_json_get(base, "text")));
    cr_assert(cJSON_IsBool(ts_json_get(ts_json_get(base, "marks"), "facts_right")));
    const cJSON *model = ts_json_get(ts_json_get(json, "held_out"), "base");
    const cJSON *facts = ts_json_get(ts_json_get(model, "rates"), "facts_right");
    cr_assert_eq(cJSON_GetNumberValue(ts_json_get(facts, "of")), 1);
    cr_assert_float_eq(cJSON_GetNumberValue(ts_json_get(base, "reference_loss")),
                       cJSON_GetNumberValue(ts_json_get(model, "loss")), 1e-12);
    cJSON_Delete(json);
    RUN(&result, "eval", "--config", config, "--output-dir", again, "--json", file);
    cr_assert_eq(result.code, 0, "%s", result.out);
    ts_text second = test_read(folder, "again.json");
    cr_assert_str_eq(first.bytes, second.bytes);
    ts_text_free(&first);
    ts_text_free(&second);
    test_folder_remove(folder);
}
