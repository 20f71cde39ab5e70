// What a device reports about itself, read once.
#include "gpu/internal.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

bool ts_gpu_is_simd(const ts_gpu_caps *caps)
{
    const VkSubgroupFeatureFlags needed =
        VK_SUBGROUP_FEATURE_SHUFFLE_BIT | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT;
    return ts_gpu_is_cpu(caps) && (caps->subgroup_operations & needed) == needed;
}

const char *ts_gpu_type_name(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return "discrete GPU";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return "integrated GPU";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return "virtual GPU";
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return "CPU";
    default:
        return "other";
    }
}

static const char NO_MEMORY[] = "it reports no memory"; // compared by address

bool ts_gpu_lacks_only_memory(const ts_gpu_caps *caps)
{
    return caps->unusable == NO_MEMORY;
}

uint32_t ts_gpu_queue_family(VkPhysicalDevice physical, uint32_t *timestamp_bits)
{
    VkQueueFamilyProperties families[32];
    uint32_t count = TS_COUNT(families);
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, families);
    for (uint32_t i = 0; i < count; i++) {
        if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) {
            *timestamp_bits = families[i].timestampValidBits;
            return i;
        }
    }
    return UINT32_MAX;
}

const char *ts_gpu_check_limits(const VkPhysicalDeviceLimits *limits)
{
    uint32_t buffers = (uint32_t)ts_min_u64(
        limits->maxPerStageDescriptorStorageBuffers,
        ts_min_u64(limits->maxDescriptorSetStorageBuffers, limits->maxPerStageResources));
    if (buffers < TS_MAX_VIEWS) {
        return "a shader of its reads and writes fewer than the 12 buffers that training needs";
    }
    if (limits->minStorageBufferOffsetAlignment > TS_VIEW_ALIGNMENT) {
        return "its tensors would have to start at larger steps than 256 bytes";
    }
    return NULL;
}

void ts_gpu_read_caps(VkPhysicalDevice physical, ts_gpu_caps *caps)
{
    VkPhysicalDeviceDriverProperties driver = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    VkPhysicalDeviceSubgroupProperties subgroup = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES, .pNext = &driver};
    VkPhysicalDeviceMaintenance3Properties sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES, .pNext = &subgroup};
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &sizes};
    vkGetPhysicalDeviceProperties2(physical, &properties);
    const VkPhysicalDeviceProperties *p = &properties.properties;
    *caps = (ts_gpu_caps){
        .api_version = p->apiVersion,
        .type = p->deviceType,
        .subgroup_size = subgroup.subgroupSize,
        .subgroup_operations = subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT
                                   ? subgroup.supportedOperations
                                   : 0,
        .max_invocations = (uint32_t)ts_min_u64(p->limits.maxComputeWorkGroupInvocations,
                                                p->limits.maxComputeWorkGroupSize[0]),
        .shared_bytes = p->limits.maxComputeSharedMemorySize,
        .max_binding_bytes = p->limits.maxStorageBufferRange,
        .max_allocation_bytes = sizes.maxMemoryAllocationSize,
        .view_alignment = (uint32_t)p->limits.minStorageBufferOffsetAlignment,
        .timestamp_ns = p->limits.timestampPeriod,
    };
    memcpy(caps->max_groups, p->limits.maxComputeWorkGroupCount, sizeof caps->max_groups);
    snprintf(caps->name, sizeof caps->name, "%s", p->deviceName);
    snprintf(caps->driver, sizeof caps->driver, "%s %s", driver.driverName, driver.driverInfo);
    ts_gpu_read_memory(physical, caps);
    ts_gpu_read_features(physical, caps);
    uint32_t bits = 0;
    if (p->apiVersion < VK_API_VERSION_1_2) {
        caps->unusable = "its driver has no Vulkan 1.2; a newer driver may";
    } else if (ts_gpu_queue_family(physical, &bits) == UINT32_MAX) {
        caps->unusable = "it has no queue that computes";
    } else if (ts_gpu_check_limits(&p->limits) != NULL) {
        caps->unusable = ts_gpu_check_limits(&p->limits);
    } else if (caps->memory_bytes == 0) {
        caps->unusable = NO_MEMORY;
    }
    caps->timestamp_ns = bits > 0 ? caps->timestamp_ns : 0;
    caps->timestamp_mask = bits < 64 ? (UINT64_C(1) << bits) - 1 : UINT64_MAX;
}
