// doctor: what Vulkan is here, what is missing, and whether every shader does what it should.
#include "check/doctor.h"

#include "api/inside.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/terminal.h"
#include "check/drivers.h"
#include "cli/cli.h"
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    ts_gpu_params params;
    const char *report;
    bool forgets, json;
} asked;

// A report is made to be published, so it shows only the last part of a path.
static const char *shown(const char *path, bool report)
{
    return report ? ts_path_name(path) : path;
}

static void print_drivers(FILE *stream, const ts_drivers *drivers, bool report)
{
    const uint32_t version = drivers->loader_version;
    if (version != 0) {
        ts_cli_say(stream, "Vulkan loader %u.%u.%u\n", VK_API_VERSION_MAJOR(version),
                   VK_API_VERSION_MINOR(version), VK_API_VERSION_PATCH(version));
    } else {
        ts_cli_say(stream, "no Vulkan loader\n");
    }
    for (size_t i = 0; i < drivers->file_count; i++) {
        const ts_driver_file *file = &drivers->files[i];
        ts_cli_say(stream, "driver %s: %s", shown(file->path, report),
                   shown(file->library, report));
        if (file->problem[0] == '\0') {
            ts_cli_say(stream, ", which loads\n");
        } else {
            ts_cli_say(stream, ", which does not load%s%s\n", report ? "" : ": ",
                       report ? "" : file->problem);
        }
    }
    for (size_t i = 0; i < drivers->node_count; i++) {
        ts_cli_say(stream, "render node %s, vendor %04x%s\n", drivers->nodes[i].name,
                   drivers->nodes[i].vendor,
                   drivers->nodes[i].may_open ? "" : ", which this user may not open");
    }
    for (size_t i = 0; i < drivers->list.count; i++) {
        tinysft_device_info device;
        ts_api_describe_device(&drivers->list.caps[i], &device);
        ts_cli_print_device(stream, i, &device);
    }
    if (drivers->list_problem[0] != '\0') {
        ts_cli_say(stream, "%s\n", drivers->list_problem);
    }
}

static const ts_column columns[] = {{"shader", 20, true}, {"", 6, true},
                                    {"error", 7, false},  {"allowed", 7, false},
                                    {"time", 10, false},  {"against", 0, true}};

static void print_head(FILE *stream)
{
    ts_table_head(stream, columns, TS_COUNT(columns));
}

static void print_row(void *user, const ts_doctor_row *row)
{
    FILE *stream = user;
    char cells[TS_COUNT(columns)][TS_TABLE_CELL] = {{0}};
    snprintf(cells[0], sizeof cells[0], "%s", row->shader);
    snprintf(cells[1], sizeof cells[1], "%s", ts_verdict_name(row->verdict));
    snprintf(cells[2], sizeof cells[2], "%.1e", row->error);
    snprintf(cells[3], sizeof cells[3], "%.1e", row->tolerance);
    if (row->fallback != NULL) {
        snprintf(cells[4], sizeof cells[4], "%.2f ms", 1e3 * row->seconds);
        snprintf(cells[5], sizeof cells[5], "%.2f ms of %s", 1e3 * row->fallback_seconds,
                 row->fallback);
    }
    ts_table_row(stream, columns, TS_COUNT(columns), cells);
    if (row->problem[0] != '\0') {
        ts_cli_say(stream, "  %s\n", row->problem);
    }
    fflush(stream);
}

static void print_end(FILE *stream, const ts_doctor_result *result)
{
    fprintf(stream, "%zu shaders: %zu PASS, %zu SLOW, %zu BROKEN\n", result->count,
            result->count - result->slow - result->broken, result->slow, result->broken);
    if (result->lost) {
        fprintf(stream, "the device was lost: shaders after the last one were not checked\n");
    }
    if (!result->kept) {
        fprintf(stream, "there is no cache folder, so that training cannot heed this\n");
    } else if (result->slow + result->broken > 0) {
        fprintf(stream, "training leaves out what is SLOW or BROKEN from now on\n");
    }
}

static void print_system(FILE *stream)
{
    char system[256];
    ts_text release = {0};
    fprintf(stream, "tinysft-vk " TINYSFT_VERSION "\n");
    ts_os_describe(system, sizeof system);
    if (system[0] != '\0') {
        fprintf(stream, "%s\n", system);
    }
    if (ts_file_read("/etc/os-release", 1 << 16, &release, NULL) == TS_OK && release.len > 0) {
        const char *pretty = strstr(release.bytes, "PRETTY_NAME=");
        if (pretty != NULL) {
            pretty += strlen("PRETTY_NAME=");
            fprintf(stream, "%.*s\n", (int)strcspn(pretty, "\n"), pretty);
        }
    }
    ts_text_free(&release);
}

