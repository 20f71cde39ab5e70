#include "check/verify.h"

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/table.h"

#include <stdio.h>

// What has no tolerance is for information.
static const char *judgement(const ts_verify_row *row)
{
    return row->tolerance <= 0 ? "" : row->error <= row->tolerance ? "ok" : "FAILED";
}

static void print_result(const ts_verify_params *params, const ts_gpu_caps *caps,
                         const ts_verify_result *result)
{
    ts_column columns[] = {
        {"what", 4, true}, {"error", 8, false}, {"tolerance", 9, false}, {"", 6, true}};
    ts_cli_say(stdout, "%s, %s on %s (%s)\n", params->folder, ts_precision_name(params->precision),
               caps->name, caps->driver);
    for (size_t i = 0; i < result->count; i++) {
        ts_table_widen(&columns[0], result->rows[i].name);
    }
    ts_table_head(stdout, columns, TS_COUNT(columns));
    for (size_t i = 0; i < result->count; i++) {
        const ts_verify_row *row = &result->rows[i];
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

static ts_status print_json(const ts_verify_params *params, const ts_gpu_caps *caps,
                            const ts_verify_result *result, ts_error *err)
{
    cJSON *json = cJSON_CreateObject(), *rows = cJSON_AddArrayToObject(json, "rows");
    cJSON_AddStringToObject(json, "case", params->folder);
    cJSON_AddStringToObject(json, "precision", ts_precision_name(params->precision));
    cJSON_AddStringToObject(json, "device", caps->name);
    cJSON_AddStringToObject(json, "driver", caps->driver);
    cJSON_AddBoolToObject(json, "passed", result->passed);
    for (size_t i = 0; i < result->count; i++) {
        const ts_verify_row *row = &result->rows[i];
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

static struct {
    const char *precision, *dump, *folder[1];
    ts_gpu_params device;
    bool json;
} asked = {.precision = "f32"};

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
    ts_verify_params params = {0};
    ts_verify_result result = {0};
    ts_gpu *gpu = NULL;
    TS_TRY(ts_flags_parse(&ts_command_verify, argc, argv, err));
    params.folder = asked.folder[0];
    params.dump = asked.dump;
    if (params.folder == NULL) {
        TS_FAIL(TS_ERR_ARGUMENT, "verify needs the folder of a case: tinysft-vk verify CASE");
    }
    TS_TRY(ts_device_open(&asked.device, &gpu, err));
    TS_TRY(ts_device_choose_precision(gpu, asked.precision, &params.precision, err));
    if (ts_folder_exists(params.folder)) {
        ts_cli_say(
            stderr,
            "verifying %s on %s: a small case takes seconds, one of TinyLlama's size minutes\n",
            params.folder, ts_gpu_capabilities(gpu)->name);
    }
    TS_TRY(ts_verify(gpu, &params, &result, err));
    if (asked.json) {
        TS_TRY(print_json(&params, ts_gpu_capabilities(gpu), &result, err));
    } else {
        print_result(&params, ts_gpu_capabilities(gpu), &result);
    }
out:
    ts_gpu_close(gpu);
    if (status != TS_OK) {
        return ts_cli_fail(&ts_command_verify, err);
    }
    return result.passed ? 0 : TS_ERR_RUN;
}

const ts_command ts_command_verify = {
    .name = "verify",
    .summary = "hold this device against a reference case",
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
