#include "ops/device.h"

#include "base/log.h"
#include "ops/attention.h"
#include "ops/choices.h"

#include <string.h>

ts_status ts_device_open_listed(ts_gpu_list *list, const ts_gpu_params *params, ts_gpu **out,
                                ts_error *err)
{
    ts_status status = ts_gpu_open_listed(list, params, out, err);
    return status == TS_OK ? ts_choices_apply(*out, err) : status;
}

ts_status ts_device_open(const ts_gpu_params *params, ts_gpu **out, ts_error *err)
{
    ts_status status = ts_gpu_open(params, out, err);
    return status == TS_OK ? ts_choices_apply(*out, err) : status;
}

static bool test_attention(ts_gpu *gpu, ts_precision precision, uint32_t dim)
{
    bool right = false;
    ts_error error = {0};
    if (ts_attention_test(gpu, precision, dim, &right, &error) != TS_OK) {
        ts_log(TS_LOG_WARN, "attention in 16 bits: %s", error.message);
    }
    return right;
}

void ts_device_test_attention(ts_gpu *gpu, ts_precision precision, uint32_t dim)
{
    if (precision != TS_PRECISION_F32 && dim != TS_TESTED_DIM && !ts_gpu_is_compile_only(gpu)) {
        test_attention(gpu, precision, dim);
    }
}

static void test_rounding(ts_gpu *gpu, ts_precision *precision)
{
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    const char *name = ts_precision_name(*precision);
    ts_error error = {0};
    double off = 0;
    if (ts_precision_test(gpu, *precision, &off, &error) != TS_OK) {
        ts_log(TS_LOG_INFO, "precision: f32: %s offers products in %s, but: %s", caps->name, name,
               error.message);
        *precision = TS_PRECISION_F32;
    } else if (!(off <= 1e-6)) { // NaN fails too
        ts_log(TS_LOG_INFO,
               "precision: f32: %s offers products in %s, but they are off by %.1e: its "
               "driver (%s) has a bug",
               caps->name, name, off, caps->driver);
        *precision = TS_PRECISION_F32;
    } else {
        const bool attends = test_attention(gpu, *precision, TS_TESTED_DIM);
        ts_log(TS_LOG_INFO, "precision: products %sin %s, sums in f32",
               attends ? "and attention " : "", name);
    }
}

ts_status ts_device_choose_precision(ts_gpu *gpu, const char *name, ts_precision *out,
                                     ts_error *err)
{
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    ts_status status = ts_precision_choose(name, caps, out, err);
    if (status == TS_OK && *out != TS_PRECISION_F32) {
        test_rounding(gpu, out);
    } else if (status == TS_OK && strcmp(name, "auto") != 0 && strcmp(name, "f32") != 0) {
        ts_log(
            TS_LOG_INFO,
            "precision: f32: %s has no shader for products in %s and multiplies in f32 whatever is "
            "asked, which is more exact",
            caps->name, name);
    }
    return status;
}