// Markdown, to paste into an issue. `result` may be NULL: there was no device to judge.
static ts_status write_report(const char *path, const ts_drivers *drivers, const char *advice,
                              const ts_doctor_result *result, ts_error *err)
{
    ts_status status = TS_OK;
    char *bytes = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&bytes, &len);
    if (stream == NULL) {
        return ts_error_set(err, TS_ERR_MEMORY, "no memory for the report");
    }
    fprintf(stream, "### tinysft-vk doctor\n\n```\n");
    print_system(stream);
    print_drivers(stream, drivers, true);
    fprintf(stream, "%s```\n", advice);
    if (result != NULL) {
        fprintf(stream, "\nchecked: %s\n\n```\n", drivers->list.caps[drivers->list.chosen].name);
        print_head(stream);
        for (size_t i = 0; i < result->count; i++) {
            print_row(stream, &result->rows[i]);
        }
        print_end(stream, result);
        fprintf(stream, "```\n");
    }
    if (fclose(stream) != 0) {
        TS_FAIL(TS_ERR_MEMORY, "no memory for the report");
    }
    if (strcmp(path, "-") == 0) {
        ts_terminal_write(stdout, bytes, len);
    } else {
        TS_TRY(ts_file_write(path, bytes, len, err));
        fprintf(stderr, "%s: to paste into an issue\n", path);
    }
out:
    free(bytes);
    return status;
}

static ts_status forget(const ts_gpu_params *params, ts_error *err)
{
    ts_gpu *gpu = NULL;
    ts_status status = ts_gpu_open(params, &gpu, err);
    if (status == TS_OK) {
        ts_choices_forget_verdicts(gpu);
        printf("%s: no shader is left out any more\n", ts_gpu_capabilities(gpu)->name);
    }
    ts_gpu_close(gpu);
    return status;
}

static cJSON *row_json(const ts_doctor_row *row)
{
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "shader", row->shader);
    cJSON_AddStringToObject(item, "verdict", ts_verdict_name(row->verdict));
    cJSON_AddNumberToObject(item, "error", row->error);
    cJSON_AddNumberToObject(item, "tolerance", row->tolerance);
    if (row->fallback != NULL) {
        cJSON_AddNumberToObject(item, "seconds", row->seconds);
        cJSON_AddStringToObject(item, "fallback", row->fallback);
        cJSON_AddNumberToObject(item, "fallback_seconds", row->fallback_seconds);
    }
    if (row->problem[0] != '\0') {
        cJSON_AddStringToObject(item, "problem", row->problem);
    }
    return item;
}

static cJSON *drivers_json(const ts_drivers *drivers)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < drivers->file_count; i++) {
        const ts_driver_file *file = &drivers->files[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "file", file->path);
        cJSON_AddStringToObject(item, "library", file->library);
        cJSON_AddBoolToObject(item, "loads", file->problem[0] == '\0');
        if (file->problem[0] != '\0') {
            cJSON_AddStringToObject(item, "problem", file->problem);
        }
        cJSON_AddItemToArray(list, item);
    }
    return list;
}

// `result` may be NULL: there was no device to judge.
static ts_status print_json(const ts_drivers *drivers, const char *advice,
                            const ts_doctor_result *result, ts_error *err)
{
    cJSON *json = cJSON_CreateObject(), *devices, *shaders;
    cJSON_AddStringToObject(json, "version", TINYSFT_VERSION);
    cJSON_AddItemToObject(json, "drivers", drivers_json(drivers));
    devices = cJSON_AddArrayToObject(json, "devices");
    for (size_t i = 0; i < drivers->list.count; i++) {
        tinysft_device_info device;
        ts_api_describe_device(&drivers->list.caps[i], &device);
        cJSON_AddItemToArray(devices, ts_cli_device_json(i, &device));
    }
    cJSON_AddStringToObject(json, "advice", advice);
    if (result != NULL) {
        cJSON_AddStringToObject(json, "checked", drivers->list.caps[drivers->list.chosen].name);
        shaders = cJSON_AddArrayToObject(json, "shaders");
        for (size_t i = 0; i < result->count; i++) {
            cJSON_AddItemToArray(shaders, row_json(&result->rows[i]));
        }
        cJSON_AddNumberToObject(json, "slow", (double)result->slow);
        cJSON_AddNumberToObject(json, "broken", (double)result->broken);
        cJSON_AddBoolToObject(json, "lost", result->lost);
        cJSON_AddBoolToObject(json, "kept", result->kept);
    }
    return ts_cli_print_json(json, err);
}

