// Opening a device to work with, and --precision: what the operands of the base's products are
// rounded to.
#include "cli/cli.h"

#include "ops/choices.h"

#include <stdio.h>
#include <string.h>

ts_status ts_cli_open_device(const ts_gpu_params *params, ts_gpu **out, ts_error *err)
{
    ts_status status = ts_gpu_open(params, out, err);
    return status == TS_OK ? ts_choices_apply(*out, err) : status;
}

// Matrix units that fail their test are not used: slower is better than wrong.
static void distrust(ts_gpu *gpu, ts_precision *precision)
{
    const char *name = ts_gpu_capabilities(gpu)->name;
    ts_error error = {0};
    double off = 0;
    if (ts_precision_test(gpu, *precision, &off, &error) != TS_OK) {
        ts_cli_say(stderr, "precision: f32: %s offers matrix units for %s, but: %s\n", name,
                   ts_precision_name(*precision), error.message);
        *precision = TS_PRECISION_F32;
    } else if (!(off <= 1e-6)) {
        ts_cli_say(stderr,
                   "precision: f32: %s offers matrix units for %s, but they are off by %.1e: its "
                   "driver (%s) has a bug\n",
                   name, ts_precision_name(*precision), off, ts_gpu_capabilities(gpu)->driver);
        *precision = TS_PRECISION_F32;
    } else {
        ts_cli_say(stderr, "precision: products in %s, sums in f32\n",
                   ts_precision_name(*precision));
    }
}

ts_status ts_cli_choose_precision(const char *name, ts_gpu *gpu, ts_precision *out, ts_error *err)
{
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    ts_status status = ts_precision_choose(name, caps, out, err);
    if (status == TS_OK && *out != TS_PRECISION_F32) {
        distrust(gpu, out);
    } else if (status == TS_OK && strcmp(name, "auto") != 0 && strcmp(name, "f32") != 0) {
        ts_cli_say(
            stderr,
            "precision: f32: %s uses no matrix units for %s and multiplies in f32 whatever is "
            "asked, which is more exact\n",
            caps->name, name);
    }
    return status;
}
