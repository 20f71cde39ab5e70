// base/json.c: the scanner must refuse all that cJSON would misread, and cJSON read all that
// passes.
#include "fuzz.h"

#include "base/json.h"

#include <math.h>

// A number above a double's range is read as infinity, which JSON cannot write.
static bool all_finite(const cJSON *json)
{
    bool finite = !cJSON_IsNumber(json) || isfinite(json->valuedouble);
    for (const cJSON *child = json->child; child != NULL && finite; child = child->next) {
        finite = all_finite(child);
    }
    return finite;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ts_error err = {0};
    cJSON *json = NULL;
    ts_status status = ts_json_parse((const char *)data, size, "input", &json, &err);
    fuzz_check_status(status, &err);
    FUZZ_CHECK((status == TS_OK) == (json != NULL));
    if (json != NULL &&
        all_finite(json)) { // what is read can be written, and is the same when read once more
        char *printed = cJSON_PrintUnformatted(json);
        FUZZ_CHECK(printed != NULL);
        cJSON *again = NULL;
        status = ts_json_parse(printed, strlen(printed), "printed", &again, &err);
        FUZZ_CHECK(status == TS_OK || strstr(err.message, "a number of") != NULL);
        FUZZ_CHECK(again == NULL || cJSON_Compare(json, again, true));
        cJSON_Delete(again);
        cJSON_free(printed);
    }
    cJSON_Delete(json);
    return 0;
}
