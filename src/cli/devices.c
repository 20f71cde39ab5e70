#include "base/memory.h"
#include "cli/cli.h"
#include "gpu/gpu.h"

#include <stdio.h>
#include <stdlib.h>

// The names that --mask-capability takes, of what the device has or has not.
static void print_optional(FILE *stream, const char *title, const ts_gpu_caps *caps, bool there)
{
    size_t count = 0;
    for (const ts_gpu_mask *mask = ts_gpu_masks; mask->name != NULL; mask++) {
        if (ts_gpu_mask_bites(mask, caps) == there) {
            fprintf(stream, "%s %s", count++ > 0 ? "," : title, mask->name);
        }
    }
    fputs(count > 0 ? "\n" : "", stream);
}

// What each of those names hides.
static void print_masks(void)
{
    puts("\n--mask-capability NAME hides");
    for (const ts_gpu_mask *mask = ts_gpu_masks; mask->name != NULL; mask++) {
        printf("  %-22s %s\n", mask->name, mask->hides);
    }
}

void ts_cli_print_device(FILE *stream, size_t index, const ts_gpu_caps *caps)
{
    fprintf(stream, "%zu  %s\n", index, caps->name);
    fprintf(stream, "   %s, Vulkan %u.%u, driver %s\n", ts_gpu_type_name(caps->type),
            VK_API_VERSION_MAJOR(caps->api_version), VK_API_VERSION_MINOR(caps->api_version),
            caps->driver);
    fprintf(stream,
            "   %.1f GiB of memory, %.1f GiB free%s; subgroups of %u, workgroups up to %u, "
            "%u KiB shared\n",
            (double)caps->memory_bytes / 0x1p30, (double)caps->memory_free_bytes / 0x1p30,
            caps->unified_memory ? ", shared with the host" : "", caps->subgroup_size,
            caps->max_invocations, caps->shared_bytes / 1024);
    const ts_matrix_shape *f16 = &caps->matrix_f16, *bf16 = &caps->matrix_bf16;
    if (f16->m > 0) {
        fprintf(stream, "   matrix units for f16, %ux%ux%u\n", f16->m, f16->n, f16->k);
    }
    if (bf16->m > 0) {
        fprintf(stream, "   matrix units for bf16, %ux%ux%u\n", bf16->m, bf16->n, bf16->k);
    }
    print_optional(stream, "   has", caps, true);
    print_optional(stream, "   lacks or hides", caps, false);
    if (caps->unusable != NULL) {
        fprintf(stream, "   cannot be used: %s\n", caps->unusable);
    }
}

static struct {
    ts_gpu_params params;
    bool pipelines, json;
} asked;

static const ts_flag flags[] = {
    {"device", NULL, TS_FLAG_TEXT, &asked.params.device, "N", "ask which one this would choose"},
    TS_CLI_MASK_FLAG(&asked.params.masks),
    {"pipelines", NULL, TS_FLAG_SWITCH, &asked.pipelines, NULL,
     "build every pipeline that training would use on it, and\nshow what its compiler tells"},
    {"json", NULL, TS_FLAG_SWITCH, &asked.json, NULL, "of --pipelines, for programs"},
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
    for (size_t i = 0; i < list.count; i++) {
        ts_cli_print_device(stdout, i, &list.caps[i]);
    }
    if (ts_cli_verbose) {
        print_masks();
    }
    printf("\nchosen: %zu, %s (%s)\n", list.chosen, list.caps[list.chosen].name, list.reason);
out:
    free(list.caps);
    return status == TS_OK ? 0 : ts_cli_fail(&ts_command_devices, err);
}

const ts_command ts_command_devices = {
    .name = "devices",
    .summary = "list what Vulkan offers here, which would be chosen, and why",
    .usage = "[--device N] [--mask-capability NAME] [--pipelines [--json]] [--verbose]",
    .flags = flags,
    .flag_count = TS_COUNT(flags),
    .run = run,
};
