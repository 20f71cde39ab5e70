// Opens and closes the device that tests run on. Closing it asserts that the validation layer, if
// it runs (TINYSFT_VALIDATE=1), reported nothing. TINYSFT_DEVICE selects another device.
#ifndef TESTS_DEVICE_H
#define TESTS_DEVICE_H

#include "gpu/recorder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define MUST(call)                                                                                 \
    do {                                                                                           \
        ts_error must_err = {0}, *err = &must_err;                                                 \
        ts_status must_status = (call);                                                            \
        (void)err;                                                                                 \
        cr_assert_eq(must_status, TS_OK, "%s: %s", #call, must_err.message);                       \
    } while (0)

// With `masks`, names of capabilities to hide (gpu.h); "": none.
static inline ts_gpu *test_gpu_open_masked(const char *masks)
{
    ts_gpu *gpu = NULL;
    const char *device = getenv("TINYSFT_DEVICE");
    ts_gpu_params params = {.device = device != NULL ? device : "0"};
    MUST(masks[0] != 0 ? ts_gpu_masks_parse(masks, &params.masks, err) : TS_OK);
    MUST(ts_gpu_open(&params, &gpu, err));
    return gpu;
}

static inline ts_gpu *test_gpu_open(void)
{
    return test_gpu_open_masked("");
}

static inline void test_gpu_close(ts_gpu *gpu)
{
    ts_gpu_close(gpu);
    cr_assert_eq(ts_gpu_validation_messages(), 0, "the validation layer has something to say");
}

#endif
