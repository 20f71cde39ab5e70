#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/table.h"

#include <stdio.h>

static struct {
    const char *precision, *dump, *folder[1];
    ts_gpu_params device;
    bool json;
} asked = {.precision = "f32"};

// A row without a tolerance is for information and is not judged.
static const char *judgement(const tinysft_verify_row *row)
{
    return row->tolerance <= 0 ? "" : row->error <= row->tolerance ? "ok" : "FAILED";
}

static void print_result(const tinysft_device_info *device, const tinysft_verify_result *result)
{
    ts_column columns[] = {
        {"what", 4, true}, {"error", 8, false}, {"tolerance", 9, false}, {"", 6, true}};
    ts_cli_say(stdout, "%s, %s on %s (%s)\n", asked.folder[0], device->precision, device->name,
               device->driver);
    for (size_t i = 0; i < result->count; i++) {
        ts_table_widen(&columns[0], result->rows[i].name);
    }
    ts_table_head(stdout, columns, TS_COUNT(columns));
    for (size_t i = 0; i < result->count; i++) {
        const tinysft_verify_row *row = &result->rows[i];
        char cells[4][TS_TABLE_CELL] = {{0}};
        snprintf(cells[0], sizeof cells[0], "%s", row->name);
        snprintf(cells[1], sizeof cells[1], "%.2e", row->error);
        if (row->tolerance > 0) {
            snprintf(cells[2], sizeof cells[2], "%.0e", row->tolerance);
        }
        snprintf(cells[3], sizeof cells[3], "%s", judgement(row));
        ts_table_row(stdout, columns, TS_COUNT(columns), cells);
    }
    puts(result->passed ? "all within tolerance" : "NOT within tolerance");
}

static ts_status print_json(const tinysft_device_info *device, const tinysft_verify_result *result,
                            ts_error *err)
{
    cJSON *json = cJSON_CreateObject(), *rows = cJSON_AddArrayToObject(json, "rows");
    cJSON_AddStringToObject(json, "case", asked.folder[0]);
    cJSON_AddStringToObject(json, "precision", device->precision);
    cJSON_AddStringToObject(json, "device", device->name);
    cJSON_AddStringToObject(json, "driver", device->driver);
    cJSON_AddBoolToObject(json, "passed", result->passed);
    for (size_t i = 0; i < result->count; i++) {
        const tinysft_verify_row *row = &result->rows[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", row->name);
        cJSON_AddNumberToObject(item, "error", row->error);
        if (row->tolerance > 0) {
            cJSON_AddNumberToObject(item, "tolerance", row->tolerance);
            cJSON_AddBoolToObject(item, "holds", row->error <= row->tolerance);
        }
        cJSON_AddItemToArray(rows, item);
    }
    return ts_cli_print_json(json, err);
}

static const ts_flag flags[] = {
    TS_CLI_PRODUCT_FLAGS(asked.precision, "f32", asked.device),
    {"dump", NULL, TS_FLAG_TEXT, &asked.dump, "FILE",
     "write what was computed as safetensors:\nmicro{i}.logits, grad.KEY, losses, grad_norms, "
     "lrs, final.KEY"},
    TS_CLI_JSON_FLAG(&asked.json),
    TS_CLI_VERBOSE_FLAG,
};

static int run(int argc, char **argv)
{
    ts_status status = TS_OK;
    ts_error error = {0}, *err = &error;
    tinysft_verify_result result = {.passed = false};
    tinysft_device *device = NULL;
    TS_TRY(ts_flags_parse(&ts_command_verify, argc, argv, err));
    const tinysft_verify_params params = {.folder = asked.folder[0], .dump = asked.dump};
    const tinysft_device_params wanted = ts_cli_device_params(&asked.device, asked.precision);
    if (params.folder == NULL) {
        TS_FAIL(TS_ERR_ARGUMENT, "verify needs the folder of a case: tinysft-vk verify CASE");
    }
    TS_TRY(tinysft_device_open(&wanted, &device, err));
    TS_TRY(tinysft_device_start(device, err));
    const tinysft_device_info *info = tinysft_device_describe(device);
    if (ts_folder_exists(params.folder)) {
        ts_cli_say(
            stderr,
            "verifying %s on %s: a small case takes seconds, one of TinyLlama's size minutes\n",
            params.folder, info->name);
    }
    TS_TRY(tinysft_verify(device, &params, &result, err));
    if (asked.json) {
        TS_TRY(print_json(info, &result, err));
    } else {
        print_result(info, &result);
    }
out:
    tinysft_device_close(&device);
    if (status != TS_OK) {
        return ts_cli_fail(&ts_command_verify, err);
    }
    return result.passed ? 0 : TS_ERR_RUN;
}

const ts_command ts_command_verify = {
    .name = "verify",
    .summary = "check what this device computes against a reference case",
    .usage = "CASE [--precision P] [--device N] [--dump FILE]",
    .needs_less = "a case is as large as it is: close what else uses the device's memory, or take "
                  "another --device",
    .arguments = asked.folder,
    .most_arguments = 1,
    .argument = "CASE",
    .flags = flags,
    .flag_count = TS_COUNT(flags),
    .run = run,
};
