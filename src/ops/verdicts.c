// Applies doctor's verdicts to a device that is opened.
#include "base/log.h"
#include "base/memory.h"
#include "ops/attention.h"
#include "ops/choices.h"
#include "ops/gemm.h"

#include <string.h>

// Whether this device would use the row's first shader, given what is already left out.
static bool uses_general(const ts_gpu_caps *caps, ts_kernel kernel)
{
    struct ts_gemm_args wide = {.m = 64, .n = 64, .k = 64, .lda = 64, .ldb = 64, .ldc = 64};
    if (kernel == TS_KERNEL_gemm) {
        ts_gemm_choose(caps, TS_NT, &wide);
        return wide.shader == 0;
    }
    return !ts_attention_has_tile(kernel) || ts_attention_choose(caps, kernel, 64).shader == 0;
}

static void leave_out(ts_gpu *gpu, ts_kernel kernel)
{
    for (uint32_t i = 0; ts_kernels[kernel].shaders[i].name != NULL; i++) {
        const char *shader = ts_kernels[kernel].shaders[i].name;
        ts_verdict verdict = ts_choices_verdict(gpu, shader);
        if (ts_verdict_leaves_out(verdict) && ts_kernel_has_fallback(kernel, i)) {
            ts_log(TS_LOG_WARN,
                   "%s is left out: `tinysft-vk doctor` found it %s on %s; run it again after the "
                   "driver changed, or `tinysft-vk doctor --forget`",
                   shader, ts_verdict_name(verdict), ts_gpu_capabilities(gpu)->name);
            ts_gpu_leave_out(gpu, shader);
        }
    }
}

ts_status ts_choices_apply(ts_gpu *gpu, ts_error *err)
{
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    for (int kernel = 0; kernel < TS_KERNEL_COUNT; kernel++) {
        const char *first = ts_kernels[kernel].shaders[0].name;
        leave_out(gpu, (ts_kernel)kernel);
        if (!ts_kernel_has_fallback((ts_kernel)kernel, 0) &&
            uses_general(caps, (ts_kernel)kernel) &&
            ts_choices_verdict(gpu, first) == TS_VERDICT_BROKEN) {
            return ts_error_set(err, TS_ERR_SHADER,
                                "%s (%s) gets shader %s wrong, which nothing can replace: "
                                "`tinysft-vk doctor` shows it; install a newer driver or take "
                                "another --device, then run doctor again",
                                caps->name, caps->driver, first);
        }
    }
    return TS_OK;
}
