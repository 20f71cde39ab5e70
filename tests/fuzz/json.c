// base/json.c: the scanner must refuse everything that cJSON would misread, and cJSON must be able
// to read everything that the scanner accepts.
#include "fuzz.h"

#include "base/json.h"

#include <math.h>

// A string, written and read again, is the same, NULs included.
static void check_string(const cJSON *json)
{
    ts_error err = {0};
    ts_text quoted = {0};
    cJSON *again = NULL;
    size_t len = 0, again_len = 0;
    const char *text = ts_json_string(json, &len);
    FUZZ_CHECK(text != NULL && ts_utf8_valid_prefix(text, len) == len);
    FUZZ_CHECK(ts_json_quote_bytes(&quoted, text, len, &err) == TS_OK);
    FUZZ_CHECK(ts_json_parse(quoted.bytes, quoted.len, "quoted", &again, &err) == TS_OK);
    const char *read = ts_json_string(again, &again_len);
    FUZZ_CHECK(read != NULL && again_len == len && memcmp(read, text, len) == 0);
    cJSON_Delete(again);
    ts_text_free(&quoted);
}

// Whether cJSON can write the value again. It cannot write infinity, which numbers beyond the range
// of a double are read as.
static bool check_values(const cJSON *json)
{
    bool finite = !cJSON_IsNumber(json) || isfinite(json->valuedouble);
    if (cJSON_IsString(json)) {
        check_string(json);
    }
    for (const cJSON *child = json->child; child != NULL; child = child->next) {
        finite = check_values(child) && finite;
    }
    return finite;
}

static void check_printed(const cJSON *json)
{
    ts_error err = {0};
    cJSON *again = NULL;
    char *printed = cJSON_PrintUnformatted(json);
    FUZZ_CHECK(printed != NULL);
    ts_status status = ts_json_parse(printed, strlen(printed), "printed", &again, &err);
    FUZZ_CHECK(status == TS_OK || strstr(err.message, "a number of") != NULL);
    FUZZ_CHECK(again == NULL || cJSON_Compare(json, again, true));
    cJSON_Delete(again);
    cJSON_free(printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ts_error err = {0};
    cJSON *json = NULL;
    ts_status status = ts_json_parse((const char *)data, size, "input", &json, &err);
    fuzz_check_status(status, &err);
    FUZZ_CHECK((status == TS_OK) == (json != NULL));
    if (json != NULL && check_values(json) && memmem(data, size, "\\u0000", 6) == NULL) {
        check_printed(json);
    }
    cJSON_Delete(json);
    json = NULL;
    size_t end = 0;
    err = (ts_error){0};
    status = ts_json_parse_prefix((const char *)data, size, "input", 1, 1, 4096, &end, &json, &err);
    fuzz_check_status(status, &err);
    FUZZ_CHECK(status != TS_OK || (json != NULL && end > 0 && end <= size));
    cJSON_Delete(json);
    return 0;
}
