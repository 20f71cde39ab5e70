#include "check/verify.h"

#include "base/memory.h"
#include "cli/cli.h"

#include <stdio.h>

static void print_result(const ts_verify_params *params, const ts_gpu_caps *caps,
                         const ts_verify_result *result)
{
    printf("%s, %s on %s (%s)\n", params->folder, ts_precision_name(params->precision), caps->name,
           caps->driver);
    for (size_t i = 0; i < result->count; i++) {
        const ts_verify_row *row = &result->rows[i];
        printf("  %-66s %9.2e  ", row->name, row->error);
        if (row->tolerance > 0) {
            bool holds = row->error <= row->tolerance;
            printf("tolerance %7.0e  %s\n", row->tolerance, holds ? "ok" : "FAILED");
        } else {
            printf("for information\n");
        }
    }
    puts(result->passed ? "all within tolerance" : "NOT within tolerance");
}

static struct {
    const char *precision, *dump, *folder[1];
    ts_gpu_params device;
} asked = {.precision = "f32"};

static const ts_flag flags[] = {
    {"precision", NULL, TS_FLAG_TEXT, &asked.precision, "P", TS_CLI_PRECISION_HELP " [f32]",
     .choice = ts_choice_precision},
    {"device", NULL, TS_FLAG_TEXT, &asked.device.device, "N", "number or part of the name"},
    TS_CLI_MASK_FLAG(&asked.device.masks),
    TS_CLI_NO_TUNE_FLAG(&asked.device.no_tuning),
    {"dump", NULL, TS_FLAG_TEXT, &asked.dump, "FILE",
     "write what was computed as safetensors:\nmicro{i}.logits, grad.KEY, losses, grad_norms, "
     "lrs, final.KEY"},
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
    TS_TRY(ts_cli_open_device(&asked.device, &gpu, err));
    TS_TRY(ts_cli_choose_precision(asked.precision, gpu, &params.precision, err));
    TS_TRY(ts_verify(gpu, &params, &result, err));
    print_result(&params, ts_gpu_capabilities(gpu), &result);
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
