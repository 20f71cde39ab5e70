// --config FILE: a command's flags as a JSON object whose keys are their names. The program also
// writes such a file beside what a run produces, so that the run can be repeated.
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

const char *ts_cli_config;

// Values from the file that flags point to; they live as long as the program.
static cJSON *kept;
static ts_text lists[8];
static size_t list_count;

static ts_status wrong_type(const cJSON *value, const char *expected, ts_error *err)
{
    return ts_error_set(err, TS_ERR_ARGUMENT, "expected %s, found %s", expected,
                        ts_json_kind(value));
}

// Sets a flag to ["q_proj", "v_proj"] as "q_proj,v_proj", or, where it may be given several times,
// to one entry after the other.
static ts_status set_list(const ts_flag *flag, const cJSON *value, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *item;
    if (list_count == TS_COUNT(lists)) {
        TS_FAIL(TS_ERR_ARGUMENT,
                "too many lists in this file: write this one as a text with commas");
    }
    ts_text *list = &lists[list_count++];
    cJSON_ArrayForEach(item, value)
    {
        if (!cJSON_IsString(item)) {
            return wrong_type(item, "a list of strings", err);
        }
        TS_TRY(
            flag->kind == TS_FLAG_PARSED
                ? ts_flags_set(flag, item->valuestring, err)
                : ts_text_format(list, err, "%s%s", list->len > 0 ? "," : "", item->valuestring));
    }
    if (flag->kind != TS_FLAG_PARSED) {
        TS_TRY(ts_text_append(list, "", 0, err));
        TS_TRY(ts_flags_set(flag, list->bytes, err));
    }
out:
    return status;
}

static ts_status set_number(const ts_flag *flag, const cJSON *value, ts_error *err)
{
    char text[64];
    if (!cJSON_IsNumber(value)) {
        return wrong_type(value, flag->kind == TS_FLAG_UINT ? "a whole number" : "a number", err);
    }
    snprintf(text, sizeof text, "%.17g", value->valuedouble);
    return ts_flags_set(flag, text, err);
}

static ts_status set_from_json(const ts_flag *flag, const cJSON *value, ts_error *err)
{
    bool list = flag->kind == TS_FLAG_PARSED ||
                (flag->placeholder != NULL && strcmp(flag->placeholder, "LIST") == 0);
    if (flag->kind == TS_FLAG_SWITCH || flag->kind == TS_FLAG_PRESET) {
        ts_flags_switch(flag, cJSON_IsTrue(value));
        return cJSON_IsBool(value) ? TS_OK : wrong_type(value, "true or false", err);
    }
    if (flag->kind == TS_FLAG_UINT || flag->kind == TS_FLAG_REAL) {
        return set_number(flag, value, err);
    }
    if (flag->kind == TS_FLAG_OPTION && cJSON_IsBool(value)) {
        *(const char **)flag->value = cJSON_IsTrue(value) ? flag->otherwise : NULL;
        return TS_OK;
    }
    if (list && cJSON_IsArray(value)) {
        return set_list(flag, value, err);
    }
    return cJSON_IsString(value) ? ts_flags_set(flag, value->valuestring, err)
                                 : wrong_type(value, "a string", err);
}

static ts_status unknown_key(const ts_command *command, const char *key, ts_error *err)
{
    const char *nearest = ts_flags_nearest(command, key, strlen(key));
    return ts_error_set(err, TS_ERR_ARGUMENT, "`tinysft-vk %s` has no such flag%s%s%s",
                        command->name, nearest != NULL ? "; did you mean '" : "",
                        nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
}

static ts_status set_key(const ts_command *command, const cJSON *item, const bool *on_command_line,
                         bool *in_file, ts_error *err)
{
    const ts_flag *flag = ts_flags_find(command, item->string, strlen(item->string));
    if (flag == NULL) {
        return unknown_key(command, item->string, err);
    }
    size_t index = 0;
    while (ts_flags_at(command, index) != flag) {
        index++;
    }
    if (flag->value == &ts_cli_config) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "a file of flags may not name another one");
    }
    if (in_file[index]) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "this is --%s, which the file has under another name too", flag->name);
    }
    in_file[index] = true;
    // The values of such a flag add up. Where the command line gives some, only those count.
    bool adds = flag->kind == TS_FLAG_PARSED && on_command_line[index];
    return adds ? TS_OK : set_from_json(flag, item, err);
}

ts_status ts_config_read(const ts_command *command, const char *path, const bool *on_command_line,
                         bool *in_file, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *item;
    TS_TRY(ts_json_parse_file(path, &kept, err));
    if (!cJSON_IsObject(kept)) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: expected an object of flags, like {\"epochs\": 3, \"lr\": 5e-5}, found %s",
                path, ts_json_kind(kept));
    }
    cJSON_ArrayForEach(item, kept)
    {
        if ((status = set_key(command, item, on_command_line, in_file, err)) != TS_OK) {
            ts_error_context(err, "%s: key '%s'", path, item->string);
            break;
        }
    }
out:
    return status;
}

static void add_parsed(cJSON *json, const ts_flag *flag)
{
    cJSON *list =
        ts_flags_parsed(flag, 0) != NULL ? cJSON_AddArrayToObject(json, flag->name) : NULL;
    for (size_t i = 0; ts_flags_parsed(flag, i) != NULL; i++) {
        cJSON_AddItemToArray(list, cJSON_CreateString(ts_flags_parsed(flag, i)));
    }
}

// A number below the flag's minimum means that the flag was not given.
static void add_number(cJSON *json, const ts_flag *flag, double value)
{
    if (value >= flag->min) {
        cJSON_AddNumberToObject(json, flag->name, value);
    }
}

static void add_value(cJSON *json, const ts_flag *flag)
{
    switch (flag->kind) {
    case TS_FLAG_SWITCH:
        cJSON_AddBoolToObject(json, flag->name, *(const bool *)flag->value);
        break;
    case TS_FLAG_UINT:
        add_number(json, flag, (double)*(const uint64_t *)flag->value);
        break;
    case TS_FLAG_REAL:
        add_number(json, flag, *(const double *)flag->value);
        break;
    case TS_FLAG_TEXT:
    case TS_FLAG_OPTION:
        if (*(const char *const *)flag->value != NULL) {
            cJSON_AddStringToObject(json, flag->name, *(const char *const *)flag->value);
        }
        break;
    case TS_FLAG_PRESET:
        break; // it sets another flag's value, which is written under that flag's name
    case TS_FLAG_PARSED:
        add_parsed(json, flag);
        break;
    }
}

ts_status ts_config_print(const ts_command *command, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *json = cJSON_CreateObject();
    const ts_flag *flag;
    for (size_t i = 0; (flag = ts_flags_at(command, i)) != NULL; i++) {
        if (!flag->passing) {
            add_value(json, flag);
        }
    }
    char *text = cJSON_Print(json);
    if (text == NULL) {
        TS_FAIL(TS_ERR_MEMORY, "out of host memory");
    }
    TS_TRY(ts_text_format(out, err, "%s\n", text));
out:
    cJSON_free(text);
    cJSON_Delete(json);
    return status;
}
