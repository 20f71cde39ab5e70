#include "base/json.h"
#include "base/memory.h"
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

static bool has(const tinysft_device_info *device, size_t feature)
{
    return device->features >> feature & 1;
}

// Appends the names that --mask-capability takes: those of features that the device has (`there`),
// or of those that it lacks.
static void add_features(ts_text *text, const char *title, const tinysft_device_info *device,
                         bool there)
{
    size_t count = 0;
    for (size_t i = 0; tinysft_device_feature(i).name != NULL; i++) {
        if (has(device, i) == there) {
            ts_text_format(text, NULL, "%s %s", count++ > 0 ? "," : title,
                           tinysft_device_feature(i).name);
        }
    }
    ts_text_format(text, NULL, "%s", count > 0 ? "\n" : "");
}

// What each of those names hides.
static void print_features(void)
{
    puts("\n--mask-capability NAME hides");
    for (size_t i = 0; tinysft_device_feature(i).name != NULL; i++) {
        char line[256];
        snprintf(line, sizeof line, "  %-22s %s\n", tinysft_device_feature(i).name,
                 tinysft_device_feature(i).hidden);
        ts_cli_print(stdout, 6, line);
    }
}

void ts_cli_print_device(FILE *stream, size_t index, const tinysft_device_info *d)
{
    enum { SET_IN = 3 };
    ts_text text = {0};
    ts_text_format(&text, NULL, "%zu  %s\n", index, d->name);
    ts_text_format(&text, NULL, "   %s, Vulkan %u.%u, driver %s\n", d->kind, d->vulkan[0],
                   d->vulkan[1], d->driver);
    ts_text_format(&text, NULL,
                   "   %.1f GiB of memory, %.1f GiB free%s; subgroups of %u, workgroups up to %u, "
                   "%u KiB shared\n",
                   (double)d->memory_bytes / 0x1p30, (double)d->memory_free_bytes / 0x1p30,
                   d->unified_memory ? ", shared with the host" : "", d->subgroup_size,
                   d->max_invocations, d->shared_bytes / 1024);
    const uint32_t *f16 = d->matrix_f16, *bf16 = d->matrix_bf16;
    if (f16[0] > 0) {
        ts_text_format(&text, NULL, "   matrix units for f16, %ux%ux%u\n", f16[0], f16[1], f16[2]);
    }
    if (bf16[0] > 0) {
        ts_text_format(&text, NULL, "   matrix units for bf16, %ux%ux%u\n", bf16[0], bf16[1],
                       bf16[2]);
    }
    add_features(&text, "   has", d, true);
    add_features(&text, "   lacks or hides", d, false);
    if (d->unusable != NULL) {
        ts_text_format(&text, NULL, "   cannot be used: %s\n", d->unusable);
    }
    ts_cli_print(stream, SET_IN, text.bytes != NULL ? text.bytes : "");
    ts_text_free(&text);
}

static cJSON *features_json(const tinysft_device_info *device, bool there)
{
    cJSON *names = cJSON_CreateArray();
    for (size_t i = 0; tinysft_device_feature(i).name != NULL; i++) {
        if (has(device, i) == there) {
            cJSON_AddItemToArray(names, cJSON_CreateString(tinysft_device_feature(i).name));
        }
    }
    return names;
}

cJSON *ts_cli_device_json(size_t index, const tinysft_device_info *d)
{
    char version[32];
    cJSON *json = cJSON_CreateObject();
    snprintf(version, sizeof version, "%u.%u", d->vulkan[0], d->vulkan[1]);
    cJSON_AddNumberToObject(json, "index", (double)index);
    cJSON_AddStringToObject(json, "name", d->name);
    cJSON_AddStringToObject(json, "type", d->kind);
    cJSON_AddStringToObject(json, "driver", d->driver);
    cJSON_AddStringToObject(json, "vulkan", version);
    cJSON_AddNumberToObject(json, "memory_bytes", (double)d->memory_bytes);
    cJSON_AddNumberToObject(json, "memory_free_bytes", (double)d->memory_free_bytes);
    cJSON_AddBoolToObject(json, "unified_memory", d->unified_memory);
    cJSON_AddNumberToObject(json, "subgroup_size", d->subgroup_size);
    cJSON_AddNumberToObject(json, "max_invocations", d->max_invocations);
    cJSON_AddNumberToObject(json, "shared_bytes", d->shared_bytes);
    cJSON_AddItemToObject(json, "has", features_json(d, true));
    cJSON_AddItemToObject(json, "lacks_or_hides", features_json(d, false));
    if (d->unusable != NULL) {
        cJSON_AddStringToObject(json, "unusable", d->unusable);
    }
    return json;
}

