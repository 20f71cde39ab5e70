// What the files of the public face share: the handles, and the way into and out of the library.
#ifndef TS_API_INTERNAL_H
#define TS_API_INTERNAL_H

#include <tinysft/tinysft.h>

#include "base/blocks.h"
#include "base/log.h"
#include "base/text.h"
#include "gpu/gpu.h"
#include "ops/gemm.h"

#include <locale.h>

// For whom a handle works, and what its thread had been doing before the call that now runs.
typedef struct ts_api_context {
    ts_caller caller; // how the floors below reach it
    tinysft_caller given;
    bool inside, stopping; // a call runs; a callback of it asked for a stop
    ts_caller *outer;
    locale_t outer_locale;
} ts_api_context;

void ts_api_context_open(ts_api_context *context, const tinysft_caller *given);

// The error that a call fills, zeroed: the caller's, or where it gave none the call's own.
ts_error *ts_api_error(tinysft_error *given, ts_error *own);

// Every call that works is between these two: the floors below are told for whom they work, and
// numbers have a decimal point. TS_ERR_ARGUMENT where `context` is NULL, for the handle `what` was
// NULL, and where a call of it runs already: a callback has used its own device.
ts_status ts_api_enter(ts_api_context *context, const char *what, ts_error *err);
void ts_api_leave(ts_api_context *context);

// Around each callback, which runs as the caller's own code does.
void ts_api_go_out(ts_api_context *context);
void ts_api_come_back(ts_api_context *context, tinysft_next answer);

// A file that is read: shows it to the caller. Starts zeroed but for the first three.
typedef struct ts_api_loading {
    ts_api_context *context;
    tinysft_loading tell;
    void *user;
    const char *what;
} ts_api_loading;
void ts_api_show_loading(void *loading, uint64_t done, uint64_t total);
// The folder of `model`: itself, or where it was downloaded to. *base is borrowed.
ts_status ts_api_find_model(const char *model, const char *revision, ts_api_loading *loading,
                            ts_text *folder, ts_error *err);

struct tinysft_device {
    ts_api_context context;
    uint32_t users; // the caller's handle, models and trainings
    ts_gpu_params asked;
    ts_gpu_list list; // what there is, of which the chosen one is it
    char number[24];  // of it in the list
    char wanted[8];   // precision
    ts_gpu *gpu;      // NULL until it is started
    ts_precision precision;
    tinysft_device_info info;
};
ts_status ts_api_device_start(tinysft_device *device, ts_error *err);
void ts_api_device_keep(tinysft_device *device);
void ts_api_device_release(tinysft_device *device);
// ts_api_enter for a device that may be NULL.
static inline ts_status ts_api_enter_device(tinysft_device *device, ts_error *err)
{
    return ts_api_enter(device != NULL ? &device->context : NULL, "the device", err);
}

// A setting: zero means the default, and below zero means 0.
static inline double ts_api_real(double given, double standard)
{
    return given == 0 ? standard : given < 0 ? 0 : given;
}
static inline uint64_t ts_api_count(int64_t given, uint64_t standard)
{
    return given == 0 ? standard : given < 0 ? 0 : (uint64_t)given;
}
static inline const char *ts_api_text(const char *given, const char *standard)
{
    return given == NULL ? standard : given;
}

// What a quantize setting means: TS_F32 for as the weights are stored.
static inline ts_status ts_api_quantize(const char *name, ts_dtype *out, ts_error *err)
{
    *out = TS_F32;
    return name == NULL || ts_blocks_parse(name, out)
               ? TS_OK
               : ts_error_set(err, TS_ERR_ARGUMENT, "--quantize %s: there is q8_0", name);
}

#endif
