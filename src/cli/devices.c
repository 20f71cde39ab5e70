#include "base/json.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "gpu/gpu.h"

#include <stdio.h>
#include <stdlib.h>

// Appends the names that --mask-capability takes: those of features that the device has (`there`),
// or of those that it lacks.
static void add_optional(ts_text *text, const char *title, const ts_gpu_caps *caps, bool there)
{
    size_t count = 0;
    for (const ts_gpu_mask *mask = ts_gpu_masks; mask->name != NULL; mask++) {
        if (ts_gpu_mask_bites(mask, caps) == there) {
            ts_text_format(text, NULL, "%s %s", count++ > 0 ? "," : title, mask->name);
        }
    }
    ts_text_format(text, NULL, "%s", count > 0 ? "\n" : "");
}

// What each of those names hides.
static void print_masks(void)
{
    puts("\n--mask-capability NAME hides");
    for (const ts_gpu_mask *mask = ts_gpu_masks; mask->name != NULL; mask++) {
        char line[256];
        snprintf(line, sizeof line, "  %-22s %s\n", mask->name, mask->hides);
        ts_cli_print(stdout, 6, line);
    }
}

void ts_cli_print_device(FILE *stream, size_t index, const ts_gpu_caps *caps)
{
    enum { SET_IN = 3 };
    ts_text text = {0};
    ts_text_format(&text, NULL, "%zu  %s\n", index, caps->name);
    ts_text_format(&text, NULL, "   %s, Vulkan %u.%u, driver %s\n", ts_gpu_type_name(caps->type),
                   VK_API_VERSION_MAJOR(caps->api_version), VK_API_VERSION_MINOR(caps->api_version),
                   caps->driver);
    ts_text_format(&text, NULL,
                   "   %.1f GiB of memory, %.1f GiB free%s; subgroups of %u, workgroups up to %u, "
                   "%u KiB shared\n",
                   (double)caps->memory_bytes / 0x1p30, (double)caps->memory_free_bytes / 0x1p30,
                   caps->unified_memory ? ", shared with the host" : "", caps->subgroup_size,
                   caps->max_invocations, caps->shared_bytes / 1024);
    const ts_matrix_shape *f16 = &caps->matrix_f16, *bf16 = &caps->matrix_bf16;
    if (f16->m > 0) {
        ts_text_format(&text, NULL, "   matrix units for f16, %ux%ux%u\n", f16->m, f16->n, f16->k);
    }
    if (bf16->m > 0) {
        ts_text_format(&text, NULL, "   matrix units for bf16, %ux%ux%u\n", bf16->m, bf16->n,
                       bf16->k);
    }
    add_optional(&text, "   has", caps, true);
    add_optional(&text, "   lacks or hides", caps, false);
    if (caps->unusable != NULL) {
        ts_text_format(&text, NULL, "   cannot be used: %s\n", caps->unusable);
    }
    ts_cli_print(stream, SET_IN, text.bytes != NULL ? text.bytes : "");
    ts_text_free(&text);
}

static cJSON *optional_json(const ts_gpu_caps *caps, bool there)
{
    cJSON *names = cJSON_CreateArray();
    for (const ts_gpu_mask *mask = ts_gpu_masks; mask->name != NULL; mask++) {
        if (ts_gpu_mask_bites(mask, caps) == there) {
            cJSON_AddItemToArray(names, cJSON_CreateString(mask->name));
        }
    }
    return names;
}

cJSON *ts_cli_device_json(size_t index, const ts_gpu_caps *caps)
{
    char version[32];
    cJSON *json = cJSON_CreateObject();
    snprintf(version, sizeof version, "%u.%u", VK_API_VERSION_MAJOR(caps->api_version),
             VK_API_VERSION_MINOR(caps->api_version));
    cJSON_AddNumberToObject(json, "index", (double)index);
    cJSON_AddStringToObject(json, "name", caps->name);
    cJSON_AddStringToObject(json, "type", ts_gpu_type_name(caps->type));
    cJSON_AddStringToObject(json, "driver", caps->driver);
    cJSON_AddStringToObject(json, "vulkan", version);
    cJSON_AddNumberToObject(json, "memory_bytes", (double)caps->memory_bytes);
    cJSON_AddNumberToObject(json, "memory_free_bytes", (double)caps->memory_free_bytes);
    cJSON_AddBoolToObject(json, "unified_memory", caps->unified_memory);
    cJSON_AddNumberToObject(json, "subgroup_size", caps->subgroup_size);
    cJSON_AddNumberToObject(json, "max_invocations", caps->max_invocations);
    cJSON_AddNumberToObject(json, "shared_bytes", caps->shared_bytes);
    cJSON_AddItemToObject(json, "has", optional_json(caps, true));
    cJSON_AddItemToObject(json, "lacks_or_hides", optional_json(caps, false));
    if (caps->unusable != NULL) {
        cJSON_AddStringToObject(json, "unusable", caps->unusable);
    }
    return json;
}

static ts_status print_json(const ts_gpu_list *list, ts_error *err)
{
    cJSON *json = cJSON_CreateObject(), *devices = cJSON_AddArrayToObject(json, "devices");
    for (size_t i = 0; i < list->count; i++) {
        cJSON_AddItemToArray(devices, ts_cli_device_json(i, &list->caps[i]));
    }
    cJSON_AddNumberToObject(json, "chosen", (double)list->chosen);
    cJSON_AddStringToObject(json, "reason", list->reason);
    return ts_cli_print_json(json, err);
}

static struct {
    ts_gpu_params params;
    bool pipelines, json;
} asked;

static const ts_flag flags[] = {
    {"device", NULL, TS_FLAG_TEXT, &asked.params.device, "N", "ask which one this would choose"},
    TS_CLI_MASK_FLAG(asked.params),
    {"pipelines", NULL, TS_FLAG_SWITCH, &asked.pipelines, NULL,
     "build every pipeline that training would use on it, and\nshow what its compiler tells"},
    TS_CLI_JSON_FLAG(&asked.json),
    {"verbose", NULL, TS_FLAG_SWITCH, &ts_cli_verbose, NULL, "say what --mask-capability can hide"},
};

static int run(int argc, char **argv)
{
    ts_status status = TS_OK;
    ts_error error = {0}, *err = &error;
    ts_gpu_list list = {0};
    TS_TRY(ts_flags_parse(&ts_command_devices, argc, argv, err));
    if (asked.pipelines) {
        TS_TRY(ts_cli_print_pipelines(&asked.params, asked.json, err));
        goto out;
    }
    TS_TRY(ts_gpu_enumerate(&asked.params, &list, err));
    if (asked.json) {
        TS_TRY(print_json(&list, err));
        goto out;
    }
    for (size_t i = 0; i < list.count; i++) {
        ts_cli_print_device(stdout, i, &list.caps[i]);
    }
    if (ts_cli_verbose) {
        print_masks();
    }
    ts_cli_say(stdout, "\nchosen: %zu, %s (%s)\n", list.chosen, list.caps[list.chosen].name,
               list.reason);
out:
    ts_gpu_list_close(&list);
    return status == TS_OK ? 0 : ts_cli_fail(&ts_command_devices, err);
}

const ts_command ts_command_devices = {
    .name = "devices",
    .summary = "list what Vulkan offers here, which would be chosen, and why",
    .usage = "[--device N] [--mask-capability NAME] [--pipelines] [--json] [--verbose]",
    .flags = flags,
    .flag_count = TS_COUNT(flags),
    .run = run,
};
