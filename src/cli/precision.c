// --precision: what the operands of the base's products are rounded to.
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

ts_status ts_cli_choose_precision(const char *name, const ts_gpu *gpu, ts_precision *out,
                                  ts_error *err)
{
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    ts_status status = ts_precision_choose(name, caps, out, err);
    if (status == TS_OK && strcmp(name, "auto") != 0 &&
        strcmp(name, ts_precision_name(*out)) != 0) {
        fprintf(stderr,
                "precision: f32: %s has no matrix units for %s, and without them f32 is as fast "
                "and more exact\n",
                caps->name, name);
    } else if (status == TS_OK && *out != TS_PRECISION_F32) {
        fprintf(stderr, "precision: products in %s, sums in f32\n", ts_precision_name(*out));
    }
    return status;
}
