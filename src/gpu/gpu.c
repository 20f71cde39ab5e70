#include "gpu/internal.h"

#include "base/log.h"
#include "base/memory.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"
#define MASKS_VARIABLE "TINYSFT_MASK_CAPABILITIES"
#define INSTALL_HINT                                                                               \
    "install a driver for your GPU (Debian, Ubuntu: `apt install libvulkan1 mesa-vulkan-drivers` " \
    "for AMD, Intel or a CPU; NVIDIA's own driver brings its own)"

static uint64_t validation_messages; // of this process

uint64_t ts_gpu_validation_messages(void)
{
    return validation_messages;
}

ts_status ts_gpu_check(VkResult result, const char *what, ts_error *err)
{
    switch (result) {
    case VK_SUCCESS:
        return TS_OK;
    case VK_ERROR_OUT_OF_HOST_MEMORY:
        return ts_error_set(err, TS_ERR_MEMORY, "%s: out of host memory", what);
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
        return ts_error_set(err, TS_ERR_MEMORY, "%s: out of device memory", what);
    case VK_ERROR_DEVICE_LOST:
        return ts_error_set(err, TS_ERR_DEVICE,
                            "%s: the driver reports the device as lost (a hang or a reset)", what);
    default:
        return ts_error_set(err, TS_ERR_DEVICE, "%s: failed with VkResult %d", what, result);
    }
}

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

static VKAPI_ATTR VkBool32 VKAPI_CALL on_validation_message(
    VkDebugUtilsMessageSeverityFlagBitsEXT severity, VkDebugUtilsMessageTypeFlagsEXT types,
    const VkDebugUtilsMessengerCallbackDataEXT *data, void *user)
{
    (void)severity, (void)types, (void)user;
    validation_messages++;
    ts_log(TS_LOG_WARN, "validation: %s", data->pMessage);
    return VK_FALSE;
}

static bool layer_is_installed(const char *name)
{
    VkLayerProperties layers[64];
    uint32_t count = TS_COUNT(layers);
    vkEnumerateInstanceLayerProperties(&count, layers);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(layers[i].layerName, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool wants_validation(const ts_gpu_params *params)
{
    const char *variable = getenv("TINYSFT_VALIDATE");
    return params->validate || (variable != NULL && strcmp(variable, "1") == 0);
}

static ts_status open_instance(const ts_gpu_params *params, VkInstance *out, bool *validating,
                               ts_error *err)
{
    if (volkInitialize() != VK_SUCCESS) {
        return ts_error_set(err, TS_ERR_DEVICE, "no Vulkan loader (libvulkan.so.1): " INSTALL_HINT);
    }
    *validating = wants_validation(params);
    if (*validating && !layer_is_installed(VALIDATION_LAYER)) {
        return ts_error_set(err, TS_ERR_DEVICE,
                            "validation was asked for, but the layer " VALIDATION_LAYER
                            " is not installed (Debian: `apt install vulkan-validationlayers`)");
    }
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .pApplicationName = "tinysft-vk",
                                           .apiVersion = VK_API_VERSION_1_2};
    const VkValidationFeatureEnableEXT enabled[] = {
        VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
    const VkValidationFeaturesEXT features = {.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                              .enabledValidationFeatureCount = TS_COUNT(enabled),
                                              .pEnabledValidationFeatures = enabled};
    const char *layers[] = {VALIDATION_LAYER}, *extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME};
    const VkInstanceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pNext = *validating ? &features : NULL,
        .pApplicationInfo = &application,
        .enabledLayerCount = *validating ? 1 : 0,
        .ppEnabledLayerNames = layers,
        .enabledExtensionCount = *validating ? 1 : 0,
        .ppEnabledExtensionNames = extensions,
    };
    VkResult result = vkCreateInstance(&info, NULL, out);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER) {
        return ts_error_set(err, TS_ERR_DEVICE, "no Vulkan driver was found: " INSTALL_HINT);
    }
    if (result != VK_SUCCESS) {
        return ts_gpu_check(result, "vkCreateInstance", err);
    }
    volkLoadInstanceOnly(*out);
    return TS_OK;
}

static ts_status list_physical(VkInstance instance, VkPhysicalDevice **out, uint32_t *count,
                               ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_gpu_check(vkEnumeratePhysicalDevices(instance, count, NULL),
                        "vkEnumeratePhysicalDevices", err));
    if (*count == 0) {
        TS_FAIL(TS_ERR_DEVICE, "Vulkan is installed but offers no device: " INSTALL_HINT);
    }
    TS_TRY(ts_alloc(*count, sizeof **out, out, err));
    TS_TRY(ts_gpu_check(vkEnumeratePhysicalDevices(instance, count, *out),
                        "vkEnumeratePhysicalDevices", err));
out:
    return status;
}

// The first queue family that computes, or UINT32_MAX.
static uint32_t find_queue_family(VkPhysicalDevice physical, float *timestamp_ticks)
{
    VkQueueFamilyProperties families[32];
    uint32_t count = TS_COUNT(families);
    vkGetPhysicalDeviceQueueFamilyProperties(physical, &count, families);
    for (uint32_t i = 0; i < count; i++) {
        if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) {
            *timestamp_ticks = families[i].timestampValidBits > 0;
            return i;
        }
    }
    return UINT32_MAX;
}

