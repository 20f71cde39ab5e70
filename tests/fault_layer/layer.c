// A Vulkan layer that makes one of the driver's calls fail. With FAULT_LAYER="vkQueueSubmit 3" that
// call fails from its third time on, in every device of the process. So faults can be tested with
// the unchanged program. "vkCmdCopyBuffer 3" reports no failure: from its third time on a copy
// arrives with one wrong word, as if the device's memory or its link were bad.
//
// The loader finds it by layer.json (VK_LAYER_PATH) and puts it below the program where
// VK_INSTANCE_LAYERS names it; the interface is that of the Vulkan loader's
// LoaderLayerInterface.md.
#include <vulkan/vk_layer.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *negotiated);

// The functions of the next layer below, or of the loader's end of the chain, or of the driver.
static PFN_vkGetInstanceProcAddr next_of_instance;
static PFN_vkGetDeviceProcAddr next_of_device;
static PFN_vkQueueSubmit next_submit;
static PFN_vkCreateComputePipelines next_build;
static PFN_vkAllocateMemory next_allocate;
static PFN_vkCmdCopyBuffer next_copy;
static PFN_vkCmdFillBuffer next_fill;
static PFN_vkCmdPipelineBarrier next_barrier;

static bool strikes(const char *call)
{
    static uint32_t seen;
    const char *fault = getenv("FAULT_LAYER");
    size_t len = strlen(call);
    if (fault == NULL || strncmp(fault, call, len) != 0 || fault[len] != ' ') {
        return false;
    }
    return __atomic_add_fetch(&seen, 1, __ATOMIC_RELAXED) >= strtoul(fault + len, NULL, 10);
}

static VkResult VKAPI_CALL submit(VkQueue queue, uint32_t count, const VkSubmitInfo *infos,
                                  VkFence fence)
{
    return strikes("vkQueueSubmit") ? VK_ERROR_DEVICE_LOST
                                    : next_submit(queue, count, infos, fence);
}

static VkResult VKAPI_CALL build(VkDevice device, VkPipelineCache cache, uint32_t count,
                                 const VkComputePipelineCreateInfo *infos,
                                 const VkAllocationCallbacks *allocator, VkPipeline *out)
{
    return strikes("vkCreateComputePipelines")
               ? VK_ERROR_UNKNOWN
               : next_build(device, cache, count, infos, allocator, out);
}

static VkResult VKAPI_CALL allocate(VkDevice device, const VkMemoryAllocateInfo *info,
                                    const VkAllocationCallbacks *allocator, VkDeviceMemory *out)
{
    return strikes("vkAllocateMemory") ? VK_ERROR_OUT_OF_DEVICE_MEMORY
                                       : next_allocate(device, info, allocator, out);
}

static void VKAPI_CALL copy(VkCommandBuffer commands, VkBuffer from, VkBuffer to, uint32_t count,
                            const VkBufferCopy *regions)
{
    const uint32_t wrong = 0x3F123456; // 0.571, as a float
    const VkMemoryBarrier after = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                   .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                                   .dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT};
    next_copy(commands, from, to, count, regions);
    if (strikes("vkCmdCopyBuffer")) {
        next_barrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1,
                     &after, 0, NULL, 0, NULL);
        next_fill(commands, to, regions[0].dstOffset, sizeof wrong, wrong);
    }
}

// The loader passes each layer a chain of structures. One of them leads to the layers below.
static void *find_link(const void *next, VkStructureType type)
{
    for (const VkLayerInstanceCreateInfo *link = next; link != NULL; link = link->pNext) {
        if (link->sType == type && link->function == VK_LAYER_LINK_INFO) {
            return (void *)(uintptr_t)link;
        }
    }
    return NULL;
}

static VkResult VKAPI_CALL create_instance(const VkInstanceCreateInfo *info,
                                           const VkAllocationCallbacks *allocator, VkInstance *out)
{
    VkLayerInstanceCreateInfo *link =
        find_link(info->pNext, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
    if (link == NULL) {
        return VK_ERROR_INITIALIZATION_FAILED;
    }
    next_of_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    return ((PFN_vkCreateInstance)next_of_instance(NULL, "vkCreateInstance"))(info, allocator, out);
}

static VkResult VKAPI_CALL create_device(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                         const VkAllocationCallbacks *allocator, VkDevice *out)
{
    VkLayerDeviceCreateInfo *link =
        find_link(info->pNext, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
    if (link == NULL) {
        return VK_ERROR_INITIALIZATION_FAILED;
    }
    PFN_vkGetInstanceProcAddr of_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    next_of_device = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    VkResult result =
        ((PFN_vkCreateDevice)of_instance(NULL, "vkCreateDevice"))(physical, info, allocator, out);
    if (result == VK_SUCCESS) {
        next_submit = (PFN_vkQueueSubmit)next_of_device(*out, "vkQueueSubmit");
        next_build = (PFN_vkCreateComputePipelines)next_of_device(*out, "vkCreateComputePipelines");
        next_allocate = (PFN_vkAllocateMemory)next_of_device(*out, "vkAllocateMemory");
        next_copy = (PFN_vkCmdCopyBuffer)next_of_device(*out, "vkCmdCopyBuffer");
        next_fill = (PFN_vkCmdFillBuffer)next_of_device(*out, "vkCmdFillBuffer");
        next_barrier = (PFN_vkCmdPipelineBarrier)next_of_device(*out, "vkCmdPipelineBarrier");
    }
    return result;
}

static PFN_vkVoidFunction VKAPI_CALL get_device(VkDevice device, const char *name);
static PFN_vkVoidFunction VKAPI_CALL get_instance(VkInstance instance, const char *name);

static PFN_vkVoidFunction own(const char *name)
{
    static const struct {
        const char *name;
        PFN_vkVoidFunction function;
    } all[] = {
        {"vkGetInstanceProcAddr", (PFN_vkVoidFunction)get_instance},
        {"vkGetDeviceProcAddr", (PFN_vkVoidFunction)get_device},
        {"vkCreateInstance", (PFN_vkVoidFunction)create_instance},
        {"vkCreateDevice", (PFN_vkVoidFunction)create_device},
        {"vkQueueSubmit", (PFN_vkVoidFunction)submit},
        {"vkCreateComputePipelines", (PFN_vkVoidFunction)build},
        {"vkAllocateMemory", (PFN_vkVoidFunction)allocate},
        {"vkCmdCopyBuffer", (PFN_vkVoidFunction)copy},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (strcmp(all[i].name, name) == 0) {
            return all[i].function;
        }
    }
    return NULL;
}

static PFN_vkVoidFunction VKAPI_CALL get_device(VkDevice device, const char *name)
{
    PFN_vkVoidFunction function = own(name);
    return function != NULL ? function : next_of_device(device, name);
}

static PFN_vkVoidFunction VKAPI_CALL get_instance(VkInstance instance, const char *name)
{
    PFN_vkVoidFunction function = own(name);
    return function != NULL ? function : next_of_instance(instance, name);
}

VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *negotiated)
{
    if (negotiated->loaderLayerInterfaceVersion < 2) {
        return VK_ERROR_INITIALIZATION_FAILED;
    }
    negotiated->loaderLayerInterfaceVersion = 2;
    negotiated->pfnGetInstanceProcAddr = get_instance;
    negotiated->pfnGetDeviceProcAddr = get_device;
    negotiated->pfnGetPhysicalDeviceProcAddr = NULL;
    return VK_SUCCESS;
}