static ts_status examine(const ts_gpu_params *params, const char *report, ts_doctor_result *result,
                         ts_error *err)
{
    ts_status status = TS_OK;
    ts_drivers drivers = {0};
    ts_gpu *gpu = NULL;
    ts_text advice = {0};
    FILE *stream = report != NULL || asked.json ? stderr : stdout; // for what is shown meanwhile
    const ts_doctor_params doctor = {.tell = print_row, .user = stream};
    if (report != NULL && strcmp(report, "-") != 0) { // fails before the work instead of after it
        TS_TRY(ts_file_check_writable(report, err));
    }
    TS_TRY(ts_drivers_find("", params, &drivers, err));
    TS_TRY(ts_drivers_advise(&drivers, &advice, err));
    const char *missing = advice.len > 0 ? advice.bytes : "";
    print_drivers(stream, &drivers, false);
    ts_cli_say(stream, "%s\n", missing);
    status = drivers.list.count > 0 ? ts_gpu_open_listed(&drivers.list, params, &gpu, err)
                                    : ts_gpu_open(params, &gpu, err); // tells why there is none
    if (status == TS_OK) {
        ts_cli_say(stream,
                   "checking every shader on %s: some seconds on a GPU, a minute or two on a CPU's "
                   "driver\n",
                   ts_gpu_capabilities(gpu)->name);
        print_head(stream);
        TS_TRY(ts_doctor_check(gpu, &doctor, result, err));
        print_end(stream, result);
    }
    if (asked.json) {
        ts_status printed = print_json(&drivers, missing, gpu != NULL ? result : NULL, err);
        status = status == TS_OK ? printed : status;
    }
    if (report != NULL) {
        ts_error ignored = {0};
        ts_status written = write_report(report, &drivers, missing, gpu != NULL ? result : NULL,
                                         status == TS_OK ? err : &ignored);
        status = status == TS_OK ? written : status;
    }
out:
    ts_gpu_close(gpu);
    ts_text_free(&advice);
    ts_drivers_close(&drivers);
    return status;
}

static const ts_flag flags[] = {
    TS_CLI_DEVICE_FLAGS(asked.params),
    {"report", NULL, TS_FLAG_OPTION, &asked.report, "FILE",
     "write what was found as Markdown to paste into an issue,\nwithout paths or names of "
     "yours [standard output]",
     .otherwise = "-"},
    {"forget", NULL, TS_FLAG_SWITCH, &asked.forgets, NULL,
     "check nothing, and use again what was left out"},
    TS_CLI_JSON_FLAG(&asked.json),
    TS_CLI_VERBOSE_FLAG,
};

static int run(int argc, char **argv)
{
    ts_status status = TS_OK;
    ts_error error = {0}, *err = &error;
    ts_doctor_result result = {0};
    TS_TRY(ts_flags_parse(&ts_command_doctor, argc, argv, err));
    TS_TRY(asked.forgets ? forget(&asked.params, err)
                         : examine(&asked.params, asked.report, &result, err));
out:
    if (status != TS_OK) {
        return ts_cli_fail(&ts_command_doctor, err);
    }
    if (result.lost) {
        ts_cli_advise(&ts_command_doctor, TS_ERR_LOST);
        return TS_ERR_LOST;
    }
    return result.broken > 0 ? TS_ERR_RUN : 0;
}

const ts_command ts_command_doctor = {
    .name = "doctor",
    .summary = "find out what is missing or wrong: drivers, then every shader",
    .notes =
        "PASS: right, and not clearly slower than the general shader. SLOW: right, but it takes\n"
        "half as long again or more. BROKEN: wrong, or it cannot be built; the exit code is 1\n"
        "then. Training leaves out what is SLOW or BROKEN from then on and says so.",
    .usage = "[--device N] [--report [FILE]] [--json] [--forget]",
    .needs_less = "shaders are tried at the sizes of a model: close what else uses the device's "
                  "memory, or take another --device",
    .flags = flags,
    .flag_count = TS_COUNT(flags),
    .run = run,
};
