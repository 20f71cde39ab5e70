// What the files of the public library share: the handles, and how calls enter and leave it.
#ifndef TS_API_INTERNAL_H
#define TS_API_INTERNAL_H

#include <tinysft/tinysft.h>

#include "base/blocks.h"
#include "base/log.h"
#include "base/text.h"
#include "gpu/gpu.h"
#include "ops/gemm.h"

#include <locale.h>

// The caller for whom a handle works, and what its thread had set before the call that now runs.
typedef struct ts_api_context {
    ts_caller caller; // by which the floors below reach `given`
    tinysft_caller given;
    bool inside, stopping; // a call runs; a callback of it asked for a stop
    ts_caller *outer;
    locale_t outer_locale;
} ts_api_context;

void ts_api_context_open(ts_api_context *context, const tinysft_caller *given);

// The error that a call sets, zeroed: `given`, or `own` if the caller gave NULL.
ts_error *ts_api_error(tinysft_error *given, ts_error *own);

// Every call that does work runs between these two. Meanwhile the floors below work for this
// caller, and the thread has the C locale, so that numbers have a decimal point. TS_ERR_ARGUMENT if
// `context` is NULL, since the handle that the message calls `what` was NULL; and if a call on the
// handle is running already, since a callback must not use the device of its own call.
ts_status ts_api_enter(ts_api_context *context, const char *what, ts_error *err);
void ts_api_leave(ts_api_context *context);

// Called before and after each callback, so that it runs with the caller's own log and locale.
// `answer`: what the callback returned.
void ts_api_go_out(ts_api_context *context);
void ts_api_come_back(ts_api_context *context, tinysft_next answer);

// Shows the caller how much of a file has been read. All but the first three members start zeroed.
typedef struct ts_api_loading {
    ts_api_context *context;
    tinysft_loading tell;
    void *user;
    const char *what;
} ts_api_loading;
void ts_api_show_loading(void *loading, uint64_t done, uint64_t total);
// Sets *folder to the folder of `model`: itself, or where it is downloaded to. loading->what then
// points to the folder's name.
ts_status ts_api_find_model(const char *model, const char *revision, ts_api_loading *loading,
                            ts_text *folder, ts_error *err);

struct tinysft_device {
    ts_api_context context;
    uint32_t users; // how many: the caller's handle, models and trainings
    ts_gpu_params asked;
    ts_gpu_list list; // all devices; the chosen one is this
    char number[24];  // its place in the list
    char wanted[8];   // the precision asked for
    ts_gpu *gpu;      // NULL until it is started
    ts_precision precision;
    tinysft_device_info info;
};
// Opens the GPU and chooses the precision, if that has not been done yet.
ts_status ts_api_device_start(tinysft_device *device, ts_error *err);
// Add a user and remove one; the last one's removal frees the device.
void ts_api_device_keep(tinysft_device *device);
void ts_api_device_release(tinysft_device *device);
// ts_api_enter for a device that may be NULL.
static inline ts_status ts_api_enter_device(tinysft_device *device, ts_error *err)
{
    return ts_api_enter(device != NULL ? &device->context : NULL, "the device", err);
}

// The value of a setting: 0 means the default, and a negative number means 0.
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

// What a quantize setting asks for. NULL: weights stay as they are stored.
static inline ts_status ts_api_quantize(const char *name, ts_quantise *out, ts_error *err)
{
    *out = (ts_quantise){0};
    return name == NULL ? TS_OK : ts_quantise_parse(name, out, err);
}

#endif
