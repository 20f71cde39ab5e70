// What the driver's compiler reports about the pipelines that it built.
#include "gpu/internal.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

ts_status ts_gpu_pipeline_subgroup(ts_gpu *gpu, size_t index, uint32_t *out, ts_error *err)
{
    uint32_t count = 1;
    VkPipelineExecutablePropertiesKHR properties = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR};
    const VkPipelineInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR,
                                    .pipeline = gpu->pipelines[index].handle};
    *out = 0;
    if (!gpu->has_figures) {
        return TS_OK;
    }
    VkResult result =
        gpu->vk.vkGetPipelineExecutablePropertiesKHR(gpu->device, &info, &count, &properties);
    *out = count > 0 ? properties.subgroupSize : 0;
    return result == VK_INCOMPLETE
               ? TS_OK
               : ts_gpu_check(result, "vkGetPipelineExecutablePropertiesKHR", err);
}

// Of a compiler's representations the one nearest to the machine: the last whose name says that it
// is assembly, else the last that is text.
static const VkPipelineExecutableInternalRepresentationKHR *
find_listing(const VkPipelineExecutableInternalRepresentationKHR *all, uint32_t count)
{
    const VkPipelineExecutableInternalRepresentationKHR *found = NULL;
    bool sure = false;
    for (uint32_t i = 0; i < count; i++) {
        bool assembly = strstr(all[i].name, "ssembly") != NULL;
        if (all[i].isText && all[i].dataSize > 1 && (assembly || !sure)) {
            found = &all[i];
            sure = assembly;
        }
    }
    return found;
}

ts_status ts_gpu_pipeline_listing(ts_gpu *gpu, size_t index, ts_text *out, ts_error *err)
{
    enum { MOST = 16, MOST_BYTES = 8 << 20 };
    ts_status status = TS_OK;
    VkPipelineExecutableInternalRepresentationKHR all[MOST] = {0};
    uint32_t count = MOST;
    const VkPipelineExecutableInfoKHR info = {.sType =
                                                  VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
                                              .pipeline = gpu->pipelines[index].handle};
    for (uint32_t i = 0; i < MOST; i++) {
        all[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR;
    }
    if (!gpu->keeps_listings) {
        return TS_OK;
    }
    for (int filling = 0; filling < 2; filling++) { // at first it tells how long each is
        VkResult result = gpu->vk.vkGetPipelineExecutableInternalRepresentationsKHR(
            gpu->device, &info, &count, all);
        if (result != VK_INCOMPLETE) { // more or longer ones than there is room for are no error
            TS_TRY(ts_gpu_check(result, "vkGetPipelineExecutableInternalRepresentationsKHR", err));
        }
        for (uint32_t i = 0; i < count && filling == 0; i++) {
            all[i].dataSize = ts_min_u64(all[i].dataSize, MOST_BYTES);
            TS_TRY(ts_alloc(all[i].dataSize + 1, 1, &all[i].pData, err));
        }
    }
    const VkPipelineExecutableInternalRepresentationKHR *found = find_listing(all, count);
    if (found != NULL) {
        TS_TRY(ts_text_format(out, err, "%.*s", (int)found->dataSize, (const char *)found->pData));
    }
out:
    for (uint32_t i = 0; i < MOST; i++) {
        free(all[i].pData);
    }
    return status;
}
