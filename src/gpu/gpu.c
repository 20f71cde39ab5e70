#include "gpu/internal.h"

#include "base/log.h"
#include "base/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

ts_status ts_gpu_check(VkResult result, const char *what, ts_error *err)
{
    switch (result) {
    case VK_SUCCESS:
        return TS_OK;
    case VK_ERROR_OUT_OF_HOST_MEMORY:
        return ts_error_set(err, TS_ERR_MEMORY, "%s: out of host memory", what);
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
        return ts_error_set(err, TS_ERR_MEMORY, "%s: out of device memory", what);
    case VK_ERROR_MEMORY_MAP_FAILED:
        return ts_error_set(err, TS_ERR_MEMORY, "%s: the host has no room to map it", what);
    case VK_ERROR_DEVICE_LOST:
        return ts_error_set(err, TS_ERR_LOST,
                            "%s: the driver reports the device as lost (a hang or a reset)", what);
    default:
        return ts_error_set(err, TS_ERR_DEVICE, "%s: failed with VkResult %d", what, result);
    }
}

double ts_gpu_ticks_s(const ts_gpu_caps *caps, uint64_t begin, uint64_t end)
{
    if (end < begin && caps->timestamp_mask == UINT64_MAX) {
        return -1; // a 64-bit counter does not start again at 0: the driver errs
    }
    return 1e-9 * (double)caps->timestamp_ns * (double)((end - begin) & caps->timestamp_mask);
}

static ts_status open_device(ts_gpu *gpu, ts_error *err)
{
    uint32_t bits;
    gpu->queue_family = ts_gpu_queue_family(gpu->physical, &bits);
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = gpu->queue_family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    struct ts_gpu_features features;
    const VkPhysicalDeviceFeatures core = {.shaderInt64 = gpu->caps.has_int64,
                                           .shaderInt16 = gpu->caps.has_bfloat16};
    ts_gpu_enable_features(&gpu->caps, &features);
    gpu->has_figures = gpu->compile_only && ts_gpu_enable_figures(gpu->physical, &features);
    gpu->keeps_listings = gpu->has_figures && gpu->keeps_listings;
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .pNext = features.chain,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
                                     .pEnabledFeatures = &core,
                                     .enabledExtensionCount = features.extension_count,
                                     .ppEnabledExtensionNames = features.extensions};
    ts_status status = ts_gpu_check(vkCreateDevice(gpu->physical, &info, NULL, &gpu->device),
                                    "vkCreateDevice", err);
    if (status == TS_OK) {
        volkLoadDeviceTable(&gpu->vk, gpu->device);
        gpu->vk.vkGetDeviceQueue(gpu->device, gpu->queue_family, 0, &gpu->queue);
        vkGetPhysicalDeviceMemoryProperties(gpu->physical, &gpu->memory);
    }
    return status;
}

ts_status ts_gpu_open_listed(ts_gpu_list *list, const ts_gpu_params *params, ts_gpu **out,
                             ts_error *err)
{
    ts_status status = TS_OK;
    ts_gpu *gpu = NULL;
    const char *tune = getenv("TINYSFT_TUNE");
    assert(list->instance != NULL);
    TS_TRY(ts_alloc(1, sizeof *gpu, &gpu, err));
    gpu->caps = list->caps[list->chosen];
    gpu->compile_only = params->compile_only;
    gpu->keeps_listings = params->listings;
    gpu->no_tuning = params->no_tuning || (tune != NULL && strcmp(tune, "off") == 0);
    bool allowed = gpu->compile_only && ts_gpu_lacks_only_memory(&gpu->caps);
    if (gpu->caps.unusable != NULL && !allowed) {
        TS_FAIL(TS_ERR_DEVICE, "%s cannot be used: %s", gpu->caps.name, gpu->caps.unusable);
    }
    if (ts_gpu_is_cpu(&gpu->caps) && params->device == NULL) {
        ts_log(TS_LOG_WARN,
               "running on the CPU (%s): no GPU with a Vulkan driver was found; "
               "`tinysft-vk devices` lists what there is",
               gpu->caps.name);
    }
    gpu->instance = list->instance;
    list->instance = NULL;
    gpu->physical = ts_gpu_instance_device(gpu->instance, list->chosen);
    ts_volk_lock();
    status = open_device(gpu, err);
    if (status == TS_OK) {
        status = ts_gpu_pipelines_open(gpu, err);
    }
    ts_volk_unlock();
out:
    if (status != TS_OK) {
        ts_gpu_close(gpu);
        gpu = NULL;
    }
    *out = gpu;
    return status;
}

