// What the driver's compiler reports about the pipelines that it built.
#include "gpu/internal.h"

#include "base/memory.h"

#include <stdio.h>

bool ts_gpu_enable_figures(VkPhysicalDevice physical, struct ts_gpu_features *features)
{
    const char *name = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
    if (!ts_gpu_has_extension(physical, name)) {
        return false;
    }
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR offered = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR};
    VkPhysicalDeviceFeatures2 all = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                     .pNext = &offered};
    vkGetPhysicalDeviceFeatures2(physical, &all);
    if (!offered.pipelineExecutableInfo) {
        return false;
    }
    features->figures = (VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pNext = (void *)(uintptr_t)features->chain,
        .pipelineExecutableInfo = true};
    features->chain = &features->figures;
    features->extensions[features->extension_count++] = name;
    return true;
}

size_t ts_gpu_pipeline_count(const ts_gpu *gpu)
{
    return gpu->pipeline_count;
}

const ts_pipeline_key *ts_gpu_pipeline_key(const ts_gpu *gpu, size_t index)
{
    return &gpu->pipelines[index].key;
}

static double value_of(const VkPipelineExecutableStatisticKHR *statistic)
{
    switch (statistic->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR:
        return statistic->value.b32;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
        return (double)statistic->value.i64;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR:
        return (double)statistic->value.u64;
    default:
        return statistic->value.f64;
    }
}

ts_status ts_gpu_pipeline_figures(ts_gpu *gpu, size_t index, ts_pipeline_figures *out,
                                  ts_error *err)
{
    ts_status status = TS_OK;
    *out = (ts_pipeline_figures){0};
    if (!gpu->has_figures) {
        return TS_OK;
    }
    VkPipelineExecutableStatisticKHR statistics[TS_COUNT(out->items)] = {0};
    uint32_t count = TS_COUNT(statistics);
    for (uint32_t i = 0; i < count; i++) {
        statistics[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
    }
    const VkPipelineExecutableInfoKHR info = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
        .pipeline = gpu->pipelines[index].handle}; // a compute pipeline has one executable
    VkResult result =
        gpu->vk.vkGetPipelineExecutableStatisticsKHR(gpu->device, &info, &count, statistics);
    if (result != VK_INCOMPLETE) { // more than there is room for is no error
        TS_TRY(ts_gpu_check(result, "vkGetPipelineExecutableStatisticsKHR", err));
    }
    for (uint32_t i = 0; i < count; i++) {
        snprintf(out->items[i].name, sizeof out->items[i].name, "%s", statistics[i].name);
        out->items[i].value = value_of(&statistics[i]);
    }
    out->count = count;
out:
    return status;
}
