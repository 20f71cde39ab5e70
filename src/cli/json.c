// --json: a command's output for programs instead of people.
#include "base/json.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

// Prints `text`, which cJSON made of `json`, and frees both.
static ts_status print(cJSON *json, char *text, ts_error *err)
{
    cJSON_Delete(json);
    if (text == NULL) {
        return ts_error_set(err, TS_ERR_MEMORY, "out of host memory");
    }
    ts_text shown = {0};
    ts_status status = ts_json_escape_controls(&shown, text, strlen(text), err);
    if (status == TS_OK) {
        puts(shown.bytes);
    }
    ts_text_free(&shown);
    cJSON_free(text);
    return status;
}

ts_status ts_cli_print_json(cJSON *json, ts_error *err)
{
    return print(json, cJSON_Print(json), err);
}

ts_status ts_cli_print_json_line(cJSON *json, ts_error *err)
{
    return print(json, cJSON_PrintUnformatted(json), err);
}