ts_status ts_gpu_open(const ts_gpu_params *params, ts_gpu **out, ts_error *err)
{
    ts_gpu_list list;
    *out = NULL;
    ts_status status = ts_gpu_enumerate(params, &list, err);
    if (status == TS_OK) {
        status = ts_gpu_open_listed(&list, params, out, err);
    }
    ts_gpu_list_close(&list);
    return status;
}

ts_status ts_gpu_open_mirror(ts_gpu **out, ts_error *err)
{
    ts_status status = ts_alloc(1, sizeof **out, out, err);
    if (status == TS_OK) {
        (*out)->mirror = true;
        (*out)->caps = (ts_gpu_caps){.name = "mirror",
                                     .type = VK_PHYSICAL_DEVICE_TYPE_CPU,
                                     .subgroup_size = 8,
                                     .max_invocations = UINT32_MAX,
                                     .max_subgroups = UINT32_MAX,
                                     .shared_bytes = UINT32_MAX,
                                     .max_groups = {UINT32_MAX, UINT32_MAX, UINT32_MAX},
                                     .max_binding_bytes = UINT64_MAX,
                                     .max_allocation_bytes = UINT64_MAX,
                                     .memory_bytes = UINT64_MAX,
                                     .memory_free_bytes = UINT64_MAX,
                                     .unified_memory = true};
    }
    return status;
}

bool ts_gpu_is_mirror(const ts_gpu *gpu)
{
    return gpu->mirror;
}

void ts_gpu_watch(ts_gpu *gpu,
                  void (*seen)(void *context, size_t pipeline, const struct ts_dispatch *dispatch),
                  void *context)
{
    gpu->seen = seen;
    gpu->watcher = context;
}

bool ts_gpu_is_compile_only(const ts_gpu *gpu)
{
    return gpu->compile_only;
}

void ts_gpu_close(ts_gpu *gpu)
{
    if (gpu == NULL) {
        return;
    }
    for (size_t i = 0; i < TS_GPU_SLOTS; i++) {
        if (gpu->attached[i].thing != NULL) {
            gpu->attached[i].close(gpu->attached[i].thing);
        }
    }
    if (gpu->device != VK_NULL_HANDLE) {
        ts_gpu_pipelines_close(gpu);
        gpu->vk.vkDestroyDevice(gpu->device, NULL);
    }
    ts_gpu_instance_close(gpu->instance);
    free(gpu);
}

const ts_gpu_caps *ts_gpu_capabilities(const ts_gpu *gpu)
{
    return &gpu->caps;
}

void ts_gpu_attach(ts_gpu *gpu, uint32_t slot, void *attached, void (*close)(void *attached))
{
    assert(slot < TS_GPU_SLOTS && gpu->attached[slot].thing == NULL);
    gpu->attached[slot].thing = attached;
    gpu->attached[slot].close = close;
}

void *ts_gpu_attached(const ts_gpu *gpu, uint32_t slot)
{
    return gpu->attached[slot].thing;
}

bool ts_gpu_may_tune(const ts_gpu *gpu)
{
    return !gpu->mirror && !gpu->compile_only && !gpu->no_tuning;
}

bool ts_gpu_leaves_out(const ts_gpu_caps *caps, const char *shader)
{
    for (size_t i = 0; caps->left_out[i] != NULL; i++) {
        if (strcmp(caps->left_out[i], shader) == 0) {
            return true;
        }
    }
    return false;
}

void ts_gpu_caps_leave_out(ts_gpu_caps *caps, const char *shader)
{
    size_t count = 0;
    while (caps->left_out[count] != NULL) {
        count++;
    }
    if (count < TS_GPU_MOST_LEFT_OUT && !ts_gpu_leaves_out(caps, shader)) {
        caps->left_out[count] = shader; // the NULL behind it stays
    }
}

void ts_gpu_leave_out(ts_gpu *gpu, const char *shader)
{
    ts_gpu_caps_leave_out(&gpu->caps, shader);
}
