#include "gpu/internal.h"

#include "base/log.h"
#include "base/memory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MASKS_VARIABLE "TINYSFT_MASK_CAPABILITIES"
#define INSTALL_HINT                                                                               \
    "install a driver for your GPU (Debian, Ubuntu: `apt install libvulkan1 mesa-vulkan-drivers` " \
    "for AMD, Intel or a CPU; NVIDIA's own driver brings its own)"

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
        return -1; // such a counter never starts again: the driver errs
    }
    return 1e-9 * (double)caps->timestamp_ns * (double)((end - begin) & caps->timestamp_mask);
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

static const char NO_MEMORY[] = "it reports no memory"; // compared by address

static ts_status open_instance(const ts_gpu_params *params, VkInstance *out, bool *validating,
                               ts_error *err)
{
    if (volkInitialize() != VK_SUCCESS) {
        return ts_error_set(err, TS_ERR_DEVICE, "no Vulkan loader (libvulkan.so.1): " INSTALL_HINT);
    }
    struct ts_gpu_validation validation;
    ts_status status = ts_gpu_validation_choose(params, &validation, err);
    *validating = validation.kind != TS_VALIDATE_NO;
    if (status != TS_OK) {
        return status;
    }
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .pApplicationName = "tinysft-vk",
                                           .apiVersion = VK_API_VERSION_1_2};
    const VkInstanceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pNext = validation.chain,
        .pApplicationInfo = &application,
        .enabledLayerCount = validation.layer_count,
        .ppEnabledLayerNames = validation.layers,
        .enabledExtensionCount = validation.extension_count,
        .ppEnabledExtensionNames = validation.extensions,
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

// The first queue family that computes, or UINT32_MAX. *timestamp_bits of its counter are valid.
static uint32_t find_queue_family(VkPhysicalDevice physical, uint32_t *timestamp_bits)
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
    if (buffers < TS_MAX_BINDINGS) {
        return "a shader of its reads and writes fewer than the 9 buffers that training needs";
    }
    if (limits->minStorageBufferOffsetAlignment > TS_VIEW_ALIGNMENT) {
        return "its tensors would have to start at larger steps than 256 bytes";
    }
    return NULL;
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
    } else if (find_queue_family(physical, &bits) == UINT32_MAX) {
        caps->unusable = "it has no queue that computes";
    } else if (ts_gpu_check_limits(&p->limits) != NULL) {
        caps->unusable = ts_gpu_check_limits(&p->limits);
    } else if (caps->memory_bytes == 0) {
        caps->unusable = NO_MEMORY;
    }
    caps->timestamp_ns = bits > 0 ? caps->timestamp_ns : 0;
    caps->timestamp_mask = bits < 64 ? (UINT64_C(1) << bits) - 1 : UINT64_MAX;
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

ts_status ts_gpu_choose(ts_gpu_list *list, const char *wanted, ts_error *err)
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
    TS_TRY(ts_gpu_choose(out, params->device, err));
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
    uint32_t bits;
    gpu->queue_family = find_queue_family(gpu->physical, &bits);
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = gpu->queue_family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    struct ts_gpu_features features;
    const VkPhysicalDeviceFeatures core = {.shaderInt64 = gpu->caps.has_int64};
    ts_gpu_enable_features(&gpu->caps, &features);
    gpu->has_figures = gpu->compile_only && ts_gpu_enable_figures(gpu->physical, &features);
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
        TS_TRY(ts_gpu_validation_listen(gpu->instance, &gpu->messenger, err));
    }
    TS_TRY(list_devices(gpu->instance, params, &physical, &list, err));
    gpu->physical = physical[list.chosen];
    gpu->caps = list.caps[list.chosen];
    gpu->compile_only = params->compile_only;
    bool allowed = gpu->compile_only && gpu->caps.unusable == NO_MEMORY;
    if (gpu->caps.unusable != NULL && !allowed) {
        TS_FAIL(TS_ERR_DEVICE, "%s cannot be used: %s", gpu->caps.name, gpu->caps.unusable);
    }
    if (ts_gpu_is_cpu(&gpu->caps) && params->device == NULL) {
        ts_log(TS_LOG_WARN,
               "running on the CPU (%s): no GPU with a Vulkan driver was found; "
               "`tinysft-vk devices` lists what there is",
               gpu->caps.name);
    }
    const char *tune = getenv("TINYSFT_TUNE");
    gpu->no_tuning = params->no_tuning || (tune != NULL && strcmp(tune, "off") == 0);
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
    for (size_t i = 0; i < TS_COUNT(caps->left_out) && caps->left_out[i] != NULL; i++) {
        if (strcmp(caps->left_out[i], shader) == 0) {
            return true;
        }
    }
    return false;
}

void ts_gpu_leave_out(ts_gpu *gpu, const char *shader)
{
    size_t i = 0;
    while (i < TS_COUNT(gpu->caps.left_out) && gpu->caps.left_out[i] != NULL) {
        i++;
    }
    if (i < TS_COUNT(gpu->caps.left_out) && !ts_gpu_leaves_out(&gpu->caps, shader)) {
        gpu->caps.left_out[i] = shader;
    }
}