// What Linux says is available without swapping, or `otherwise`.
static uint64_t available_host_bytes(uint64_t otherwise)
{
    unsigned long long kib = 0;
    char line[128];
    FILE *file = fopen("/proc/meminfo", "r");
    while (file != NULL && kib == 0 && fgets(line, sizeof line, file) != NULL) {
        sscanf(line, "MemAvailable: %llu kB", &kib);
    }
    if (file != NULL) {
        fclose(file);
    }
    return kib > 0 ? kib * 1024 : otherwise;
}

static void read_memory(VkPhysicalDevice physical, ts_gpu_caps *caps)
{
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    bool has_budget = ts_gpu_has_extension(physical, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    VkPhysicalDeviceMemoryProperties2 memory = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
        .pNext = has_budget ? &budget : NULL};
    vkGetPhysicalDeviceMemoryProperties2(physical, &memory);
    const VkPhysicalDeviceMemoryProperties *m = &memory.memoryProperties;
    for (uint32_t i = 0; i < m->memoryHeapCount; i++) {
        if ((m->memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) &&
            m->memoryHeaps[i].size > caps->memory_bytes) {
            caps->memory_bytes = m->memoryHeaps[i].size;
            caps->memory_free_bytes = has_budget && budget.heapBudget[i] > budget.heapUsage[i]
                                          ? budget.heapBudget[i] - budget.heapUsage[i]
                                          : caps->memory_bytes;
        }
    }
    if (ts_gpu_is_cpu(caps)) { // its heap is a number in the driver; the host's memory is real
        caps->memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
        caps->memory_free_bytes = available_host_bytes(caps->memory_bytes);
    }
    for (uint32_t i = 0; i < m->memoryTypeCount; i++) {
        caps->cached_memory |=
            (m->memoryTypes[i].propertyFlags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT) != 0;
    }
    caps->unified_memory = caps->type == VK_PHYSICAL_DEVICE_TYPE_CPU ||
                           caps->type == VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU;
}

static void read_caps(VkPhysicalDevice physical, ts_gpu_caps *caps)
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
        .max_invocations = p->limits.maxComputeWorkGroupInvocations,
        .shared_bytes = p->limits.maxComputeSharedMemorySize,
        .max_binding_bytes = p->limits.maxStorageBufferRange,
        .max_allocation_bytes = sizes.maxMemoryAllocationSize,
        .view_alignment = (uint32_t)p->limits.minStorageBufferOffsetAlignment,
        .timestamp_ns = p->limits.timestampPeriod,
    };
    memcpy(caps->max_groups, p->limits.maxComputeWorkGroupCount, sizeof caps->max_groups);
    snprintf(caps->name, sizeof caps->name, "%s", p->deviceName);
    snprintf(caps->driver, sizeof caps->driver, "%s %s", driver.driverName, driver.driverInfo);
    read_memory(physical, caps);
    ts_gpu_read_features(physical, caps);
    float ticks = 0;
    if (p->apiVersion < VK_API_VERSION_1_2) {
        caps->unusable = "its driver has no Vulkan 1.2; a newer driver may";
    } else if (find_queue_family(physical, &ticks) == UINT32_MAX) {
        caps->unusable = "it has no queue that computes";
    }
    caps->timestamp_ns *= ticks;
}

static int preference(const ts_gpu_caps *caps)
{
    if (caps->unusable != NULL) {
        return 0;
    }
    switch (caps->type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return 5;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return 4;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return 3;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return 1;
    default:
        return 2;
    }
}

static bool contains_folded(const char *text, const char *part)
{
    size_t len = strlen(part);
    for (; *text != '\0'; text++) {
        if (strncasecmp(text, part, len) == 0) {
            return true;
        }
    }
    return false;
}

static ts_status no_such_device(const ts_gpu_list *list, const char *wanted, size_t matches,
                                ts_error *err)
{
    char names[768] = "";
    size_t at = 0;
    for (size_t i = 0; i < list->count && at < sizeof names; i++) {
        at += (size_t)snprintf(names + at, sizeof names - at, "%s %zu: %s", i > 0 ? "," : "", i,
                               list->caps[i].name);
    }
    return ts_error_set(err, TS_ERR_ARGUMENT, "--device %s: %s; there are:%s", wanted,
                        matches > 1 ? "several devices match" : "no such device", names);
}

static ts_status choose(ts_gpu_list *list, const char *wanted, ts_error *err)
{
    if (wanted == NULL) {
        list->chosen = 0;
        for (size_t i = 1; i < list->count; i++) {
            if (preference(&list->caps[i]) > preference(&list->caps[list->chosen])) {
                list->chosen = i;
            }
        }
        const ts_gpu_caps *best = &list->caps[list->chosen];
        list->reason = list->count == 1      ? "the only device"
                       : ts_gpu_is_cpu(best) ? "no GPU driver was found, only the CPU"
                       : list->chosen == 0   ? "the first of the best kind"
                                             : "the best kind (discrete, then integrated)";
        return TS_OK;
    }
    size_t matches = 0, digits = strspn(wanted, "0123456789");
    for (size_t i = 0; i < list->count; i++) {
        bool match = wanted[digits] == '\0' && digits > 0
                         ? strtoul(wanted, NULL, 10) == i
                         : contains_folded(list->caps[i].name, wanted);
        if (match) {
            list->chosen = i;
            matches++;
        }
    }
    list->reason = "asked for by --device";
    return matches == 1 ? TS_OK : no_such_device(list, wanted, matches, err);
}

