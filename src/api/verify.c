#include "api/internal.h"

#include "check/verify.h"

#include <stdio.h>

static ts_status verify(tinysft_device *device, const tinysft_verify_params *params,
                        tinysft_verify_result *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_verify_result result = {0};
    if (params == NULL || params->folder == NULL || out == NULL) {
        TS_FAIL(TS_ERR_ARGUMENT, "%s",
                out == NULL ? "out is NULL" : "no folder of a case is named");
    }
    *out = (tinysft_verify_result){0};
    TS_TRY(ts_api_device_start(device, err));
    const ts_verify_params wanted = {
        .folder = params->folder, .precision = device->precision, .dump = params->dump};
    TS_TRY(ts_verify(device->gpu, &wanted, &result, err));
    for (size_t i = 0; i < result.count; i++) {
        tinysft_verify_row *row = &out->rows[out->count++];
        snprintf(row->name, sizeof row->name, "%s", result.rows[i].name);
        row->error = result.rows[i].error;
        row->tolerance = result.rows[i].tolerance;
    }
    out->passed = result.passed;
out:
    return status;
}

tinysft_status tinysft_verify(tinysft_device *device, const tinysft_verify_params *params,
                              tinysft_verify_result *out, tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    ts_status status = ts_api_enter_device(device, err);
    if (status == TS_OK) {
        status = verify(device, params, out, err);
        ts_api_leave(&device->context);
    }
    return status;
}
