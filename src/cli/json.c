// --json: what a command prints for people, for programs.
#include "base/json.h"
#include "cli/cli.h"

#include <stdio.h>

ts_status ts_cli_print_json(cJSON *json, ts_error *err)
{
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    if (text == NULL) {
        return ts_error_set(err, TS_ERR_MEMORY, "out of host memory");
    }
    puts(text);
    cJSON_free(text);
    return TS_OK;
}
