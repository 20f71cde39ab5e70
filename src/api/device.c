#include "api/inside.h"
#include "api/internal.h"

#include "base/memory.h"
#include "ops/device.h"

#include <stdio.h>
#include <stdlib.h>

static ts_status gpu_params(const tinysft_device_params *params, ts_gpu_params *out, ts_error *err)
{
    *out = (ts_gpu_params){
        .device = params->device, .validate = params->validate, .no_tuning = params->no_tuning};
    return params->hide != NULL ? ts_gpu_masks_parse(params->hide, &out->masks, err) : TS_OK;
}

tinysft_feature tinysft_device_feature(size_t index)
{
    for (size_t i = 0; ts_gpu_masks[i].name != NULL; i++) {
        if (i == index) {
            return (tinysft_feature){ts_gpu_masks[i].name, ts_gpu_masks[i].hides};
        }
    }
    return (tinysft_feature){NULL, NULL};
}

void ts_api_describe_device(const ts_gpu_caps *caps, tinysft_device_info *out)
{
    const ts_matrix_shape *f16 = &caps->matrix_f16, *bf16 = &caps->matrix_bf16;
    *out = (tinysft_device_info){
        .kind = ts_gpu_type_name(caps->type),
        .vulkan = {VK_API_VERSION_MAJOR(caps->api_version),
                   VK_API_VERSION_MINOR(caps->api_version)},
        .memory_bytes = caps->memory_bytes,
        .memory_free_bytes = caps->memory_free_bytes,
        .unified_memory = caps->unified_memory,
        .subgroup_size = caps->subgroup_size,
        .max_invocations = caps->max_invocations,
        .shared_bytes = caps->shared_bytes,
        .matrix_f16 = {f16->m, f16->n, f16->k},
        .matrix_bf16 = {bf16->m, bf16->n, bf16->k},
        .unusable = caps->unusable,
    };
    for (size_t i = 0; ts_gpu_masks[i].name != NULL; i++) {
        out->features |= (uint64_t)ts_gpu_mask_bites(&ts_gpu_masks[i], caps) << i;
    }
    snprintf(out->name, sizeof out->name, "%s", caps->name);
    snprintf(out->driver, sizeof out->driver, "%s", caps->driver);
}

// Describes a device of the list.
static void describe(const ts_gpu_list *devices, size_t index, tinysft_device_info *out)
{
    ts_api_describe_device(&devices->caps[index], out);
    out->reason = index == devices->chosen ? devices->reason : NULL;
}

static ts_status list(const tinysft_device_params *params, tinysft_device_info *out,
                      size_t capacity, size_t *count, size_t *chosen, ts_error *err)
{
    ts_status status = TS_OK;
    ts_gpu_params asked;
    ts_gpu_list found = {0};
    TS_TRY(gpu_params(params, &asked, err));
    TS_TRY(ts_gpu_enumerate(&asked, &found, err));
    for (size_t i = 0; i < found.count && i < capacity; i++) {
        describe(&found, i, &out[i]);
    }
    *count = found.count;
    *chosen = found.chosen;
out:
    ts_gpu_list_close(&found);
    return status;
}

tinysft_status tinysft_device_list(const tinysft_device_params *params, tinysft_device_info *out,
                                   size_t capacity, size_t *count, size_t *chosen,
                                   tinysft_error *error)
{
    static const tinysft_device_params none;
    size_t ignored[2];
    ts_error own, *err = ts_api_error(error, &own);
    ts_api_context context;
    params = params != NULL ? params : &none;
    if (out == NULL && capacity > 0) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "there is no room for %zu devices: out is NULL",
                            capacity);
    }
    count = count != NULL ? count : &ignored[0];
    chosen = chosen != NULL ? chosen : &ignored[1];
    *count = *chosen = 0;
    ts_api_context_open(&context, &params->caller);
    ts_status status = ts_api_enter(&context, "the list", err);
    if (status == TS_OK) {
        status = list(params, out, capacity, count, chosen, err);
        ts_api_leave(&context);
    }
    return status;
}

static ts_status open_device(tinysft_device *device, const tinysft_device_params *params,
                             ts_error *err)
{
    ts_status status = TS_OK;
    const char *precision = ts_api_text(params->precision, "auto");
    TS_TRY(gpu_params(params, &device->asked, err));
    // Reports a wrong name at once. Which precision it means is decided when the device is started.
    TS_TRY(ts_precision_choose(precision, &(ts_gpu_caps){0}, &device->precision, err));
    snprintf(device->wanted, sizeof device->wanted, "%s", precision);
    TS_TRY(ts_gpu_enumerate(&device->asked, &device->list, err));
    snprintf(device->number, sizeof device->number, "%zu", device->list.chosen);
    device->asked.device = params->device != NULL ? device->number : NULL;
    describe(&device->list, device->list.chosen, &device->info);
out:
    return status;
}

ts_status ts_api_device_start(tinysft_device *device, ts_error *err)
{
    ts_status status = TS_OK;
    if (device->gpu != NULL) {
        return TS_OK;
    }
    if (device->list.instance == NULL) { // an earlier start failed
        ts_gpu_list_close(&device->list);
        TS_TRY(ts_gpu_enumerate(&device->asked, &device->list, err));
    }
    TS_TRY(ts_device_open_listed(&device->list, &device->asked, &device->gpu, err));
    TS_TRY(ts_device_choose_precision(device->gpu, device->wanted, &device->precision, err));
    device->info.precision = ts_precision_name(device->precision);
out:
    if (status != TS_OK) {
        ts_gpu_close(device->gpu);
        device->gpu = NULL;
    }
    return status;
}

tinysft_status tinysft_device_start(tinysft_device *device, tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    ts_status status = ts_api_enter_device(device, err);
    if (status == TS_OK) {
        status = ts_api_device_start(device, err);
        ts_api_leave(&device->context);
    }
    return status;
}

tinysft_status tinysft_device_open(const tinysft_device_params *params, tinysft_device **out,
                                   tinysft_error *error)
{
    static const tinysft_device_params none;
    ts_error own, *err = ts_api_error(error, &own);
    tinysft_device *device = NULL;
    if (out == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "there is no place for the device: out is NULL");
    }
    *out = NULL;
    params = params != NULL ? params : &none;
    ts_status status = ts_alloc(1, sizeof *device, &device, err);
    if (status != TS_OK) {
        return status;
    }
    device->users = 1;
    ts_api_context_open(&device->context, &params->caller);
    status = ts_api_enter(&device->context, "the device", err);
    if (status == TS_OK) {
        status = open_device(device, params, err);
        ts_api_leave(&device->context);
    }
    if (status != TS_OK) {
        ts_api_device_release(device);
        return status;
    }
    *out = device;
    return TS_OK;
}

void ts_api_device_keep(tinysft_device *device)
{
    device->users++;
}

void ts_api_device_release(tinysft_device *device)
{
    ts_error ignored;
    if (device == NULL || --device->users > 0) {
        return;
    }
    if (ts_api_enter(&device->context, "the device", &ignored) == TS_OK) {
        ts_gpu_close(device->gpu);
        ts_gpu_list_close(&device->list);
        ts_api_leave(&device->context);
    }
    free(device);
}

void tinysft_device_close(tinysft_device **device)
{
    if (device == NULL || *device == NULL || (*device)->context.inside) {
        return; // a callback must not close what its own call uses
    }
    ts_api_device_release(*device);
    *device = NULL;
}

const tinysft_device_info *tinysft_device_describe(const tinysft_device *device)
{
    return device != NULL ? &device->info : NULL;
}