static ts_status print_json(const tinysft_device_info *devices, size_t count, size_t chosen,
                            ts_error *err)
{
    cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "devices");
    for (size_t i = 0; i < count; i++) {
        cJSON_AddItemToArray(list, ts_cli_device_json(i, &devices[i]));
    }
    cJSON_AddNumberToObject(json, "chosen", (double)chosen);
    cJSON_AddStringToObject(json, "reason", devices[chosen].reason);
    return ts_cli_print_json(json, err);
}

static void print(const tinysft_device_info *devices, size_t count, size_t chosen)
{
    for (size_t i = 0; i < count; i++) {
        ts_cli_print_device(stdout, i, &devices[i]);
    }
    if (ts_cli_verbose) {
        print_features();
    }
    ts_cli_say(stdout, "\nchosen: %zu, %s (%s)\n", chosen, devices[chosen].name,
               devices[chosen].reason);
}

static struct {
    ts_gpu_params params;
    bool pipelines, json;
    uint64_t step;
    const char *precision;
} asked = {.precision = "auto"};

static const ts_flag flags[] = {
    {"device", NULL, TS_FLAG_TEXT, &asked.params.device, "N", "tell which one this would choose"},
    TS_CLI_MASK_FLAG(asked.params),
    {"pipelines", NULL, TS_FLAG_SWITCH, &asked.pipelines, NULL,
     "build every pipeline that training would use on it, and\nshow what its compiler tells"},
    {"step", NULL, TS_FLAG_UINT, &asked.step, "TOKENS",
     "build the pipelines of one training step, and show what\nit would dispatch, with its "
     "compiler's listings",
     2, 1 << 16}, // a single token has no next one to learn
    {"precision", NULL, TS_FLAG_TEXT, &asked.precision, "P",
     "what products of that step round their operands to: auto,\nf32, f16 or bf16 [auto]",
     .choice = ts_choice_precision},
    TS_CLI_JSON_FLAG(&asked.json),
    {"verbose", NULL, TS_FLAG_SWITCH, &ts_cli_verbose, NULL,
     "tell what --mask-capability can hide"},
};

// Lists all devices.
static ts_status list_devices(tinysft_device_info **devices, size_t *count, size_t *chosen,
                              ts_error *err)
{
    ts_status status = TS_OK;
    const tinysft_device_params params = ts_cli_device_params(&asked.params, NULL);
    size_t room = 16;
    for (;;) {
        TS_TRY(ts_alloc(room, sizeof **devices, devices, err));
        TS_TRY(tinysft_device_list(&params, *devices, room, count, chosen, err));
        if (*count <= room) {
            goto out;
        }
        free(*devices);
        *devices = NULL;
        room = *count;
    }
out:
    return status;
}

static int run(int argc, char **argv)
{
    ts_status status = TS_OK;
    ts_error error = {0}, *err = &error;
    tinysft_device_info *devices = NULL;
    size_t count, chosen;
    TS_TRY(ts_flags_parse(&ts_command_devices, argc, argv, err));
    if (asked.step > 0 && (asked.pipelines || asked.json)) {
        TS_FAIL(TS_ERR_ARGUMENT, "--step and %s: give one of them",
                asked.pipelines ? "--pipelines" : "--json");
    }
    if (asked.pipelines) {
        TS_TRY(ts_cli_print_pipelines(&asked.params, asked.json, err));
        goto out;
    }
    if (asked.step > 0) {
        TS_TRY(ts_cli_print_step(&asked.params, asked.precision, (uint32_t)asked.step, err));
        goto out;
    }
    TS_TRY(list_devices(&devices, &count, &chosen, err));
    if (asked.json) {
        TS_TRY(print_json(devices, count, chosen, err));
    } else {
        print(devices, count, chosen);
    }
out:
    free(devices);
    return status == TS_OK ? 0 : ts_cli_fail(&ts_command_devices, err);
}

const ts_command ts_command_devices = {
    .name = "devices",
    .summary = "list what Vulkan offers here, which would be chosen, and why",
    .usage = "[--device N] [--mask-capability NAME] [--pipelines] [--step TOKENS [--precision P]] "
             "[--json] [--verbose]",
    .flags = flags,
    .flag_count = TS_COUNT(flags),
    .run = run,
};
