// How much memory a device has, and how much of it is free.
#include "gpu/internal.h"

#include "base/memory.h"
#include "base/os.h"

// Free bytes of a heap by its budget, which is what this process may take in all. A budget of 0
// means that the driver does not know it.
static uint64_t free_by_budget(uint64_t size, uint64_t budget, uint64_t usage)
{
    return budget == 0 ? size : ts_min_u64(size, budget - ts_min_u64(budget, usage));
}

void ts_gpu_weigh_memory(const VkPhysicalDeviceMemoryProperties *memory,
                         const VkPhysicalDeviceMemoryBudgetPropertiesEXT *budget,
                         uint64_t host_bytes, uint64_t host_free_bytes, ts_gpu_caps *caps)
{
    bool integrated = caps->type == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU;
    caps->memory_bytes = caps->memory_free_bytes = 0;
    caps->unified_memory = integrated || ts_gpu_is_cpu(caps);
    for (uint32_t i = 0; i < ts_min_u64(memory->memoryTypeCount, VK_MAX_MEMORY_TYPES); i++) {
        caps->cached_memory |=
            (memory->memoryTypes[i].propertyFlags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT) != 0;
    }
    for (uint32_t i = 0; i < ts_min_u64(memory->memoryHeapCount, VK_MAX_MEMORY_HEAPS); i++) {
        const VkMemoryHeap *heap = &memory->memoryHeaps[i];
        if ((heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) && heap->size > caps->memory_bytes) {
            caps->memory_bytes = heap->size;
            caps->memory_free_bytes =
                budget == NULL
                    ? heap->size
                    : free_by_budget(heap->size, budget->heapBudget[i], budget->heapUsage[i]);
        }
    }
    if (ts_gpu_is_cpu(caps)) { // the driver makes its heap size up; the host's memory is real
        caps->memory_bytes = host_bytes;
        caps->memory_free_bytes = host_free_bytes;
    } else if (integrated) { // the heap is the host's memory, but for what firmware set aside
        uint64_t aside = caps->memory_bytes - ts_min_u64(caps->memory_bytes, host_bytes);
        caps->memory_free_bytes = ts_min_u64(caps->memory_free_bytes, host_free_bytes + aside);
    }
}

void ts_gpu_read_memory(VkPhysicalDevice physical, ts_gpu_caps *caps)
{
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 memory = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
    uint64_t host_bytes, host_free_bytes;
    ts_os_memory(&host_bytes, &host_free_bytes);
    bool has_budget = ts_gpu_has_extension(physical, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    vkGetPhysicalDeviceMemoryProperties2(physical, &memory);
    ts_gpu_weigh_memory(&memory.memoryProperties, NULL, host_bytes, host_free_bytes, caps);
    // Some drivers (RADV's null hardware) crash where they are asked how much memory is free on a
    // device that has none.
    if (has_budget && caps->memory_bytes > 0) {
        memory.pNext = &budget;
        vkGetPhysicalDeviceMemoryProperties2(physical, &memory);
        ts_gpu_weigh_memory(&memory.memoryProperties, &budget, host_bytes, host_free_bytes, caps);
    }
}