static ts_status list_devices(VkInstance instance, const ts_gpu_params *params,
                              VkPhysicalDevice **physical, ts_gpu_list *out, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t count = 0, masks = params->masks;
    const char *variable = getenv(MASKS_VARIABLE);
    if (variable != NULL && ts_gpu_masks_parse(variable, &masks, err) != TS_OK) {
        return ts_error_context(err, MASKS_VARIABLE);
    }
    TS_TRY(list_physical(instance, physical, &count, err));
    TS_TRY(ts_alloc(count, sizeof *out->caps, &out->caps, err));
    out->count = count;
    for (uint32_t i = 0; i < count; i++) {
        read_caps((*physical)[i], &out->caps[i]);
        ts_gpu_masks_apply(masks, &out->caps[i]);
    }
    TS_TRY(choose(out, params->device, err));
out:
    return status;
}

ts_status ts_gpu_enumerate(const ts_gpu_params *params, ts_gpu_list *out, ts_error *err)
{
    ts_status status = TS_OK;
    VkInstance instance = VK_NULL_HANDLE;
    VkPhysicalDevice *physical = NULL;
    bool validating;
    *out = (ts_gpu_list){0};
    TS_TRY(open_instance(params, &instance, &validating, err));
    TS_TRY(list_devices(instance, params, &physical, out, err));
out:
    free(physical);
    if (instance != VK_NULL_HANDLE) {
        vkDestroyInstance(instance, NULL);
    }
    if (status != TS_OK) {
        free(out->caps);
        *out = (ts_gpu_list){0};
    }
    return status;
}

static ts_status open_device(ts_gpu *gpu, ts_error *err)
{
    float ticks;
    gpu->queue_family = find_queue_family(gpu->physical, &ticks);
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = gpu->queue_family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    struct ts_gpu_features features;
    ts_gpu_enable_features(&gpu->caps, &features);
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .pNext = features.chain,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
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

static ts_status open_messenger(ts_gpu *gpu, ts_error *err)
{
    const VkDebugUtilsMessengerCreateInfoEXT info = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                           VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                       VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
        .pfnUserCallback = on_validation_message,
    };
    return ts_gpu_check(vkCreateDebugUtilsMessengerEXT(gpu->instance, &info, NULL, &gpu->messenger),
                        "vkCreateDebugUtilsMessengerEXT", err);
}

ts_status ts_gpu_open(const ts_gpu_params *params, ts_gpu **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_gpu *gpu = NULL;
    VkPhysicalDevice *physical = NULL;
    ts_gpu_list list = {0};
    bool validating = false;
    TS_TRY(ts_alloc(1, sizeof *gpu, &gpu, err));
    TS_TRY(open_instance(params, &gpu->instance, &validating, err));
    if (validating) {
        TS_TRY(open_messenger(gpu, err));
    }
    TS_TRY(list_devices(gpu->instance, params, &physical, &list, err));
    gpu->physical = physical[list.chosen];
    gpu->caps = list.caps[list.chosen];
    if (gpu->caps.unusable != NULL) {
        TS_FAIL(TS_ERR_DEVICE, "%s cannot be used: %s", gpu->caps.name, gpu->caps.unusable);
    }
    if (ts_gpu_is_cpu(&gpu->caps) && params->device == NULL) {
        ts_log(TS_LOG_WARN,
               "running on the CPU (%s): no GPU with a Vulkan driver was found; "
               "`tinysft-vk devices` lists what there is",
               gpu->caps.name);
    }
    TS_TRY(open_device(gpu, err));
    TS_TRY(ts_gpu_pipelines_open(gpu, err));
out:
    free(physical);
    free(list.caps);
    if (status != TS_OK) {
        ts_gpu_close(gpu);
        gpu = NULL;
    }
    *out = gpu;
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

void ts_gpu_close(ts_gpu *gpu)
{
    if (gpu == NULL) {
        return;
    }
    if (gpu->device != VK_NULL_HANDLE) {
        ts_gpu_pipelines_close(gpu);
        gpu->vk.vkDestroyDevice(gpu->device, NULL);
    }
    if (gpu->messenger != VK_NULL_HANDLE) {
        vkDestroyDebugUtilsMessengerEXT(gpu->instance, gpu->messenger, NULL);
    }
    if (gpu->instance != VK_NULL_HANDLE) {
        vkDestroyInstance(gpu->instance, NULL);
    }
    free(gpu);
}

const ts_gpu_caps *ts_gpu_capabilities(const ts_gpu *gpu)
{
    return &gpu->caps;
}
